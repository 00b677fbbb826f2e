"""Ctrl-C during ``cnn-core train`` keeps what was learned."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys

import pytest

from cnn_core.cli import (
    main,
    training,
)
from cnn_core.model import Model
from command_line import PICTURES, RUN_FILES, accuracy_in, record_of, rows_of, succeed


class TestInterruption:
    def interrupt_in(self, monkeypatch, epoch):
        @contextlib.contextmanager
        def shown(*_, **__):
            def on_epoch(record):
                if record.epoch == epoch:
                    raise KeyboardInterrupt

            yield on_epoch

        monkeypatch.setattr(training, "epochs_shown", shown)

    @pytest.mark.parametrize(
        ("preset", "files", "more"),
        [
            ("fast", RUN_FILES - PICTURES, ["--no-plots"]),
            pytest.param("fast", RUN_FILES, [], marks=pytest.mark.slow),
            pytest.param("nn", RUN_FILES, [], marks=pytest.mark.slow),
        ],
        ids=["fast", "fast with pictures", "nn with pictures"],
    )
    def test_what_was_learned_is_kept_and_marked(
        self, tmp_path, capsys, monkeypatch, preset, files, more
    ):
        self.interrupt_in(monkeypatch, 3)
        folder = tmp_path / "run"
        arguments = ["--data", "digits", "--epochs", "9", "--preset", preset, *more]
        assert main(["train", *arguments, "--out", str(folder)]) == 130
        to_go_on = {"checkpoint.safetensors", "training.json"}
        assert {path.name for path in folder.iterdir()} == files | to_go_on
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
