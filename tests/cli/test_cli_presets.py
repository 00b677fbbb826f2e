"""Presets of ``cnn-core train``: what they set, and what replaces parts of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.metrics import log_loss

import cnn_core
from cnn_core import Dense, Network
from cnn_core.callbacks import Callback
from cnn_core.cli import (
    sources,
    trained_model,
)
from cnn_core.data import load_digits
from cnn_core.estimators.presets import PRESETS
from command_line import record_of, refused, rows_of, succeed


class TestPresets:
    QUICK = ("train", "--data", "digits", "--no-plots", "--quiet")

    @pytest.mark.parametrize("name", PRESETS)
    def test_the_library_has_the_preset_that_was_asked_for(self, tmp_path, name):
        succeed(*self.QUICK, "--preset", name, "--epochs", 1, "--out", tmp_path / "run")
        net = cnn_core.load(tmp_path / "run" / "model.safetensors")
        overrides = {"input_scale": 1 / 16, "max_iter": 1, "random_state": 0}
        expected = cnn_core.MLPClassifier.preset(name, **overrides)
        assert net.get_params() == expected.get_params()
        assert record_of(tmp_path / "run")["settings"]["preset"] == name

    def test_the_help_has_a_line_for_each_preset_with_its_network(self):
        printed = succeed("train", "--help")
        for name, settings in PRESETS.items():
            sizes = "-".join(map(str, settings["hidden_layer_sizes"]))
            assert re.search(
                rf"^  {name} +{sizes}, .*{settings['max_iter']} epochs$", printed, re.M
            )
        assert re.search(r"^  nn +128, sigmoid; ", printed, re.M)

    def test_what_was_typed_replaces_parts_of_the_preset(self, tmp_path):
        folder = tmp_path / "run"
        network = ("--hidden", "20,10", "--activation", "tanh", "--dropout", 0.1)
        network = (*network, "--normalization", "layer", "--optimizer", "lion")
        steps = ("--epochs", 3, "--batch-size", 50, "--learning-rate", 0.002)
        steps = (*steps, "--schedule", "cosine", "--seed", 4, "--dtype", "float64")
        succeed(*self.QUICK, *network, *steps, "--out", folder)
        net = cnn_core.load(folder / "model.safetensors")
        assert net.model_.network.layers[:-1] == (
            Dense(64, 20, "tanh", 0.1, "layer"),
            Dense(20, 10, "tanh", 0.1, "layer"),
        )
        assert (net.solver, net.schedule, net.batch_size) == ("lion", "cosine", 50)
        assert (net.learning_rate_init, net.random_state, net.n_iter_) == (0.002, 4, 3)
        assert net.model_.dtype == np.float64
        settings = record_of(folder)["settings"]
        assert settings["hidden"] == [20, 10]
        assert (settings["optimizer"], settings["schedule"]) == ("lion", "cosine")

    def test_settings_of_the_optimizer_and_the_loss(self, tmp_path):
        arguments = ("--weight-decay", 0.02, "--clip-norm", 1.5, "--label-smoothing", 0.2)
        arguments = (*arguments, "--optimizer", "lion", "--epochs", 1, "--out", tmp_path / "run")
        succeed(*self.QUICK, *arguments)
        net = cnn_core.load(tmp_path / "run" / "model.safetensors")
        assert net.model_.network.optimizer.weight_decay == 0.02
        assert (net.model_.network.clip_norm, net.label_smoothing) == (1.5, 0.2)

    def test_a_normalization_of_the_preset_can_be_left_out(self, tmp_path):
        arguments = ("--preset", "best", "--hidden", 9, "--normalization", "none", "--dropout", 0)
        succeed(*self.QUICK, *arguments, "--epochs", 1, "--out", tmp_path / "run")
        net = cnn_core.load(tmp_path / "run" / "model.safetensors")
        assert net.model_.network.layers[0] == Dense(64, 9, "relu")

    @pytest.mark.parametrize("optimizer", ["adamw", "adam", "nadam", "rmsprop", "lion", "sgd"])
    def test_every_optimizer_learns_at_its_default_rate(self, tmp_path, optimizer):
        arguments = ("--optimizer", optimizer, "--epochs", 60, "--out", tmp_path / "run")
        succeed(*self.QUICK, *arguments)
        assert record_of(tmp_path / "run")["result"]["test_accuracy"] > 0.93

    def test_a_time_budget_ends_the_training(self, tmp_path):
        folder = tmp_path / "run"
        arguments = ("--data", "digits", "--no-plots", "--time-budget", 0.3)
        printed = succeed("train", *arguments, "--out", folder)
        assert "preset fast: 0.3 s in batches of" in printed
        record = record_of(folder)
        assert record["interrupted"] is False
        assert record["settings"]["time_budget"] == 0.3
        assert record["settings"]["epochs"] is None
        assert len(rows_of(folder / "history.csv")) == record["result"]["epochs"] >= 1

    def test_patience_ends_the_training_and_keeps_the_best_weights(self, tmp_path, capsys):
        folder = tmp_path / "run"
        arguments = ("--data", "digits", "--no-plots", "--patience", 3, "--epochs", 200)
        printed = succeed("train", *arguments, "--schedule", "constant", "--out", folder)
        record = record_of(folder)
        data = load_digits()
        rest, held_out = sources.split_off(data.y_train.astype(int), data.class_names, 0.1)
        assert record["data"]["training_samples"] == len(rest)
        assert record["data"]["validation_samples"] == len(held_out)
        accuracies = [float(row["validation_accuracy"]) for row in rows_of(folder / "history.csv")]
        best = 1 + int(np.argmax(accuracies))
        assert best < len(accuracies) < 200
        assert record["result"]["kept_epoch"] == best
        assert f"kept           the weights of epoch {best}, the best one" in printed
        net = cnn_core.load(folder / "model.safetensors")
        samples = data.x_train[held_out].reshape(-1, 64)
        assert net.score(samples, data.y_train[held_out]) == max(accuracies)
        # Nobody knew before that it would be the last one.
        assert f"epoch {len(accuracies)}/200" in capsys.readouterr().err.splitlines()[-1]

    def test_a_training_with_patience_that_diverges_at_once_is_an_error(self, tmp_path, capsys):
        arguments = ("--patience", 2, "--learning-rate", "1e30", "--out", tmp_path / "run")
        with np.errstate(all="ignore"):
            error = refused(capsys, *self.QUICK, *arguments)
        assert "error: the loss became" in error
        assert "in epoch 1" in error
        assert list(tmp_path.iterdir()) == []

    def test_a_training_with_patience_that_diverges_later_keeps_what_was_good(
        self, tmp_path, capsys, monkeypatch
    ):
        fit = cnn_core.MLPClassifier.fit

        def fit_with_a_mistake(self, *arguments, **options):
            self.callbacks = [*self.callbacks, TooFast()]
            return fit(self, *arguments, **options)

        class TooFast(Callback):
            def on_epoch_end(self, state):
                if state.epoch == 5:
                    state.learning_rate = 1e300

        monkeypatch.setattr(cnn_core.MLPClassifier, "fit", fit_with_a_mistake)
        arguments = ("--patience", 50, "--epochs", 30, "--out", tmp_path / "run")
        with np.errstate(all="ignore"):
            succeed(*self.QUICK, *arguments)
        record = record_of(tmp_path / "run")
        assert record["result"]["epochs"] == 5
        assert record["interrupted"] is False
        assert "the best weights before were kept" in capsys.readouterr().err

    def test_the_reported_loss_is_that_of_the_labels_as_they_are(self, tmp_path):
        folder = tmp_path / "run"
        succeed(*self.QUICK, "--preset", "best", "--hidden", 20, "--epochs", 5, "--out", folder)
        data = load_digits()
        net = cnn_core.load(folder / "model.safetensors")
        assert net.label_smoothing > 0
        expected = log_loss(data.y_test, net.predict_proba(data.x_test.reshape(-1, 64)))
        assert record_of(folder)["result"]["test_loss"] == pytest.approx(expected, rel=1e-5)

    def test_a_network_is_described_in_a_line(self):
        hidden = (Dense(784, 512, "relu", 0.3, "batch"), Dense(512, 256, "relu", 0.3, "batch"))
        network = Network((*hidden, Dense(256, 10, "softmax")), "cross_entropy")
        expected = "784-512-256-10, relu, batch normalization, dropout 0.3"
        assert trained_model.describe_network(network) == expected
