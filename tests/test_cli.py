"""The command line does what its help says, on real data, and refuses what it cannot do."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import sysconfig
from dataclasses import replace
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import image

import cnn_core
from cnn_core import backends
from cnn_core.cli import article, bench, console, main, run_folder, sources, train
from cnn_core.cli import info as info_command
from cnn_core.cli.contenders.check import Check, check
from cnn_core.cli.contenders.numpy_loop import NumpyLoop
from cnn_core.cli.contenders.process import (
    ContenderError,
    Job,
    Outcome,
    environment,
    measure,
    usable_cores,
)
from cnn_core.cli.contenders.work import Samples, Work, start_weights
from cnn_core.data import DataNotFoundError, fashion_mnist, load_digits, load_fashion_mnist
from cnn_core.model_file import read_tensors, write_tensors
from conftest import BACKENDS

PICTURES = {"curves.png", "confusion.png", "gallery.png"}
RUN_FILES = {"model.safetensors", "run.json", "history.csv", "report.txt"} | PICTURES


def succeed(*arguments) -> str:
    """Carry a command out that must succeed, and return what it printed."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        code = main([str(argument) for argument in arguments])
    assert code == 0
    return text.getvalue()


def refused(capsys, *arguments) -> str:
    """Return the one line with which a command is refused."""
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("cnn-core: error: ")
    return err


def process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "cnn_core", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def in_shell(command, folder):
    """Carry a command out as a shell does, with its redirections; ``$PYTHON`` is the interpreter.

    Output is buffered, as it is where nobody changed that.
    """
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PYTHON": sys.executable, "PYTHONUNBUFFERED": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )


def record_of(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def accuracy_in(text):
    return float(re.search(r"^accuracy +([\d.]+)", text, re.MULTILINE)[1])


@pytest.fixture(scope="module")
def fashion_run(tmp_path_factory):
    """A run with all defaults, and what it printed."""
    folder = tmp_path_factory.mktemp("fashion") / "run"
    return folder, succeed("train", "--out", folder)


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "run"
    succeed("train", "--data", "digits", "--epochs", 40, "--out", folder, "--quiet")
    return folder


@pytest.fixture(scope="module")
def article_run(tmp_path_factory):
    """The published experiment with few epochs, and what it printed."""
    folder = tmp_path_factory.mktemp("article") / "run"
    return folder, succeed("article", "--epochs", 4, "--out", folder, "--quiet")


@pytest.fixture
def flowers(tmp_path):
    """A table with named columns and named classes, its features on very different scales."""
    rng = np.random.default_rng(5)
    path = tmp_path / "flowers.csv"
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["length", "kind", "weight"])
        for number in range(60):
            kind = ("lily", "rose", "tulip")[number % 3]
            at = number % 3
            writer.writerow([1000 + 10 * at + rng.normal(), kind, 0.01 * at + 1e-3 * rng.normal()])
    return path


class TestTrainOnFashionMnist:
    def test_the_defaults_reach_the_promised_accuracy_on_all_test_images(self, fashion_run):
        folder, _ = fashion_run
        data = load_fashion_mnist()
        net = cnn_core.load(folder / "model.safetensors")
        outputs = net.predict(data.x_test.reshape(10_000, 784))
        accuracy = np.mean(outputs.argmax(axis=1) == data.y_test)
        assert accuracy >= 0.875
        assert record_of(folder)["result"]["test_accuracy"] == accuracy
        assert (net.input_neurons, net.hidden_neurons, net.output_neurons) == (784, 128, 10)

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
        predicted = net.predict(data.x_test.reshape(10_000, 784)).argmax(axis=1)
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
        assert [int(row["epoch"]) for row in rows] == list(range(1, 1 + train.EPOCHS))
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
            np.asarray(array, "<f4").tobytes() for array in (net.wih, net.bih, net.who, net.bho)
        )
        assert record["result"]["weights_sha256"] == hashlib.sha256(weights).hexdigest()

    def test_the_summary_names_accuracy_backend_and_folder(self, fashion_run):
        folder, printed = fashion_run
        summary = printed[printed.index("test accuracy") :]
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

    def test_predict_names_the_class_of_each_image_of_an_idx_file(self, fashion_run, tmp_path):
        folder, _ = fashion_run
        data = load_fashion_mnist()
        images = data.x_test[:7]
        file = tmp_path / "images-idx3-ubyte"
        file.write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes())
        printed = succeed("predict", folder, file)
        net = cnn_core.load(folder / "model.safetensors")
        classes = net.predict(images.reshape(7, 784)).argmax(axis=1)
        assert printed.splitlines() == [
            "sample,class",
            *(f"{i},{data.class_names[number]}" for i, number in enumerate(classes)),
        ]


class TestTrain:
    def test_one_seed_gives_one_network(self, tmp_path):
        def weights(name, seed):
            folder = tmp_path / name
            arguments = ("--data", "digits", "--epochs", 2, "--seed", seed, "--out", folder)
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

    def test_settings_are_those_that_were_typed(self, tmp_path):
        arguments = ("--hidden", 9, "--epochs", 3, "--batch-size", 50, "--learning-rate", 0.25)
        folder = tmp_path / "run"
        typed = ["train", "--data", "digits", *arguments, "--seed", 4, "--out", folder]
        succeed(*typed, "--dtype", "float64", "--no-plots", "--quiet")
        net = cnn_core.load(folder / "model.safetensors")
        assert (net.hidden_neurons, net.epochs, net.batch_size) == (9, 3, 50)
        assert (net.lr, net.seed, net.dtype) == (0.25, 4, np.float64)
        assert {path.name for path in folder.iterdir()} == RUN_FILES - PICTURES
        assert record_of(folder)["command"][:2] == ["cnn-core", "train"]

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_the_threads_are_told_and_recorded_where_they_are_ours(self, tmp_path, capsys, backend):
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
    def test_the_default_learning_rate_falls_with_the_width_beyond_128(self, hidden, rate):
        assert train.default_learning_rate(hidden) == rate

    def test_a_wide_network_learns_with_the_defaults(self, tmp_path):
        arguments = ("--data", "digits", "--hidden", 1000, "--epochs", 40, "--no-plots", "--quiet")
        succeed("train", *arguments, "--out", tmp_path / "run")
        record = record_of(tmp_path / "run")
        assert record["settings"]["learning_rate"] == 0.128
        assert record["result"]["test_accuracy"] > 0.9

    def test_a_training_that_came_to_nothing_is_no_silent_one(self, tmp_path, capsys):
        arguments = ("--data", "digits", "--hidden", 1000, "--learning-rate", 30, "--epochs", 2)
        succeed("train", *arguments, "--no-plots", "--quiet", "--out", tmp_path / "run")
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

    def test_a_validation_share_is_held_out_and_measured_instead_of_the_test_part(self, tmp_path):
        folder = tmp_path / "run"
        arguments = ("--data", "digits", "--epochs", 5, "--validation-share", 0.25)
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

    def test_progress_is_about_ten_plain_lines_where_there_is_no_terminal(self, tmp_path, capsys):
        arguments = ["--data", "digits", "--epochs", "200", "--no-plots"]
        assert main(["train", *arguments, "--out", str(tmp_path / "run")]) == 0
        out, err = capsys.readouterr()
        assert "samples/s" in err
        assert 5 <= err.count("\n") <= 15
        assert err.splitlines()[-1].startswith("training: epoch 200/200  loss 0.0")
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
        for word in ("training", "3/3", "loss 0.", "accuracy 0.", "test 0.", "samples/s"):
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
        fit = cnn_core.NN.fit

        def fit_beside_another_run(*arguments, **options):
            (tmp_path / "same").mkdir()
            (tmp_path / "same" / "run.json").write_text("the other one")
            return fit(*arguments, **options)

        monkeypatch.setattr(cnn_core.NN, "fit", fit_beside_another_run)
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
    def test_a_full_disk_is_told_with_the_folder_that_was_typed(
        self, tmp_path, capsys, monkeypatch, named
    ):
        def full(path, *_):
            raise OSError(errno.ENOSPC, "No space left on device", *([str(path)] if named else []))

        monkeypatch.setattr(run_folder, "write_json", full)
        monkeypatch.chdir(tmp_path)
        arguments = ("--data", "digits", "--epochs", 30, "--out", "mine", "--quiet")
        error = refused(capsys, "train", *arguments)
        assert error == "cnn-core: error: mine: No space left on device\n"
        assert list(tmp_path.iterdir()) == []

    def test_a_failure_leaves_nothing_behind(self, tmp_path, capsys, monkeypatch):
        def full(*_, **__):
            raise OSError(28, "No space left on device", "curves.png")

        monkeypatch.setattr(train, "plot_curves", full)
        arguments = ["--data", "digits", "--epochs", "1", "--out", str(tmp_path / "run")]
        assert main(["train", *arguments, "--quiet"]) == 2
        assert capsys.readouterr().err == "cnn-core: error: curves.png: No space left on device\n"
        assert list(tmp_path.iterdir()) == []


class TestInterruption:
    def interrupt_in(self, monkeypatch, epoch):
        @contextlib.contextmanager
        def shown(*_, **__):
            def on_epoch(record):
                if record.epoch == epoch:
                    raise KeyboardInterrupt

            yield on_epoch

        monkeypatch.setattr(train, "epochs_shown", shown)

    def test_what_was_learned_is_kept_and_marked(self, tmp_path, capsys, monkeypatch):
        self.interrupt_in(monkeypatch, 3)
        folder = tmp_path / "run"
        assert main(["train", "--data", "digits", "--epochs", "9", "--out", str(folder)]) == 130
        assert {path.name for path in folder.iterdir()} == RUN_FILES
        record = record_of(folder)
        assert record["interrupted"] is True
        assert record["result"]["epochs"] == 3
        assert record["settings"]["epochs"] == 9
        assert len(rows_of(folder / "history.csv")) == 3
        assert "interrupted after 3 of 9 epochs" in capsys.readouterr().out
        assert accuracy_in(succeed("evaluate", folder)) == pytest.approx(
            record["result"]["test_accuracy"], abs=5e-5
        )

    def test_an_interruption_before_the_first_epoch_leaves_nothing(
        self, tmp_path, capsys, monkeypatch
    ):
        def interrupted(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(cnn_core.NN, "fit", interrupted)
        assert main(["train", "--data", "digits", "--out", str(tmp_path / "run")]) == 130
        assert capsys.readouterr().err == "cnn-core: interrupted: nothing was written\n"
        assert list(tmp_path.iterdir()) == []

    def test_control_c_ends_a_real_training_with_its_run_folder(self, tmp_path):
        command = ["train", "--data", "digits", "--epochs", "10000000", "--no-plots", "--out"]
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


class TestOwnData:
    def test_a_table_is_standardised_by_its_training_part_alone(self, flowers, tmp_path):
        folder = tmp_path / "run"
        arguments = ("--data", flowers, "--target", "kind", "--out", folder)
        printed = succeed("train", *arguments)
        record = record_of(folder)
        assert record["class_names"] == ["lily", "rose", "tulip"]
        assert record["data"]["feature_names"] == ["length", "weight"]
        assert (record["data"]["training_samples"], record["data"]["test_samples"]) == (48, 12)
        assert record["result"]["test_accuracy"] > 0.9
        assert record["data"]["sha256"] == {
            "flowers.csv": hashlib.sha256(flowers.read_bytes()).hexdigest()
        }
        table = [(float(row["length"]), float(row["weight"])) for row in rows_of(flowers)]
        offset, scale = (np.array(record["preprocessing"][key]) for key in ("offset", "scale"))
        assert offset == pytest.approx(np.mean(table, axis=0), rel=0.2)
        assert (offset != np.mean(table, axis=0)).all(), "the test part must not be in the mean"
        assert scale == pytest.approx(np.std(table, axis=0), rel=0.3)
        assert not (folder / "gallery.png").exists()
        assert "no gallery" in printed

    def test_evaluate_measures_the_samples_that_were_held_out(self, flowers, tmp_path):
        folder = tmp_path / "run"
        arguments = ("--data", flowers, "--target", "kind", "--out", folder, "--epochs", 3)
        succeed("train", *arguments, "--quiet")
        printed = succeed("evaluate", folder)
        assert "12 samples" in printed
        assert "held out in training" in printed
        assert accuracy_in(printed) == pytest.approx(
            record_of(folder)["result"]["test_accuracy"], abs=5e-5
        )

    def test_evaluate_measures_all_of_another_file(self, flowers, tmp_path, capsys):
        folder = tmp_path / "run"
        succeed("train", "--data", flowers, "--target", "kind", "--out", folder, "--quiet")
        other = tmp_path / "other.csv"
        other.write_text("weight,length,kind\n0.0,1000,lily\n0.02,1020,tulip\n")
        assert "2 samples: all samples of" in succeed("evaluate", folder, "--data", other)
        assert "is not, or no longer, the file that was trained on" in capsys.readouterr().err
        other.write_text("weight,length,kind\n0.0,1000,oak\n0.02,1020,lily\n")
        error = refused(capsys, "evaluate", folder, "--data", other)
        assert "expected the classes that the run knows" in error
        assert "'oak'" in error

    def test_a_file_that_has_changed_is_only_measured_if_it_is_named(
        self, flowers, tmp_path, capsys
    ):
        folder = tmp_path / "run"
        succeed("train", "--data", flowers, "--target", "kind", "--out", folder, "--quiet")
        with open(flowers, "a", encoding="utf-8") as stream:
            stream.write("1000,lily,0\n")
        error = refused(capsys, "evaluate", folder)
        assert "flowers.csv has changed since the training" in error
        assert "to measure on all of it, pass --data" in error
        assert "61 samples: all samples of" in succeed("evaluate", folder, "--data", flowers)
        assert "also those that may have been trained on" in capsys.readouterr().err

    def test_a_table_is_read_as_in_training_if_nothing_else_is_said(self, tmp_path, capsys):
        rows = [f"{k % 2 + 0.01 * k},{-(k % 2)},{'ab'[k % 2]}\n" for k in range(20)]
        table = tmp_path / "table.csv"
        table.write_text("".join(rows))
        folder = tmp_path / "run"
        arguments = ("--data", table, "--no-header", "--out", folder, "--quiet", "--no-plots")
        succeed("train", *arguments)
        other = tmp_path / "other.csv"
        other.write_text("".join(rows[:6]))
        assert "6 samples: all samples of" in succeed("evaluate", folder, "--data", other)
        other.write_text("0,1\n1,0\n")
        assert succeed("predict", folder, other).count("\n") == 3
        error = refused(capsys, "predict", folder, table)
        assert "the 2 features that the run knows, found 3 columns; leave the column of" in error

    def test_predict_finds_columns_by_name_and_leaves_the_target_out(
        self, flowers, tmp_path, capsys
    ):
        folder = tmp_path / "run"
        succeed("train", "--data", flowers, "--target", "kind", "--out", folder, "--quiet")
        new = tmp_path / "new.csv"
        new.write_text("weight,kind,length\n0.0,?,1000\n0.01,?,1010\n0.02,?,1020\n")
        expected = ["sample,class", "0,lily", "1,rose", "2,tulip"]
        assert succeed("predict", folder, new).splitlines() == expected
        new.write_text("weight,height\n0.0,1000\n")
        error = refused(capsys, "predict", folder, new)
        assert "'length' missing" in error

    def test_predict_writes_a_file_as_a_whole_and_not_over_its_input(
        self, digits_run, tmp_path, capsys
    ):
        samples = tmp_path / "samples.npy"
        np.save(samples, load_digits().x_test)
        out = tmp_path / "predictions.csv"
        assert succeed("predict", digits_run, samples, "--out", out, "--outputs") == ""
        rows = rows_of(out)
        net = cnn_core.load(digits_run / "model.safetensors")
        outputs = net.predict(load_digits().x_test.reshape(-1, 64))
        names = [str(digit) for digit in range(10)]
        found = np.array([[float(row[name]) for name in names] for row in rows])
        np.testing.assert_allclose(found, outputs, rtol=1e-5)
        assert [row["class"] for row in rows] == [str(k) for k in outputs.argmax(axis=1)]
        before = samples.read_bytes()
        error = refused(capsys, "predict", digits_run, samples, "--out", samples)
        assert "is the file to be predicted" in error
        assert samples.read_bytes() == before
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "predictions.csv",
            "samples.npy",
        ]

    def test_an_archive_brings_its_own_test_part_and_bytes_are_divided_by_the_largest(
        self, tmp_path
    ):
        data = load_digits()
        path = tmp_path / "digits.npz"
        parts = ("x_train", "y_train", "x_test", "y_test")
        np.savez(path, **{part: getattr(data, part) for part in parts})
        folder = tmp_path / "run"
        succeed("train", "--data", path, "--epochs", 40, "--out", folder, "--quiet")
        record = record_of(folder)
        assert record["data"]["test_samples"] == len(data.x_test)
        assert record["preprocessing"]["scale"] == 16.0
        assert record["data"]["image_shape"] == [8, 8]
        assert (folder / "gallery.png").exists()
        # The same images, in the same order, as the data set that is known by name.
        named = tmp_path / "named"
        succeed("train", "--data", "digits", "--epochs", 40, "--out", named, "--quiet")
        results = [record_of(run)["result"]["weights_sha256"] for run in (folder, named)]
        assert results[0] == results[1]

    def test_bytes_are_scaled_by_the_network_and_other_numbers_before_it(self, tmp_path):
        data = load_digits()
        for name, values in (("bytes", data.x_train), ("shorts", data.x_train.astype(np.int16))):
            np.save(tmp_path / "x.npy", values)
            np.save(tmp_path / "y.npy", data.y_train)
            folder = tmp_path / name
            arguments = ("--data", tmp_path / "x.npy", "--labels", tmp_path / "y.npy")
            succeed("train", *arguments, "--epochs", 40, "--out", folder, "--quiet")
        folders = [tmp_path / name for name in ("bytes", "shorts")]
        records = [record_of(folder) for folder in folders]
        nets = [
            cnn_core.load(tmp_path / name / "model.safetensors") for name in ("bytes", "shorts")
        ]
        assert [record["preprocessing"]["in_network"] for record in records] == [True, False]
        assert [record["preprocessing"]["scale"] for record in records] == [16.0, 16.0]
        assert [net.input_scale for net in nets] == [1 / 16, 1.0]
        # A sixteenth is exact, so that the two ways compute the same.
        hashes = {record["result"]["weights_sha256"] for record in records}
        assert len(hashes) == 1

    def test_a_pair_of_arrays_with_other_numbers_as_classes(self, tmp_path):
        data = load_digits()
        np.save(tmp_path / "x.npy", data.x_train.reshape(-1, 64) / 16)
        np.save(tmp_path / "y.npy", 10 * data.y_train.astype(int) - 30)
        folder = tmp_path / "run"
        arguments = ("--data", tmp_path / "x.npy", "--labels", tmp_path / "y.npy")
        succeed("train", *arguments, "--epochs", 40, "--out", folder, "--quiet")
        record = record_of(folder)
        assert record["class_names"] == [str(number) for number in range(-30, 70, 10)]
        assert record["preprocessing"]["description"] == "as they are"
        assert record["result"]["test_accuracy"] > 0.9

    def test_values_of_another_kind_are_scaled_alike_but_not_silently(
        self, digits_run, tmp_path, capsys
    ):
        np.save(tmp_path / "scaled.npy", load_digits().x_test / 16)
        succeed("predict", digits_run, tmp_path / "scaled.npy")
        assert "trained on uint8 values, divided by 16" in capsys.readouterr().err

    def test_a_run_from_before_networks_scaled_is_used_as_it_was_meant(
        self, digits_run, tmp_path, capsys
    ):
        record = record_of(digits_run)
        del record["preprocessing"]["in_network"]
        (tmp_path / "run.json").write_text(json.dumps(record))
        model = (digits_run / "model.safetensors").read_bytes()
        (tmp_path / "model.safetensors").write_bytes(model)
        assert "do not belong together" in refused(capsys, "evaluate", tmp_path)
        tensors, metadata = read_tensors(tmp_path / "model.safetensors")
        settings = json.loads(metadata["network"])
        del settings["input_scale"]
        metadata = {"network": json.dumps(settings)}
        write_tensors(tmp_path / "model.safetensors", tensors, metadata)
        printed = succeed("evaluate", tmp_path)
        assert accuracy_in(printed) == accuracy_in(succeed("evaluate", digits_run))
        np.save(tmp_path / "x.npy", load_digits().x_test)
        expected = succeed("predict", digits_run, tmp_path / "x.npy", "--outputs")
        assert succeed("predict", tmp_path, tmp_path / "x.npy", "--outputs") == expected

    def test_the_run_is_found_from_another_folder(self, flowers, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        succeed("train", "--data", "flowers.csv", "--target", "kind", "--out", "run", "--quiet")
        monkeypatch.chdir("/")
        assert "held out in training" in succeed("evaluate", tmp_path / "run")


class TestMistakes:
    @pytest.mark.parametrize(
        ("typed", "expected"),
        [
            ("trian", "there is no command 'trian'; did you mean 'train'?"),
            ("zzz", "the commands are train, article, evaluate, predict, data, info, bench"),
            ("--verison", "--verison; did you mean --version? (see cnn-core --help)"),
            ("train iris.csv", "did you mean --data iris.csv? (see cnn-core train --help)"),
            ("train --hiden 5", "did you mean --hidden? (see cnn-core train --help)"),
            ("evaluate x --bakend=numpy", "did you mean --backend? (see cnn-core evaluate --help)"),
            ("bench extra", "unrecognized arguments: extra (see cnn-core bench --help)"),
            ("train --epochs 0", "--epochs: expected a whole number of at least 1, found '0'"),
            ("train --hidden abc", "--hidden: expected a whole number of at least 1, found 'abc'"),
            ("train --batch-size 1.5", "--batch-size: expected a whole number"),
            ("train --learning-rate nan", "expected a number above 0, found 'nan'"),
            ("train --threads 0", "--threads: expected a whole number from 1 to"),
            ("train --seed -1", "expected a whole number from 0 to 4294967295, found '-1'"),
            ("train --validation-share 1", "a share above 0 and at most 0.5, found '1'"),
            ("train --backend fast", "invalid choice: 'fast'"),
            ("train --data fashion-mnits", "did you mean fashion-mnist?"),
            ("train --data nowhere.csv", "nowhere.csv: no such file"),
            ("train --data /", "found a folder"),
            ("train --data x.npy", "name the file of their classes with --labels"),
            ("train --data x.npz --target y", "--target, --header and --no-header belong to a"),
            ("train --data x.csv --labels y.npy", "--labels belongs to an .npy file"),
            ("train --data digits --data-folder x", "--data-folder belongs to fashion-mnist"),
            ("train --data-folder /nowhere", "not found in /nowhere"),
            ("evaluate", "required: RUN"),
            ("evaluate /nowhere", "expected the folder of a run of cnn-core train, found nothing"),
            ("evaluate /", "found one without run.json and model.safetensors"),
            ("predict /nowhere x.csv", "found nothing"),
            ("article --epochs 0", "--epochs: expected a whole number of at least 1"),
            ("bench --samples 0", "--samples: expected a whole number from 1 to 60000"),
            ("data nowhere", "--data: expected fashion-mnist, digits or a file"),
        ],
    )
    def test_each_is_refused_in_one_clear_line(
        self, capsys, tmp_path, monkeypatch, typed, expected
    ):
        monkeypatch.chdir(tmp_path)
        assert expected in refused(capsys, *typed.split())
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1,2,0.5\n3,4,0.25\n", "expected classes, whole numbers or names, found 0.5"),
            ("1,2,7\n3,4,8\n5,6,9\n7,8,10\n", "4 different targets for 4 samples"),
            ("1,2,7\n3,4,7\n", "expected at least two classes, found '7'"),
            ("1,2,0\n3,4,1\n5,6,1\n", "class '0' has one sample only"),
            ("1,2,0\n3,,1\n", "an empty cell in column 'column 2' on line 2"),
            ("1,2,yes\n3,4,no\n", "add --header or --no-header"),
            ("a,kind,b\n1,x,2\n3,y,4\n", "target: b, the last column; name another one with"),
            ("a,kind,b\n1,x,2\n3,y,4\n", "text columns cannot be features"),
            ("a;b;kind\n1;2;x\n", "its columns are separated by semicolons"),
            ("a\tb\tkind\n1\t2\tx\n", "its columns are separated by tabs"),
        ],
    )
    def test_a_table_without_classes_to_learn(self, capsys, tmp_path, text, expected):
        path = tmp_path / "table.csv"
        path.write_text(text)
        out = tmp_path / "run"
        assert expected in refused(capsys, "train", "--data", path, "--out", out)
        assert not out.exists()

    def test_samples_of_another_size_than_the_run_was_trained_on(
        self, capsys, digits_run, tmp_path
    ):
        np.save(tmp_path / "x.npy", np.zeros((3, 4)))
        error = refused(capsys, "predict", digits_run, tmp_path / "x.npy")
        assert "expected samples of 64 features, as the run was trained on, found 4" in error

    @pytest.mark.parametrize(
        "damage",
        [
            lambda record: "{",
            lambda record: "[]",
            lambda record: "null",
            lambda record: json.dumps({**record, "format": "other"}),
            lambda record: json.dumps({**record, "format_version": 99}),
            lambda record: json.dumps({**record, "class_names": ["a"]}),
            lambda record: json.dumps({**record, "preprocessing": {"offset": [1], "scale": 2}}),
            lambda record: json.dumps(
                {**record, "preprocessing": {**record["preprocessing"], "in_network": "no"}}
            ),
            lambda record: json.dumps(
                {**record, "preprocessing": {**record["preprocessing"], "offset": 1.0}}
            ),
            lambda record: json.dumps({key: record[key] for key in record if key != "data"}),
        ],
    )
    def test_a_damaged_record_is_refused(self, capsys, digits_run, tmp_path, damage):
        model = (digits_run / "model.safetensors").read_bytes()
        (tmp_path / "model.safetensors").write_bytes(model)
        (tmp_path / "run.json").write_text(damage(record_of(digits_run)))
        assert "run.json" in refused(capsys, "evaluate", tmp_path)

    def test_a_truncated_model_is_refused(self, capsys, digits_run, tmp_path):
        (tmp_path / "run.json").write_bytes((digits_run / "run.json").read_bytes())
        model = (digits_run / "model.safetensors").read_bytes()
        (tmp_path / "model.safetensors").write_bytes(model[:-1])
        assert "truncated" in refused(capsys, "evaluate", tmp_path)

    @pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's own words about the overflow
    def test_a_learning_rate_that_ends_in_infinity(self, capsys, tmp_path):
        arguments = ["--data", "digits", "--learning-rate", "1e300", "--quiet"]
        error = refused(capsys, "train", *arguments, "--out", tmp_path / "run")
        assert "learning rate (it was 1e+300)" in error
        assert list(tmp_path.iterdir()) == []


class TestMissingPackages:
    @pytest.mark.parametrize(
        ("typed", "module", "package"),
        [
            ("train", "matplotlib", "matplotlib"),
            ("train", "sklearn", "scikit-learn"),
            ("train", "rich", "rich"),
            ("article", "matplotlib", "matplotlib"),
            ("evaluate nowhere", "sklearn", "scikit-learn"),
            ("data digits", "sklearn", "scikit-learn"),
        ],
    )
    def test_a_command_says_what_to_install(self, capsys, monkeypatch, typed, module, package):
        monkeypatch.setitem(sys.modules, module, None)
        error = refused(capsys, *typed.split())
        assert package in error
        assert 'pip install "cnn-core[app]"' in error

    def test_several_of_them_are_enumerated(self, capsys, monkeypatch):
        for module in ("rich", "sklearn", "matplotlib"):
            monkeypatch.setitem(sys.modules, module, None)
        assert "rich, scikit-learn and matplotlib, which are" in refused(capsys, "train")

    def test_pictures_are_only_needed_if_they_are_drawn(self, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        arguments = ("--data", "digits", "--epochs", 1, "--no-plots", "--quiet")
        succeed("train", *arguments, "--out", tmp_path / "run")
        assert (tmp_path / "run" / "model.safetensors").exists()

    def test_info_and_predict_need_none_of_them(self, monkeypatch, digits_run, tmp_path):
        np.save(tmp_path / "x.npy", load_digits().x_test[:2])
        for module in ("matplotlib", "sklearn", "rich", "pooch", "platformdirs"):
            monkeypatch.setitem(sys.modules, module, None)
        assert "backend" in succeed("info")
        assert succeed("predict", digits_run, tmp_path / "x.npy").startswith("sample,class\n0,")


class TestArticle:
    def test_both_rules_on_each_backend_stand_beside_the_published_result(self, article_run):
        folder, printed = article_run
        assert "0.7644" in printed
        rows = rows_of(folder / "table.csv")
        assert len(rows) == 2 * len(BACKENDS)
        assert [row["rule"] for row in rows] == ["published rule"] * len(BACKENDS) + [
            "exact gradient"
        ] * len(BACKENDS)
        assert [row["epochs"] for row in rows] == ["4"] * len(BACKENDS) + ["1"] * len(BACKENDS)
        for row in rows:
            assert f"{float(row['test accuracy']):.4f}" in printed
            assert row["backend"] in printed

    def test_the_published_rule_is_the_one_of_the_library(self, article_run):
        data = load_fashion_mnist()
        net = cnn_core.NN(784, 128, 10, 0.01, 4, rule="article", seed=0, backend="numpy")
        net.fit(data.x_train[:5000].reshape(5000, 784) / 255, data.y_train[:5000])
        predicted = net.predict(data.x_test[:5000].reshape(5000, 784) / 255).argmax(axis=1)
        accuracy = np.mean(predicted == data.y_test[:5000])
        results = json.loads((article_run[0] / "article.json").read_text())["results"]
        for result in results[: len(BACKENDS)]:
            assert result["test_accuracy"] == pytest.approx(accuracy, abs=5e-4)

    def test_its_folder_holds_table_reports_and_gallery(self, article_run):
        folder, _ = article_run
        names = {"table.txt", "table.csv", "report.txt", "article.json", "gallery.png"}
        assert {path.name for path in folder.iterdir()} == names
        assert image.imread(folder / "gallery.png").shape[1] == 1200

    def test_without_the_compiled_backend_numpy_runs_alone_and_that_is_said(
        self, tmp_path, capsys, monkeypatch
    ):
        monkeypatch.setattr(article.backends, "available", lambda: ("numpy",))
        succeed("article", "--epochs", 1, "--out", tmp_path / "run", "--quiet")
        assert "compiled backend is not part of this installation" in capsys.readouterr().err
        assert len(rows_of(tmp_path / "run" / "table.csv")) == 2


class TestBench:
    SHORT = ("bench", "--samples", 40, "--rounds", 1, "--batch-size", 16, "--threads", 1)

    @pytest.fixture
    def answers(self, monkeypatch):
        """Let nobody be measured: what each contender answers; seconds, or an error."""
        answers = {"cython": 2.0, "numpy-backend": 5.0, "numpy": 3.0}

        def measure(job, cores):
            answer = answers[job.contender]
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, Check):
                return Outcome(job.contender, job.work, answer)
            return Outcome(job.contender, job.work, None, [answer], [answer])

        monkeypatch.setattr(bench, "measure", measure)
        monkeypatch.setattr(bench, "is_installed", lambda name: name in answers)
        return answers

    def test_everyone_is_timed_who_is_installed(self):
        printed = succeed(*self.SHORT)
        for title in (*(f"cnn_core ({name}" for name in BACKENDS), "NumPy ", "scikit-learn "):
            assert re.search(rf"^  {re.escape(title)}.* [\d.]+ +[\d.]+ ", printed, re.MULTILINE)
        assert "WRONG" not in printed

    def test_who_is_not_installed_is_named(self, answers, capsys):
        succeed(*self.SHORT)
        assert "not in the race: NN.predict, " in capsys.readouterr().err

    def test_who_computes_something_else_is_not_timed(self, answers, capsys):
        answers["numpy"] = Check(outputs=0.5, loss=0.4, expected_loss=0.3)
        assert main(["bench", "--samples", "8"]) == 1
        printed = capsys.readouterr().out
        assert "WRONG, not timed: outputs differ by 0.5, loss 0.400000 where 0.300000" in printed

    def test_a_peer_that_fails_is_told_and_the_others_go_on(self, answers):
        answers["numpy"] = ContenderError("ended by signal 11")
        printed = succeed(*self.SHORT)
        assert "failed: ended by signal 11" in printed
        assert "5.0000" in printed

    def test_a_failure_of_ours_is_an_error(self, answers, capsys):
        answers["cython"] = ContenderError("ended by signal 11")
        assert main(["bench", "--samples", "8"]) == 1
        assert "fastest in every case" not in capsys.readouterr().out

    def test_a_lost_race_is_printed_as_lost(self, answers):
        answers["numpy"] = 1.0
        printed = succeed(*self.SHORT)
        assert "cython loses to numpy in training, batch 16" in printed
        assert "2.0x FASTER" in printed
        assert "fastest in every case" not in printed

    def test_a_won_race_is_printed_as_won(self, answers):
        assert "cython is the fastest in every case" in succeed(*self.SHORT)

    def test_everyone_has_the_same_threads_and_a_blas_that_nothing_slows_down(self, monkeypatch):
        monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
        variables = environment(3)
        assert "OPENBLAS_CORETYPE" not in variables
        assert variables["PATH"] == os.environ["PATH"]
        for name in ("CNN_CORE_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            assert variables[name] == "3"

    @pytest.mark.parametrize("contender", ["numpy-backend", "numpy", "scikit-learn"])
    @pytest.mark.parametrize(
        "work",
        [
            Work((6, 5, 3), batch_size=7),
            Work((6, 5, 4, 3), "relu", "softmax", "cross_entropy", "sgd", 300, 0.1),
            Work((6, 5, 4, 3), "relu", "softmax", "cross_entropy", "adam", 32, 1e-3),
        ],
        ids=["sigmoid", "full-batch", "adam"],
    )
    def test_contenders_compute_what_they_are_timed_for(self, tmp_path, contender, work):
        self.samples(work).save(tmp_path / "samples.npz")
        job = Job(contender, work, str(tmp_path / "samples.npz"), samples=300, threads=1)
        outcome = measure(job, usable_cores()[:1])
        assert outcome.check.passed
        assert outcome.check.loss > 0
        assert len(outcome.epochs) >= 1

    @pytest.mark.parametrize(
        "mistake",
        [
            {"learning_rate": 0.6},
            {"batch_size": 8},
            {"hidden": "relu"},
            {"optimizer": "adam"},
        ],
    )
    def test_the_check_finds_a_contender_that_computes_something_else(self, mistake):
        work = Work((6, 5, 3), batch_size=7)
        wrong = NumpyLoop(replace(work, **mistake), start_weights(work), 1)
        contender = SimpleNamespace(
            work=work,
            shuffles_itself=False,
            load=wrong.load,
            train_epoch=wrong.train_epoch,
            outputs=wrong.outputs,
        )
        assert not check(contender, self.samples(work), trains=True).passed

    @staticmethod
    def samples(work):
        generator = np.random.RandomState(0)
        images = generator.randint(0, 256, (300, work.sizes[0])).astype(np.uint8)
        return Samples(images, images[:, :3].argmax(axis=1), 3)


class TestInformation:
    def test_info_tells_what_computes(self):
        info = cnn_core.backend_info()
        printed = succeed("info")
        assert info["isa"] in printed
        assert all(path in printed for path in info["modules"].values())
        assert json.loads(succeed("info", "--json")) == info
        numpy_info = backends.backend_info("numpy")
        assert json.loads(succeed("info", "--json", "--backend", "numpy")) == numpy_info

    def test_info_is_silent_about_a_processor_that_nobody_asked(self, monkeypatch):
        pure = {**cnn_core.backend_info("numpy"), "isa_detected": []}
        monkeypatch.setattr(info_command, "backend_info", lambda backend: pure)
        assert "processor" not in succeed("info")

    def test_each_place_is_named_once_if_fashion_mnist_is_nowhere(self, monkeypatch, capsys):
        def nowhere(folder, report):
            report("/one: no such folder")
            report("/two: no such folder")
            raise DataNotFoundError("Tried:\n  - /one: no such folder\n  - /two: ...\nGet it.")

        monkeypatch.setattr(sources, "load_fashion_mnist", nowhere)
        assert main(["data"]) == 2
        assert capsys.readouterr().err.splitlines() == [
            "cnn-core: note: looking for Fashion-MNIST",
            "cnn-core: note: tried /one: no such folder",
            "cnn-core: note: tried /two: no such folder",
            "cnn-core: error: Fashion-MNIST was found in none of these places. Get it.",
        ]
        assert main(["train", "--quiet"]) == 2
        assert capsys.readouterr().err.count("/one") == 1

    def test_data_tells_where_fashion_mnist_is_and_what_is_in_it(self):
        printed = succeed("data")
        assert load_fashion_mnist().source in printed
        assert all(file.sha256 in printed for file in fashion_mnist.FILES)
        assert re.search(r"Ankle boot +6,000 +1,000", printed)

    def test_data_tells_the_same_of_a_file(self, flowers):
        printed = succeed("data", flowers, "--target", "kind")
        assert re.search(r"tulip +16 +4", printed)
        assert hashlib.sha256(flowers.read_bytes()).hexdigest() in printed

    def test_no_command_prints_the_help(self):
        printed = succeed()
        assert printed == succeed("--help") == succeed("help")
        assert succeed("help", "train") == succeed("train", "--help")
        for command in ("train", "article", "evaluate", "predict", "data", "info", "bench"):
            assert re.search(rf"^ +{command} ", printed, re.MULTILINE)

    @pytest.mark.parametrize(
        "command", ["train", "article", "evaluate", "predict", "data", "info", "bench"]
    )
    def test_every_command_has_a_help(self, command):
        assert succeed(command, "--help").startswith(f"usage: cnn-core {command}")

    def test_the_version(self):
        expected = f"cnn-core {cnn_core.__version__}\n"
        assert succeed("--version") == succeed("version") == expected

    def test_a_path_below_the_current_folder_is_shown_as_it_would_be_typed(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        assert console.short_path(tmp_path / "runs" / "x") == "runs/x"
        assert console.short_path("/somewhere/else") == "/somewhere/else"


class TestProcess:
    def test_a_mistake_ends_with_exit_code_2_and_no_traceback(self):
        ended = process("trian")
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert ended.stderr == (
            "cnn-core: error: there is no command 'trian'; did you mean 'train'?\n"
        )

    def test_a_reader_that_goes_away_is_no_error(self):
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w") as closed:
            ended = subprocess.run(
                [sys.executable, "-m", "cnn_core", "info", "--backend", "numpy"],
                stdout=closed,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
            )
        assert ended.returncode == 141
        assert ended.stderr == ""

    @pytest.mark.parametrize(
        ("redirection", "code", "said"),
        [
            (">&-", 2, "standard output: Bad file descriptor; the run folder is complete: run"),
            (">/dev/full", 2, "standard output: No space left on device; the run folder is"),
            ("2>&-", 0, ""),
            ("2>/dev/full", 0, ""),
            ("<&- >&- 2>&-", 2, ""),
        ],
    )
    def test_no_training_is_lost_because_nobody_reads_about_it(
        self, tmp_path, redirection, code, said
    ):
        command = "-m cnn_core train --data digits --epochs 2 --no-plots --out run"
        ended = in_shell(f'"$PYTHON" {command} {redirection}', tmp_path)
        assert ended.returncode == code
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr
        assert "Exception ignored" not in ended.stderr
        assert {path.name for path in (tmp_path / "run").iterdir()} == RUN_FILES - PICTURES

    @pytest.mark.parametrize("command", ["info --backend numpy", "--help"])
    @pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
    def test_a_result_that_cannot_be_printed_is_an_error(self, tmp_path, command, redirection):
        ended = in_shell(f'"$PYTHON" -m cnn_core {command} {redirection}', tmp_path)
        assert ended.returncode == 2
        assert re.fullmatch(r"cnn-core: error: standard output: [\w ]+\n", ended.stderr)

    def test_importing_the_command_line_imports_no_optional_package(self):
        program = (
            "import sys, cnn_core.cli; cnn_core.cli.main(['info', '--backend', 'numpy']); "
            "print([m for m in ('matplotlib', 'sklearn', 'rich', 'pooch', 'platformdirs', 'scipy')"
            " if m in sys.modules], file=sys.stderr)"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
        )
        assert ended.stderr == "[]\n"

    def test_the_installed_command_is_the_same_as_the_module(self):
        if not entry_points(group="console_scripts", name="cnn-core"):
            pytest.skip("the package runs from its sources, where there is no command")
        command = Path(sysconfig.get_path("scripts")) / "cnn-core"
        ended = subprocess.run(
            [command, "info", "--json"], capture_output=True, text=True, timeout=60
        )
        assert ended.stdout == process("info", "--json").stdout
        assert ended.returncode == 0
