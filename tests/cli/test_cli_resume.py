"""``cnn-core train --resume`` ends with the weights of a training that was not killed."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import cnn_core
from cnn_core.cli import main, resume, run_report, training
from command_line import PICTURES, RUN_FILES, record_of, refused, rows_of, succeed

QUICK = ("train", "--data", "digits", "--no-plots", "--quiet")
EVERY_EPOCH = ("--checkpoint-every", 1)
KILLS = 3
SECONDS = 120


def begun(*arguments):
    """Begin a training in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "cnn_core", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill(process, folder, after):
    """Kill a process, in the way that cannot be caught, so many seconds after its first checkpoint.

    Return the number of epochs that are in the folder then, None if it came to its end before.
    """
    path = folder / "checkpoint.safetensors"
    end = time.monotonic() + SECONDS
    before = version_of(path)
    try:
        while process.poll() is None and version_of(path) in (None, before):
            assert time.monotonic() < end
            time.sleep(0.001)
        time.sleep(after)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return cnn_core.load(path).epochs_done if path.exists() else None


def version_of(path):
    """Return what is another number for each file that takes the place of one before."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def weights_of(folder):
    return record_of(folder)["result"]["weights_sha256"]


@pytest.fixture
def broken(monkeypatch):
    """Make the command fail once when everything is learned."""

    def fail(error):
        def write(*_, **__):
            monkeypatch.undo()
            raise error

        monkeypatch.setattr(run_report, "write", write)

    return fail


@pytest.fixture
def left(tmp_path, broken, capsys):
    """Leave an unfinished training behind, as a full disk does."""

    def leave(*arguments):
        broken(OSError(28, "No space left on device"))
        assert main([*QUICK, *map(str, arguments), "--out", str(tmp_path / "run")]) == 2
        return tmp_path / "run.unfinished"

    return leave


@pytest.fixture
def interrupted(monkeypatch):
    """Interrupt a training once, at the end of an epoch and before its checkpoint."""
    shown = training.epochs_shown

    def interrupt(epoch, error=KeyboardInterrupt):
        @contextlib.contextmanager
        def interrupting(*arguments, **options):
            monkeypatch.setattr(training, "epochs_shown", shown)

            def on_epoch(record):
                if record.epoch == epoch:
                    raise error

            yield on_epoch

        monkeypatch.setattr(training, "epochs_shown", interrupting)

    return interrupt


@pytest.fixture
def samples(rng, tmp_path):
    """A file of samples with two classes."""
    path = tmp_path / "own.npz"
    np.savez(path, X=rng.normal(size=(60, 4)), y=np.arange(60) % 2)
    return path


@pytest.mark.slow
class TestKilled:
    def test_it_ends_with_the_weights_of_an_uninterrupted_training(self, tmp_path, name, rng):
        arguments = (*QUICK, "--hidden", 16, "--epochs", 200, "--backend", name, *EVERY_EPOCH)
        succeed(*arguments, "--out", tmp_path / "whole")
        folder = tmp_path / "run.unfinished"
        reached = [kill(begun(*arguments, "--out", tmp_path / "run"), folder, rng.uniform(0, 0.05))]
        while len(reached) < KILLS and reached[-1] is not None:
            process = begun("train", "--resume", tmp_path / "run")
            reached.append(kill(process, folder, rng.uniform(0, 0.05)))
        assert reached[0] is not None
        epochs = [200 if done is None else done for done in reached]
        assert epochs == sorted(epochs)
        succeed("train", "--resume", tmp_path / "run", "--quiet")
        assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")
        assert record_of(tmp_path / "run")["command"][-1] == str(tmp_path / "run")


class TestErrors:
    @pytest.mark.parametrize("preset", ["fast", "nn", pytest.param("best", marks=pytest.mark.slow)])
    def test_a_full_disk_at_the_end_loses_nothing(self, left, tmp_path, capsys, preset):
        arguments = ("--preset", preset, "--hidden", 20, "--epochs", 3)
        folder = left(*arguments, *EVERY_EPOCH)
        assert "goes on from the last checkpoint" in capsys.readouterr().err
        assert {"checkpoint.safetensors", "training.json"} <= {p.name for p in folder.iterdir()}
        assert not (tmp_path / "run").exists()
        (folder / "curves.png").write_bytes(b"half")
        succeed("train", "--resume", tmp_path / "run")
        assert {p.name for p in (tmp_path / "run").iterdir()} == RUN_FILES - PICTURES
        assert not folder.exists()
        succeed(*QUICK, *arguments, "--out", tmp_path / "whole")
        assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")
        succeed("verify", tmp_path / "run", "--quiet")

    def test_an_error_without_a_checkpoint_leaves_nothing(self, left, tmp_path):
        left("--epochs", 3, "--checkpoint-every", "never")
        assert list(tmp_path.iterdir()) == []

    def test_an_error_in_the_first_epoch_leaves_nothing(self, tmp_path, capsys, interrupted):
        interrupted(1, MemoryError)
        refused(capsys, *QUICK, "--epochs", 3, *EVERY_EPOCH, "--out", tmp_path / "run")
        assert list(tmp_path.iterdir()) == []

    def test_a_training_that_diverged_leaves_nothing(self, tmp_path, capsys):
        with np.errstate(all="ignore"):
            refused(
                capsys,
                *QUICK,
                "--patience",
                2,
                "--learning-rate",
                "1e300",
                *EVERY_EPOCH,
                "--out",
                tmp_path / "run",
            )
        assert list(tmp_path.iterdir()) == []


class TestInterrupted:
    @pytest.mark.parametrize("preset", ["fast", "nn", pytest.param("best", marks=pytest.mark.slow)])
    def test_again_and_again_it_ends_with_the_weights_of_the_whole(
        self, tmp_path, capsys, interrupted, name, preset
    ):
        arguments = (*QUICK, "--epochs", 7, "--preset", preset, "--hidden", 20, "--backend", name)
        run = tmp_path / "run"
        interrupted(3)
        assert main([str(word) for word in (*arguments, *EVERY_EPOCH, "--out", run)]) == 130
        assert f"note: cnn-core train --resume {run} goes on to the end" in capsys.readouterr().err
        for epoch in (4, 6):
            accuracy = record_of(run)["result"]["test_accuracy"]
            assert f"accuracy  {accuracy:.4f}" in succeed("evaluate", run)
            interrupted(epoch)
            assert main(["train", "--resume", str(run), "--quiet"]) == 130
            assert record_of(run)["interrupted"] is True
            assert record_of(run)["result"]["epochs"] == epoch
        succeed("train", "--resume", run, "--quiet")
        assert {path.name for path in run.iterdir()} == RUN_FILES - PICTURES
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        succeed(*arguments, "--out", tmp_path / "whole")
        assert weights_of(run) == weights_of(tmp_path / "whole")
        epochs = [row["epoch"] for row in rows_of(run / "history.csv")]
        assert epochs == [str(number) for number in range(1, 8)]
        succeed("verify", run, "--quiet")
        assert "is complete already" in succeed("train", "--resume", run)

    def test_without_checkpoints_there_is_nothing_to_resume(self, tmp_path, interrupted):
        interrupted(2)
        arguments = (*QUICK, "--epochs", 3, "--checkpoint-every", "never")
        assert main([str(word) for word in (*arguments, "--out", tmp_path / "run")]) == 130
        assert {path.name for path in (tmp_path / "run").iterdir()} == RUN_FILES - PICTURES

    def test_what_is_refused_changes_nothing(self, tmp_path, samples, interrupted, capsys):
        run = tmp_path / "run"
        interrupted(2)
        arguments = ("train", "--data", samples, "--epochs", 3, "--quiet", "--no-plots")
        assert main([str(word) for word in (*arguments, "--out", run)]) == 130
        samples.write_bytes(b"others")
        before = {path: path.read_bytes() for path in run.iterdir()}
        error = refused(capsys, "train", "--resume", run)
        assert "have changed since the training: SHA-256 of own.npz" in error
        assert before == {path: path.read_bytes() for path in run.iterdir()}

    def test_a_folder_that_is_in_the_way_is_named_and_the_run_stays(
        self, tmp_path, interrupted, capsys
    ):
        interrupted(2)
        arguments = (*QUICK, "--epochs", 3, "--out", tmp_path / "run")
        assert main([str(word) for word in arguments]) == 130
        (tmp_path / "run.unfinished").mkdir()
        assert "run.unfinished is in the way" in refused(
            capsys, "train", "--resume", tmp_path / "run"
        )
        assert record_of(tmp_path / "run")["interrupted"] is True

    def test_killed_at_the_very_end_a_complete_run_is_complete(self, tmp_path, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(resume.Path, "unlink", lambda *_, **__: None)
            succeed(*QUICK, "--epochs", 2, "--out", tmp_path / "run")
        assert (tmp_path / "run" / "checkpoint.safetensors").exists()
        assert "is complete already" in succeed("train", "--resume", tmp_path / "run")


class TestResume:
    def test_a_complete_run_is_complete_already(self, tmp_path):
        succeed(*QUICK, "--epochs", 2, "--out", tmp_path / "run")
        before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
        assert "is complete already" in succeed("train", "--resume", tmp_path / "run")
        assert before == {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}

    @pytest.mark.parametrize("name", ["none", ".", "/", "folder", "..", "none/", "/dev"])
    def test_what_is_no_run_is_refused(self, tmp_path, capsys, monkeypatch, name):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "folder").mkdir()
        error = refused(capsys, "train", "--resume", name)
        assert "expected the folder of an unfinished cnn-core train" in error

    @pytest.mark.parametrize("name", ["run.json", "model.safetensors"])
    def test_a_file_of_a_run_is_refused(self, tmp_path, capsys, name):
        (tmp_path / name).touch()
        error = refused(capsys, "train", "--resume", tmp_path / name)
        assert "expected the folder of a cnn-core train, found a file" in error

    @pytest.mark.parametrize("other", [("--epochs", 3), ("--seed", 0), ("--data", "digits")])
    def test_other_options_are_refused(self, left, capsys, other):
        folder = left("--epochs", 3, *EVERY_EPOCH)
        error = refused(capsys, "train", "--resume", folder, *other)
        assert (
            f"beside it only --quiet, --json and --no-plots can be used, found {other[0]}" in error
        )

    def test_a_training_into_its_folder_is_refused(self, left, capsys, tmp_path):
        left("--epochs", 3, *EVERY_EPOCH)
        error = refused(capsys, *QUICK, "--out", tmp_path / "run")
        assert "there is an unfinished training in" in error
        assert f"cnn-core train --resume {tmp_path / 'run'}" in error

    def test_changed_data_are_refused_and_the_folder_stays(self, left, tmp_path, capsys):
        folder = left("--epochs", 3, *EVERY_EPOCH)
        record = json.loads((folder / "training.json").read_text())
        record["data"]["sha256"]["y_train"] = "0" * 64
        (folder / "training.json").write_text(json.dumps(record))
        assert main(["train", "--resume", str(folder)]) == 2
        assert "the data have changed since the training: SHA-256 of y_train" in (
            capsys.readouterr().err
        )
        assert (folder / "checkpoint.safetensors").exists()

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1, "format_version": 1}'])
    def test_a_damaged_record_is_refused_and_the_folder_stays(self, left, capsys, text):
        folder = left("--epochs", 3, *EVERY_EPOCH)
        (folder / "training.json").write_text(text)
        assert "training.json" in refused(capsys, "train", "--resume", folder)
        assert (folder / "checkpoint.safetensors").exists()

    def test_a_damaged_checkpoint_is_refused_and_without_it_the_training_begins_anew(
        self, left, tmp_path, capsys
    ):
        folder = left("--epochs", 3, *EVERY_EPOCH)
        (folder / "checkpoint.safetensors").write_bytes(b"damaged")
        error = refused(capsys, "train", "--resume", tmp_path / "run")
        assert "checkpoint.safetensors: not a model file" in error
        assert f"Without this file, cnn-core train --resume {tmp_path / 'run'} begins anew" in error
        (folder / "checkpoint.safetensors").unlink()
        succeed("train", "--resume", tmp_path / "run", "--quiet")
        assert record_of(tmp_path / "run")["result"]["epochs"] == 3

    @pytest.mark.parametrize("command", ["evaluate", "verify"])
    def test_an_unfinished_run_says_how_to_resume_it(self, left, tmp_path, capsys, command):
        left("--epochs", 3, *EVERY_EPOCH)
        error = refused(capsys, command, tmp_path / "run")
        assert f"found an unfinished one, with which cnn-core train --resume {tmp_path}" in error

    def test_the_same_training_cannot_be_resumed_twice_at_once(self, left, capsys):
        folder = left("--epochs", 3, *EVERY_EPOCH)
        with resume.go_on(resume.find(folder)):
            error = refused(capsys, "train", "--resume", folder)
            assert "another process is training in" in error

    @pytest.mark.slow
    def test_nor_by_two_processes(self, left):
        folder = left("--epochs", 3, *EVERY_EPOCH)
        with resume.go_on(resume.find(folder)):
            assert begun("train", "--resume", folder).wait(timeout=60) == 2

    @pytest.mark.parametrize("text", ["0", "-1", "s", "0s", "infs", "often", "1.5"])
    def test_how_often_a_checkpoint_is_written(self, capsys, text):
        error = refused(capsys, *QUICK, f"--checkpoint-every={text}")
        assert "expected a number of epochs such as 5, of seconds such as 30s, or never" in error
