"""Callbacks are called in the documented order, and those of the library do what they say."""

from __future__ import annotations

import csv
import io
import itertools
import os
from dataclasses import replace

import numpy as np
import pytest

import cnn_core
from cnn_core import NN
from cnn_core.callbacks import (
    Callback,
    CSVLog,
    EarlyStopping,
    OnEpoch,
    PrintEpochs,
    ProgressBar,
    SaveModel,
    TimeBudget,
)
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.training import EpochRecord, Recipe, Validation
from learnable import one_hot_rows


@pytest.fixture
def data(rng):
    return one_hot_rows(rng, 40)


def model_of(name):
    network = Network((Dense(6, 5, "tanh"), Dense(5, 3, "softmax")), "cross_entropy")
    return Model(network, backend=name).initialize("auto", np.random.RandomState(0))


def train(model, data, *callbacks, epochs=3, **changes):
    recipe = Recipe(**{"epochs": epochs, "batch_size": 8, "learning_rate": 0.1, **changes})
    validation = Validation(*data, are_classes=True)
    return model.train(*data, recipe, are_classes=True, validation=validation, callbacks=callbacks)


class Diary(Callback):
    """Records every hook, and fails in one of them if it is told to."""

    def __init__(self, name, entries, fails_in=None):
        self.name = name
        self.entries = entries
        self.fails_in = fails_in

    def note(self, hook, state):
        self.entries.append(f"{self.name} {hook} {state.epoch}")
        if hook == self.fails_in:
            raise LookupError(self.name)

    def on_train_begin(self, state):
        self.note("train begin", state)

    def on_epoch_begin(self, state):
        self.note("epoch begin", state)

    def on_epoch_end(self, state):
        self.note("epoch end", state)

    def on_train_end(self, state):
        self.note("train end", state)


class TestHooks:
    def test_are_called_in_order_and_at_the_end_the_other_way_round(self, name, data):
        entries = []
        train(model_of(name), data, Diary("a", entries), Diary("b", entries), epochs=2)
        assert entries == [
            "a train begin 0",
            "b train begin 0",
            "a epoch begin 1",
            "b epoch begin 1",
            "a epoch end 1",
            "b epoch end 1",
            "a epoch begin 2",
            "b epoch begin 2",
            "a epoch end 2",
            "b epoch end 2",
            "b train end 2",
            "a train end 2",
        ]

    @pytest.mark.parametrize("hook", ["train begin", "epoch begin", "epoch end", "train end"])
    def test_an_error_gets_out_and_the_training_is_ended_for_those_that_it_began_for(
        self, name, data, hook
    ):
        entries = []
        model = model_of(name)
        with pytest.raises(LookupError, match="bad"):
            train(model, data, Diary("good", entries), Diary("bad", entries, hook), epochs=1)
        assert entries[-1] == f"good train end {int(hook != 'train begin')}"
        assert ("bad train end 1" in entries) == (hook != "train begin")
        assert model.epochs_done == (hook in ("epoch end", "train end"))
        train(model, data)
        assert len(model.history["loss"]) == model.epochs_done

    def test_the_history_and_the_record_are_there_at_the_end_of_an_epoch(self, name, data):
        class Looks(Callback):
            def on_epoch_end(self, state):
                assert isinstance(state.record, EpochRecord)
                assert state.record.epoch == state.epoch == len(state.history["loss"])
                assert state.record.loss == state.history["loss"][-1]
                assert state.model.epochs_done == state.epoch
                seen.append(state.improved)

        seen = []
        state = train(model_of(name), data, Looks())
        assert len(seen) == 3
        assert seen[state.best_epoch - 1]

    def test_training_the_same_network_from_a_hook_is_refused(self, name, data):
        class TrainsAsWell(Callback):
            def on_epoch_end(self, state):
                train(state.model, data)

        model = model_of(name)
        with pytest.raises(RuntimeError, match="trained already"):
            train(model, data, TrainsAsWell())
        assert train(model, data).stopped_because is None

    def test_an_nn_calls_them_too_and_is_what_they_get(self, name, data):
        class Looks(Callback):
            def on_train_begin(self, state):
                owners.append(state.owner)

        owners, entries, records = [], [], []
        net = NN(6, 4, 3, 0.5, 2, seed=0, backend=name)
        net.fit(*data, callbacks=[Looks(), Diary("a", entries)], on_epoch=records.append)
        assert owners == [net]
        assert len(entries) == 6
        assert [record.epoch for record in records] == [1, 2]


class TestOnEpoch:
    def test_gives_each_record_to_a_function(self, name, data):
        records = []
        train(model_of(name), data, OnEpoch(records.append))
        assert [record.epoch for record in records] == [1, 2, 3]


class TestEarlyStopping:
    def test_monitors_what_it_is_given_beside_the_recipe(self, name, data):
        model = model_of(name)
        state = train(
            model, data, EarlyStopping("validation_accuracy", patience=1, tol=2.0), epochs=9
        )
        assert state.epoch == 3
        assert state.converged
        assert state.stopped_because.startswith("validation accuracy did not improve by more than")

    def test_may_be_used_again(self, name, data):
        stops = EarlyStopping(patience=0, tol=1e9)
        for _ in range(2):
            assert train(model_of(name), data, stops).epoch == 2

    def test_what_is_not_measured_is_named(self, name, data):
        with pytest.raises(ValueError, match="'validation_score' needs validation data"):
            train(model_of(name), data, EarlyStopping("validation_score"))
        with pytest.raises(ValueError, match="monitor: expected one of"):
            train(model_of(name), data, EarlyStopping("f1"))


class TestTimeBudget:
    def test_ends_after_the_epoch_in_which_the_time_is_up(self, name, data):
        times = iter([10.0, 11.0, 14.9, 15.0, 99.0])
        state = train(model_of(name), data, TimeBudget(5, clock=lambda: next(times)), epochs=9)
        assert state.epoch == 3
        assert state.stopped_because == "the 5 seconds of its budget are over"

    def test_resumes_with_the_seconds_that_were_left(self, name, data):
        times = iter([10.0, 12.0])
        killed = TimeBudget(5, clock=lambda: next(times))
        killed.on_train_begin(None)
        left = killed.get_state()

        class GoesOn(Callback):
            def on_train_begin(self, state):
                budget.set_state(left)

        later = iter([100.0, 200.0, 202.9, 203.0])
        budget = TimeBudget(5, clock=lambda: next(later))
        assert train(model_of(name), data, budget, GoesOn(), epochs=9).epoch == 2

    @pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
    def test_is_a_number_above_0(self, seconds):
        with pytest.raises(ValueError, match="seconds: expected a finite number"):
            TimeBudget(seconds)


class Terminal(io.StringIO):
    def isatty(self):
        return True


class TestProgress:
    def test_prints_a_line_an_epoch(self, name, data, capsys):
        train(model_of(name), data, PrintEpochs())
        lines = capsys.readouterr().out.splitlines()
        assert [line.split("  ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]

    def test_a_line_reports_what_was_measured_and_nothing_else(self):
        bare = EpochRecord(2, 9, 0.5, None, None, None, samples=100, seconds=0.5)
        assert str(bare) == "epoch 2/9  loss 0.50000  200 samples/s"
        scored = replace(bare, accuracy=0.75, validation_score=0.25)
        assert str(scored) == (
            "epoch 2/9  loss 0.50000  accuracy 0.7500  validation score 0.2500  200 samples/s"
        )

    def test_the_bar_is_one_line_on_a_terminal(self, name, data):
        stream = Terminal()
        train(model_of(name), data, ProgressBar(stream, width=6))
        shown = stream.getvalue()
        assert shown.count("\n") == 1
        assert shown.endswith("\n")
        bars = [part[:8] for part in shown.split("\r")[1:]]
        assert bars == ["[##....]", "[####..]", "[######]"]

    def test_nothing_of_a_longer_line_stays(self, name, data):
        stream = Terminal()
        train(model_of(name), data, ProgressBar(stream), epochs=12)
        lines = stream.getvalue().rstrip("\n").split("\r")[1:]
        assert len(lines) == 12
        for before, after in itertools.pairwise(lines):
            assert len(after) >= len(before.rstrip())

    def test_elsewhere_it_is_about_ten_lines(self, name, data, capsys):
        train(model_of(name), data, ProgressBar(), epochs=40)
        lines = capsys.readouterr().err.splitlines()
        assert [line.split("  ")[0] for line in lines] == [
            "epoch 1/40",
            *(f"epoch {epoch}/40" for epoch in range(4, 41, 4)),
        ]

    def test_elsewhere_a_line_comes_every_five_seconds(self, name, data, capsys):
        # Two looks at the clock for each line, one for each other epoch; an epoch takes a second.
        now = itertools.count()
        train(model_of(name), data, ProgressBar(clock=lambda: next(now)), epochs=200)
        printed = [line.split("/")[0] for line in capsys.readouterr().err.splitlines()]
        epochs = [int(line.removeprefix("epoch ")) for line in printed]
        assert epochs[0] == 1
        assert epochs[-1] == 200
        assert max(after - before for before, after in itertools.pairwise(epochs)) <= 5

    def test_elsewhere_the_last_epoch_is_printed_wherever_it_ends(self, name, data, capsys):
        train(model_of(name), data, ProgressBar(), StopsAfter(6), epochs=40)
        lines = capsys.readouterr().err.splitlines()
        assert lines[-1].startswith("epoch 6/40")


class StopsAfter(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, state):
        if state.epoch == self.epoch:
            state.stop("enough")


class TestCSVLog:
    def rows(self, path):
        with open(path, newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    def test_has_a_line_an_epoch_with_the_very_numbers(self, name, data, tmp_path):
        model = model_of(name)
        train(model, data, CSVLog(tmp_path / "log.csv"))
        rows = self.rows(tmp_path / "log.csv")
        assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
        for key, values in model.history.items():
            assert [float(row[key]) for row in rows] == values
        assert {row["validation_score"] for row in rows} == {""}

    def test_grows_during_the_training(self, name, data, tmp_path):
        path = tmp_path / "log.csv"
        sizes = []
        count = OnEpoch(lambda record: sizes.append(len(self.rows(path))))
        train(model_of(name), data, CSVLog(path), count)
        assert sizes == [1, 2, 3]

    def test_appends_to_its_own_file_and_refuses_another(self, name, data, tmp_path):
        path = tmp_path / "log.csv"
        model = model_of(name)
        for _ in range(2):
            train(model, data, CSVLog(path))
        assert [int(row["epoch"]) for row in self.rows(path)] == [1, 2, 3, 4, 5, 6]
        path.write_text("a diary\n")
        with pytest.raises(ValueError, match="expected an empty file or one with the columns"):
            train(model, data, CSVLog(path))
        assert path.read_text() == "a diary\n"


class TestCheckpoint:
    def test_each_file_is_the_model_of_its_epoch(self, name, data, tmp_path):
        model = model_of(name)
        train(model, data, SaveModel(tmp_path / "model-{epoch}.safetensors"))
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            f"model-{epoch}.safetensors" for epoch in (1, 2, 3)
        ]
        two = model_of(name)
        train(two, data, epochs=2)
        found = cnn_core.load(tmp_path / "model-2.safetensors", backend=name)
        assert np.array_equal(found.parameters, two.parameters)
        assert found.history["loss"] == two.history["loss"]

    def test_a_training_can_continue_from_one(self, name, data, tmp_path):
        model = model_of(name)
        train(model, data, SaveModel(tmp_path / "model", every=2))
        found = cnn_core.load(tmp_path / "model", backend=name)
        assert found.epochs_done == 2
        train(found, data, epochs=1)
        assert np.array_equal(found.parameters, model.parameters)

    def test_the_best_only(self, name, data, tmp_path):
        scores = [0.5, 0.9, 0.7, 0.8]
        model = model_of(name)
        model.train(
            *data,
            Recipe(4, 8, 0.1, monitor="validation_score"),
            validation=Validation(*data, score=lambda y: scores.pop(0)),
            callbacks=[SaveModel(tmp_path / "best", best_only=True)],
        )
        assert cnn_core.load(tmp_path / "best").epochs_done == 2

    def test_a_failure_while_writing_leaves_the_file_before(
        self, name, data, tmp_path, monkeypatch
    ):
        path = tmp_path / "model"
        model = model_of(name)
        train(model, data, SaveModel(path), epochs=1)
        before = path.read_bytes()

        def full_disk(descriptor):
            raise OSError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full_disk)
            with pytest.raises(OSError, match="no space left"):
                train(model, data, SaveModel(path))
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]
        assert cnn_core.load(path).epochs_done == 1

    def test_of_an_nn_is_an_nn(self, name, data, tmp_path):
        net = NN(6, 4, 3, 0.5, 2, seed=0, backend=name)
        net.fit(*data, callbacks=[SaveModel(tmp_path / "net")])
        found = cnn_core.load(tmp_path / "net", backend=name)
        assert isinstance(found, NN)
        assert np.array_equal(found.predict(data[0]), net.predict(data[0]))

    def test_is_written_every_so_many_epochs(self):
        with pytest.raises(ValueError, match="every: expected at least 1, found 0"):
            SaveModel("model", every=0)
