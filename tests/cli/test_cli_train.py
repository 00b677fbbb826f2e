"""``cnn-core train`` learns, reports, and leaves a complete run folder behind."""

from __future__ import annotations

import contextlib
import errno
import os
import pty
import re
import subprocess
import sys
from datetime import datetime

import numpy as np
import pytest

import cnn_core
from cnn_core.cli import (
    main,
    plan_nn,
    records,
    run_folder,
    run_report,
)
from command_line import PICTURES, RUN_FILES, record_of, refused, rows_of, succeed
from installation import BACKENDS


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
        succeed("train", *arguments, "--out", tmp_path / "run", "--quiet", "--no-plots")
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
        arguments = (*arguments, "--preset", preset, "--no-plots")
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

    @pytest.mark.slow
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
        quick = ("--data", "digits", "--epochs", 1, "--quiet", "--no-plots")
        succeed("train", *quick, "--out", tmp_path / "empty")
        assert {path.name for path in (tmp_path / "empty").iterdir()} == RUN_FILES - PICTURES
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
