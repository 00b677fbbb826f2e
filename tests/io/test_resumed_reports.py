"""What a resumed training reports and records: the whole training, each epoch once."""

import sys
from functools import partial

import numpy as np
import pytest

import cnn_core
from checkpointed import EPOCHS, KIND, NETWORKS, KillAfter, KilledError, data, epochs_in, train
from cnn_core import NN, Checkpoint, training
from cnn_core.callbacks import CSVLog, ProgressBar, SaveModel
from cnn_core.io.checkpoint import CheckpointSession
from cnn_core.model import Model
from cnn_core.training import Recipe


def test_the_table_of_a_resumed_training_has_each_epoch_once(tmp_path):
    network, settings = NETWORKS[KIND]
    log = CSVLog(tmp_path / "log.csv")
    with pytest.raises(KilledError):
        train(network, "numpy", settings, tmp_path / "file", log, KillAfter(5), every=2)
    train(network, "numpy", settings, tmp_path / "file", log, every=2)
    assert epochs_in(tmp_path / "log.csv") == [1, 2, 3, 4, 5, 6]


def test_the_table_has_each_epoch_once_also_if_there_was_no_time_for_a_checkpoint(tmp_path):
    network, settings = NETWORKS[KIND]
    for epoch in (0, 1, 2):
        log = CSVLog(tmp_path / "log.csv")
        with pytest.raises(KilledError):
            train(network, "numpy", settings, tmp_path / "file", log, KillAfter(epoch), every=4)
    train(network, "numpy", settings, tmp_path / "file", log, every=4)
    assert epochs_in(tmp_path / "log.csv") == [1, 2, 3, 4, 5, 6]


def test_a_table_that_has_lost_lines_gives_a_warning(tmp_path):
    network, settings = NETWORKS[KIND]
    log = CSVLog(tmp_path / "log.csv")
    with pytest.raises(KilledError):
        train(network, "numpy", settings, tmp_path / "file", log, KillAfter(3))
    (tmp_path / "log.csv").unlink()
    with pytest.warns(UserWarning, match=r"log\.csv: expected the .* bytes .* are missing"):
        train(network, "numpy", settings, tmp_path / "file", log)
    assert epochs_in(tmp_path / "log.csv") == [4, 5, 6]


def test_reports_of_a_resumed_training_have_the_numbers_of_the_whole(tmp_path, capsys):
    def fit(*callbacks):
        net = NN(4, 5, 3, 0.5, EPOCHS, batch_size=8, seed=0, verbose=True, backend="numpy")
        told = (ProgressBar(stream=sys.stdout), SaveModel(tmp_path / "at-{epoch}"), *callbacks)
        path = Checkpoint(tmp_path / "file", every_epochs=2)
        return net.fit(*data(), callbacks=told, checkpoint=path)

    with pytest.raises(KilledError):
        fit(KillAfter(3))
    (tmp_path / "at-3").write_bytes(b"half of")
    capsys.readouterr()
    history = fit().history
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[::2]] == [["epoch", f"{n}/6"] for n in (3, 4, 5, 6)]
    assert lines[::2] == lines[1::2]
    assert [line.split()[3] for line in lines[::2]] == [f"{x:.5f}" for x in history["loss"][2:]]
    saved = [cnn_core.load(tmp_path / f"at-{number}") for number in range(1, 7)]
    assert [net.model.epochs_done for net in saved] == [1, 2, 3, 4, 5, 6]


def test_killed_in_its_first_epoch_a_training_without_a_seed_has_its_seed(name, tmp_path):
    def fit(*callbacks):
        net = NN(4, 5, 3, 0.5, EPOCHS, batch_size=8, backend=name)
        return net.fit(*data(), callbacks=callbacks, checkpoint=tmp_path / "file")

    np.random.seed(7)
    with pytest.raises(KilledError):
        fit(KillAfter(0))
    first = cnn_core.load(tmp_path / "file")
    assert (first.epochs_done, first.steps, first.history) == (0, 0, {})
    assert fit().model.seed == first.seed


def test_a_resumed_training_has_the_rest_of_its_time_budget(tmp_path):
    network, _ = NETWORKS["early stopping"]

    class Clock:
        now = 0.0

        def __call__(self):
            self.now += 0.1
            return self.now

    def budgeted(*callbacks):
        model = Model(network, seed=3, backend="numpy")
        clock = Clock()
        checkpoint = Checkpoint(tmp_path / "file", every_epochs=1)
        state = training.train(
            model.initialize("auto", np.random.RandomState(1)),
            training.TrainingData(*data()),
            Recipe(1000, 8, 0.1, "cosine", time_budget=20.0),
            callbacks=callbacks,
            open_checkpoint=partial(CheckpointSession, checkpoint, seeded=True),
            clock=clock,
        )
        return model, state, clock.now

    with pytest.raises(KilledError):
        budgeted(KillAfter(3))
    model, state, seconds = budgeted()
    assert model.epochs_done > 4
    assert 10 < seconds < 19.5
    assert "budget" in state.stopped_because
