"""``cnn-core train`` learns real data, by every preset, and leaves a complete run folder behind."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pty
import re
import signal
import struct
import subprocess
import sys
from datetime import datetime

import numpy as np
import pytest
from matplotlib import image
from sklearn.metrics import log_loss

import cnn_core
from cnn_core import Dense, Network
from cnn_core.callbacks import Callback
from cnn_core.cli import (
    main,
    plan_nn,
    records,
    run_folder,
    run_report,
    sources,
    trained_model,
    training,
)
from cnn_core.data import fashion_mnist, load_digits, load_fashion_mnist
from cnn_core.estimators.presets import PRESETS
from cnn_core.model import Model
from command_line import PICTURES, RUN_FILES, accuracy_in, record_of, refused, rows_of, succeed
from installation import BACKENDS


@pytest.fixture(scope="module")
def fashion_run(tmp_path_factory):
    """A run with all defaults, and what it printed."""
    folder = tmp_path_factory.mktemp("fashion") / "run"
    return folder, succeed("train", "--out", folder)


@pytest.mark.slow
class TestTrainOnFashionMnist:
    def test_the_defaults_reach_the_promised_accuracy_on_all_test_images(self, fashion_run):
        folder, _ = fashion_run
        data = load_fashion_mnist()
        net = cnn_core.load(folder / "model.safetensors")
        accuracy = np.mean(net.predict(data.x_test.reshape(10_000, 784)) == data.y_test)
        assert accuracy >= 0.88
        assert record_of(folder)["result"]["test_accuracy"] == accuracy
        assert [coefs.shape for coefs in net.coefs_] == [(784, 128), (128, 10)]

    def test_all_images_are_used(self, fashion_run):
        data = record_of(fashion_run[0])["data"]
        assert data["training_samples"] == 60_000
        assert data["test_samples"] == 10_000
        assert data["sha256"] == {file.stem: file.sha256 for file in fashion_mnist.FILES}

    def test_the_run_folder_is_complete_and_nothing_lies_beside_it(self, fashion_run):
        folder, _ = fashion_run
        assert {path.name for path in folder.iterdir()} == RUN_FILES
        assert list(folder.parent.iterdir()) == [folder]

    def test_the_pictures_are_1200_pixels_wide_and_not_empty(self, fashion_run):
        for name in PICTURES:
            pixels = image.imread(fashion_run[0] / name)
            assert pixels.shape[1] == 1200
            assert pixels[..., :3].std() > 0.05

    def test_the_report_puts_the_truth_first(self, fashion_run):
        folder, printed = fashion_run
        data = load_fashion_mnist()
        net = cnn_core.load(folder / "model.safetensors")
        predicted = net.predict(data.x_test.reshape(10_000, 784))
        shirt = data.class_names.index("Shirt")
        right = np.sum((predicted == shirt) & (data.y_test == shirt))
        precision, recall = right / np.sum(predicted == shirt), right / 1000
        assert abs(precision - recall) > 0.001, "the two must differ for this test to tell"
        report = (folder / "report.txt").read_text(encoding="utf-8")
        line = re.search(r"^ *Shirt +([\d.]+) +([\d.]+)", report, re.MULTILINE)
        assert float(line[1]) == pytest.approx(precision, abs=6e-5)
        assert float(line[2]) == pytest.approx(recall, abs=6e-5)
        assert line[0] in printed

    def test_the_history_has_a_row_for_each_epoch(self, fashion_run):
        folder, _ = fashion_run
        record = record_of(folder)
        rows = rows_of(folder / "history.csv")
        epochs = record["settings"]["epochs"]
        assert [int(row["epoch"]) for row in rows] == list(range(1, 1 + epochs))
        assert float(rows[-1]["test_accuracy"]) == record["result"]["test_accuracy"]
        assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
        seconds = sum(float(row["seconds"]) for row in rows)
        assert record["result"]["training_seconds"] == pytest.approx(seconds)

    def test_the_record_says_what_computed_and_with_which_weights(self, fashion_run):
        folder, _ = fashion_run
        record = record_of(folder)
        assert record["backend"] == cnn_core.backend_info()
        assert record["cnn_core"] == cnn_core.__version__
        assert record["interrupted"] is False
        net = cnn_core.load(folder / "model.safetensors")
        weights = b"".join(
            np.asarray(array, "<f4").tobytes()
            for values in net.model_.predicting_layers
            for array in (values[0].T, values[1])
        )
        assert record["result"]["weights_sha256"] == hashlib.sha256(weights).hexdigest()

    def test_the_summary_names_accuracy_preset_network_seconds_backend_and_folder(
        self, fashion_run
    ):
        folder, printed = fashion_run
        summary = printed[printed.index("test accuracy") :]
        assert "784-128-10, relu (preset fast)" in summary
        assert re.search(r"[\d.]+ s for \d+ epochs", summary)
        assert f"{record_of(folder)['result']['test_accuracy']:.4f}" in summary
        assert cnn_core.backend_info()["isa"] in summary
        assert "samples/s" in summary
        assert f"{folder.name}\n" in summary

    def test_evaluate_finds_the_accuracy_of_the_training_again(self, fashion_run):
        printed = succeed("evaluate", fashion_run[0])
        assert accuracy_in(printed) == pytest.approx(
            record_of(fashion_run[0])["result"]["test_accuracy"], abs=5e-5
        )
        assert "Ankle boot" in printed
        assert "network   784-128-10, relu\n" in printed

    def test_predict_names_the_class_of_each_image_of_an_idx_file(self, fashion_run, tmp_path):
        folder, _ = fashion_run
        data = load_fashion_mnist()
        images = data.x_test[:7]
        file = tmp_path / "images-idx3-ubyte"
        file.write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes())
        printed = succeed("predict", folder, file)
        net = cnn_core.load(folder / "model.safetensors")
        classes = net.predict(images.reshape(7, 784))
        assert printed.splitlines() == [
            "sample,class",
            *(f"{i},{data.class_names[number]}" for i, number in enumerate(classes)),
        ]


class TestTrain:
    @pytest.mark.parametrize("preset", ["fast", "nn"])
    def test_one_seed_gives_one_network(self, tmp_path, preset):
        def weights(name, seed):
            folder = tmp_path / name
            arguments = ("--data", "digits", "--epochs", 2, "--seed", seed, "--out", folder)
            arguments = (*arguments, "--preset", preset)
            succeed("train", *arguments, "--no-plots", "--quiet")
            return record_of(folder)["result"]["weights_sha256"]

        assert weights("a", 1) == weights("b", 1) != weights("c", 2)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_the_backend_that_was_asked_for_computes_and_is_recorded(self, tmp_path, backend):
        arguments = ("--data", "digits", "--epochs", 30, "--backend", backend)
        succeed("train", *arguments, "--out", tmp_path / "run", "--quiet")
        record = record_of(tmp_path / "run")
        assert record["backend"]["backend"] == backend
        assert record["result"]["test_accuracy"] > 0.9

    def test_settings_of_an_nn_are_those_that_were_typed(self, tmp_path):
        arguments = ("--hidden", 9, "--epochs", 3, "--batch-size", 50, "--learning-rate", 0.25)
        folder = tmp_path / "run"
        typed = ["train", "--data", "digits", "--preset", "nn", *arguments]
        typed += ["--seed", 4, "--out", folder]
        succeed(*typed, "--dtype", "float64", "--no-plots", "--quiet")
        net = cnn_core.load(folder / "model.safetensors")
        assert (net.hidden_neurons, net.epochs, net.batch_size) == (9, 3, 50)
        assert (net.lr, net.seed, net.dtype) == (0.25, 4, np.float64)
        assert {path.name for path in folder.iterdir()} == RUN_FILES - PICTURES
        assert record_of(folder)["command"][:2] == ["cnn-core", "train"]

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_the_threads_are_reported_and_recorded_where_they_are_ours(
        self, tmp_path, capsys, backend
    ):
        arguments = ("--data", "digits", "--epochs", 1, "--no-plots", "--backend", backend)
        printed = succeed("train", *arguments, "--threads", 3, "--out", tmp_path / "run")
        record = record_of(tmp_path / "run")
        assert record["settings"]["threads"] == 3
        said = capsys.readouterr().err
        if backend == "numpy":
            assert record["backend"]["threads"] is None
            assert "--threads has no effect" in said
        else:
            assert record["backend"]["threads"] == 3
            assert "3 threads" in re.search("^network .*$", printed, re.MULTILINE)[0]
            assert "no effect" not in said

    @pytest.mark.parametrize(
        ("hidden", "rate"), [(1, 1.0), (128, 1.0), (129, 128 / 129), (512, 0.25)]
    )
    def test_the_default_learning_rate_of_an_nn_falls_with_the_width_beyond_128(self, hidden, rate):
        assert plan_nn.default_learning_rate(hidden) == rate

    def test_a_wide_nn_learns_with_the_defaults(self, tmp_path):
        arguments = ("--data", "digits", "--preset", "nn", "--hidden", 1000, "--epochs", 40)
        succeed("train", *arguments, "--out", tmp_path / "run", "--no-plots", "--quiet")
        record = record_of(tmp_path / "run")
        assert record["settings"]["learning_rate"] == 0.128
        assert record["result"]["test_accuracy"] > 0.9

    def test_a_training_that_failed_is_not_silent(self, tmp_path, capsys):
        arguments = ("--data", "digits", "--preset", "nn", "--hidden", 1000, "--epochs", 2)
        arguments = (*arguments, "--learning-rate", 30, "--out", tmp_path / "run")
        succeed("train", *arguments, "--no-plots", "--quiet")
        said = capsys.readouterr().err
        assert "no better than always answering the largest class" in said
        assert "try a --learning-rate below 30" in said

    def test_one_epoch_is_no_plural(self, tmp_path):
        arguments = ("--data", "digits", "--epochs", 1, "--no-plots", "--out", tmp_path / "run")
        printed = succeed("train", *arguments)
        assert "1 epoch in batches" in printed
        assert "s for 1 epoch," in printed
        assert "1 epochs" not in printed

    def test_the_split_of_the_digits_is_not_said_to_be_their_own(self, tmp_path):
        arguments = ("--data", "digits", "--epochs", 1, "--no-plots", "--out", tmp_path / "run")
        expected = "360 samples: a fixed fifth of the digits, held out"
        assert expected in succeed("train", *arguments)
        assert expected in succeed("evaluate", tmp_path / "run")

    @pytest.mark.parametrize("preset", ["fast", "nn"])
    def test_a_validation_share_is_held_out_and_measured_instead_of_the_test_part(
        self, tmp_path, preset
    ):
        folder = tmp_path / "run"
        arguments = ("--data", "digits", "--epochs", 5, "--validation-share", 0.25)
        arguments = (*arguments, "--preset", preset)
        printed = succeed("train", *arguments, "--out", folder)
        data = record_of(folder)["data"]
        assert data["training_samples"] + data["validation_samples"] == 1437
        assert data["validation_samples"] == pytest.approx(1437 / 4, abs=1)
        rows = rows_of(folder / "history.csv")
        assert "test_accuracy" not in rows[0]
        accuracies = np.array([float(row["validation_accuracy"]) for row in rows])
        assert data["validation_samples"] != data["test_samples"]
        hits = accuracies * data["validation_samples"]
        np.testing.assert_allclose(hits, hits.round(), atol=1e-6)
        assert f"{accuracies[-1]:.4f}" in printed

    def test_quiet_prints_one_line_and_no_progress(self, tmp_path, capsys):
        arguments = ["--data", "digits", "--epochs", "2", "--no-plots", "--quiet"]
        assert main(["train", *arguments, "--out", str(tmp_path / "run")]) == 0
        out, err = capsys.readouterr()
        assert re.fullmatch(r"test accuracy 0\.\d{4}  \S+/run\n", out)
        assert err == ""

    def test_progress_is_plain_lines_where_there_is_no_terminal(self, tmp_path, capsys):
        arguments = ["--data", "digits", "--epochs", "200", "--no-plots"]
        assert main(["train", *arguments, "--out", str(tmp_path / "run")]) == 0
        out, err = capsys.readouterr()
        assert "samples/s" in err
        assert err.count("\n") >= 5
        assert err.splitlines()[-1].startswith("training: epoch 200/200  loss 0.")
        assert "\x1b" not in out + err

    def test_progress_is_a_bar_on_a_terminal(self, tmp_path):
        ours, theirs = pty.openpty()
        command = ["train", "--data", "digits", "--epochs", "3", "--no-plots", "--out"]
        with subprocess.Popen(
            [sys.executable, "-m", "cnn_core", *command, tmp_path / "run"],
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        ) as process:
            os.close(theirs)
            shown = b""
            # Reading fails, on Linux, when the other end was closed.
            with contextlib.suppress(OSError):
                while piece := os.read(ours, 4096):
                    shown += piece
            os.close(ours)
        assert process.returncode == 0
        last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", shown.decode())
        lines = " ".join(last.split())
        for word in ("training", "3/3", "loss ", "test 0.", "samples/s"):
            assert word in lines
        assert "…" not in lines

    def test_the_default_folder_is_named_by_date_and_data_and_never_taken_twice(
        self, tmp_path, monkeypatch
    ):
        class Stopped(datetime):
            @classmethod
            def now(cls, tz=None):
                return cls(2030, 1, 2, 3, 4, 5, tzinfo=tz)

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(run_folder, "datetime", Stopped)
        arguments = ("train", "--data", "digits", "--epochs", 1, "--no-plots", "--quiet")
        first = succeed(*arguments)
        before = (tmp_path / "runs/20300102-030405-digits/model.safetensors").stat()
        assert first.split()[-1] == "runs/20300102-030405-digits"
        assert succeed(*arguments).split()[-1] == "runs/20300102-030405-digits-2"
        after = (tmp_path / "runs/20300102-030405-digits/model.safetensors").stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
        assert len(list((tmp_path / "runs").iterdir())) == 2

    def test_an_empty_folder_is_taken_and_a_full_one_refused(self, tmp_path, capsys):
        (tmp_path / "empty").mkdir()
        succeed("train", "--data", "digits", "--epochs", 1, "--out", tmp_path / "empty", "--quiet")
        assert {path.name for path in (tmp_path / "empty").iterdir()} == RUN_FILES
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "mine.txt").write_text("mine")
        error = refused(capsys, "train", "--data", "digits", "--out", tmp_path / "full")
        assert "--out: expected a new or empty folder, found a folder that is not empty" in error
        assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]

    def test_a_folder_that_another_run_took_meanwhile_costs_no_result(
        self, tmp_path, capsys, monkeypatch
    ):
        fit = cnn_core.MLPClassifier.fit

        def fit_beside_another_run(*arguments, **options):
            (tmp_path / "same").mkdir()
            (tmp_path / "same" / "run.json").write_text("the other one")
            return fit(*arguments, **options)

        monkeypatch.setattr(cnn_core.MLPClassifier, "fit", fit_beside_another_run)
        monkeypatch.chdir(tmp_path)
        arguments = ("--data", "digits", "--epochs", 30, "--out", "same", "--no-plots", "--quiet")
        assert succeed("train", *arguments).endswith("  same-2\n")
        assert capsys.readouterr().err == (
            "cnn-core: note: another run was written to same meanwhile; this one is in same-2\n"
        )
        assert (tmp_path / "same" / "run.json").read_text() == "the other one"
        assert {path.name for path in (tmp_path / "same-2").iterdir()} == RUN_FILES - PICTURES
        assert sorted(path.name for path in tmp_path.iterdir()) == ["same", "same-2"]

    @pytest.mark.parametrize("named", [True, False])
    def test_a_full_disk_is_reported_with_the_folder_as_typed(
        self, tmp_path, capsys, monkeypatch, named
    ):
        def full(path, *_):
            raise OSError(errno.ENOSPC, "No space left on device", *([str(path)] if named else []))

        monkeypatch.setattr(records, "write_json", full)
        monkeypatch.chdir(tmp_path)
        arguments = ("--data", "digits", "--epochs", 30, "--out", "mine", "--quiet")
        error = refused(capsys, "train", *arguments)
        assert error == "cnn-core: error: mine: No space left on device\n"
        assert list(tmp_path.iterdir()) == []

    def test_a_failure_without_a_checkpoint_leaves_nothing_behind(
        self, tmp_path, capsys, monkeypatch
    ):
        def full(*_, **__):
            raise OSError(28, "No space left on device", "curves.png")

        monkeypatch.setattr(run_report, "plot_curves", full)
        arguments = ["--data", "digits", "--epochs", "1", "--out", str(tmp_path / "run")]
        assert main(["train", *arguments, "--quiet", "--checkpoint-every", "never"]) == 2
        assert capsys.readouterr().err == "cnn-core: error: curves.png: No space left on device\n"
        assert list(tmp_path.iterdir()) == []


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


class TestInterruption:
    def interrupt_in(self, monkeypatch, epoch):
        @contextlib.contextmanager
        def shown(*_, **__):
            def on_epoch(record):
                if record.epoch == epoch:
                    raise KeyboardInterrupt

            yield on_epoch

        monkeypatch.setattr(training, "epochs_shown", shown)

    @pytest.mark.parametrize("preset", ["fast", "nn"])
    def test_what_was_learned_is_kept_and_marked(self, tmp_path, capsys, monkeypatch, preset):
        self.interrupt_in(monkeypatch, 3)
        folder = tmp_path / "run"
        arguments = ["--data", "digits", "--epochs", "9", "--preset", preset]
        assert main(["train", *arguments, "--out", str(folder)]) == 130
        to_go_on = {"checkpoint.safetensors", "training.json"}
        assert {path.name for path in folder.iterdir()} == RUN_FILES | to_go_on
        record = record_of(folder)
        assert record["interrupted"] is True
        assert record["result"]["epochs"] == 3
        assert record["settings"]["epochs"] == 9
        assert len(rows_of(folder / "history.csv")) == 3
        out, err = capsys.readouterr()
        assert "interrupted after 3 of 9 epochs" in out
        assert err == (
            "cnn-core: note: interrupted after 3 epochs; what was learned is kept\n"
            f"cnn-core: note: cnn-core train --resume {folder} goes on to the end\n"
        )
        assert accuracy_in(succeed("evaluate", folder)) == pytest.approx(
            record["result"]["test_accuracy"], abs=5e-5
        )

    @pytest.mark.parametrize("preset", ["fast", "nn"])
    def test_an_interruption_before_the_first_epoch_leaves_nothing(
        self, tmp_path, capsys, monkeypatch, preset
    ):
        def interrupted(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(Model, "train", interrupted)
        arguments = ["--data", "digits", "--preset", preset, "--out", str(tmp_path / "run")]
        assert main(["train", *arguments]) == 130
        assert capsys.readouterr().err == "cnn-core: interrupted: nothing was written\n"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.slow
    @pytest.mark.parametrize("preset", ["fast", "nn"])
    def test_control_c_ends_a_real_training_with_its_run_folder(self, tmp_path, preset):
        command = ["train", "--data", "digits", "--epochs", "10000000", "--no-plots"]
        command += ["--preset", preset, "--out"]
        with subprocess.Popen(
            [sys.executable, "-m", "cnn_core", *command, tmp_path / "run"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # A parent may have switched the signal off, as shells do in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:
            try:
                while "epoch 1/" not in process.stderr.readline():
                    assert process.poll() is None
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=60)
            finally:
                process.kill()
        assert process.returncode == 130
        assert "what was learned is kept" in err
        assert "Traceback" not in err
        assert record_of(tmp_path / "run")["interrupted"] is True
