"""Processes that are killed while they train or write end with the same bits."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cnn_core
from checkpointed import epochs_in, same_models

SCRIPT = """
import os, signal, sys, time
import numpy as np
from cnn_core import Checkpoint, Model, Recipe
from cnn_core.callbacks import Callback, CSVLog
from cnn_core.network import Dense, Network
from cnn_core.optimizers import Adam

path, log, backend, epochs, deadly, count = *sys.argv[1:4], *map(eval, sys.argv[4:])
random = np.random.RandomState(0)
x = random.normal(size=(64, 8)).astype(np.float32)
t = random.normal(size=(64, 2)).astype(np.float32)
layers = (Dense(8, 64, "relu", dropout=0.2), Dense(64, 2))
model = Model(Network(layers, "squared_error", Adam(), averaging=0.9), seed=1, backend=backend)
model.initialize("auto", random)
recipe = Recipe(epochs, 16, 0.01, "cosine", patience=epochs, restore_best=True)

class Slow(Callback):
    def on_epoch_end(self, state):
        time.sleep(0.001)

if deadly:
    original, calls = getattr(os, deadly), []
    def dying(*arguments):
        calls.append(arguments)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)
    setattr(os, deadly, dying)
print("begun", flush=True)
callbacks = [Slow(), CSVLog(f"{path}.{log}")]
model.train(x, t, recipe, callbacks=callbacks, checkpoint=Checkpoint(path, every_epochs=1))
print("ended")
"""


def start(path: Path, backend: str, epochs: int, deadly=None, count=0, log="csv"):
    arguments = [str(path), log, backend, str(epochs), repr(deadly), str(count)]
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_killed_at_30_random_moments_ends_with_the_same_bits(name, tmp_path):
    moments = random.Random(2026)
    folder = tmp_path / "killed"
    folder.mkdir()
    epochs, kills, finished = 1200, 0, False
    while kills < 30 and not finished:
        with start(folder / "file", name, epochs) as process:
            process.stdout.read(6)
            time.sleep(moments.uniform(0.0, 0.03))
            process.send_signal(signal.SIGKILL)
            finished = process.wait() == 0
            kills += not finished
    assert kills == 30
    with (
        start(tmp_path / "whole", name, epochs) as whole,
        start(folder / "file", name, epochs) as end,
    ):
        assert whole.wait() == end.wait() == 0
    assert sorted(os.listdir(folder)) == ["file", "file.csv"]
    same_models(cnn_core.load(folder / "file"), cnn_core.load(tmp_path / "whole"))
    assert epochs_in(folder / "file.csv") == list(range(1, epochs + 1))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_two_processes_with_one_path_each_end_with_the_right_bits(name, tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    processes = [start(folder / "file", name, 60, log=log) for log in ("a", "b")]
    for process in (*processes, start(tmp_path / "whole", name, 60)):
        with process:
            assert process.stdout.read() == b"begun\n" + b"ended\n"
    same_models(cnn_core.load(folder / "file"), cnn_core.load(tmp_path / "whole"))
    assert sorted(os.listdir(folder)) == ["file", "file.a", "file.b"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("deadly", ["fsync", "replace"])
def test_a_process_killed_while_it_writes_leaves_the_checkpoint_before(name, deadly, tmp_path):
    folder = tmp_path / "killed"
    folder.mkdir()
    with start(folder / "file", name, 6, deadly, 7) as process:
        assert process.wait() == -signal.SIGKILL
    assert len(os.listdir(folder)) == 3
    # Of a file two things are brought to the disk, itself and its name.
    # The first file is that of no epoch.
    assert cnn_core.load(folder / "file").epochs_done == {"fsync": 2, "replace": 5}[deadly]
    for path in (folder / "file", tmp_path / "whole"):
        with start(path, name, 6) as process:
            assert process.wait() == 0
    assert sorted(os.listdir(folder)) == ["file", "file.csv"]
    same_models(cnn_core.load(folder / "file"), cnn_core.load(tmp_path / "whole"))
