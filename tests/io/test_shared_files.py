"""Several processes may write, read and tidy up one file at once: none of them sees half of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnn_core import files
from cnn_core.files import atomic_write, remove_leftovers
from cnn_core.io.container import ModelFileError, read_tensors, write_tensors

posix_only = pytest.mark.skipif(os.name != "posix", reason="locks and replacing of POSIX")

# What each process does again and again with a file whose size changes.
WORK = """\
import sys
import numpy as np
from cnn_core.files import remove_leftovers
from cnn_core.model_file import read_tensors, write_tensors

path, first, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in range(rounds):
    remove_leftovers(path)
    write_tensors(path, {"a": np.full(1 + (first + number) % 7, first, np.float64)}, {})
    tensors, _ = read_tensors(path)
    assert len(set(tensors["a"])) == 1
"""


def work_together(path: Path, processes: int, rounds: int) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, str(path), str(number), str(rounds)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    errors = [process.communicate()[1] for process in started]
    assert errors == [""] * processes
    assert [process.returncode for process in started] == [0] * processes
    assert os.listdir(path.parent) == [path.name]


@posix_only
@pytest.mark.slow
def test_four_processes_write_read_and_tidy_up_one_file(tmp_path):
    work_together(tmp_path / "file", 4, 400)


def interrupting(monkeypatch, module, name, meanwhile):
    """Let something happen right before the first call of a function."""
    called = getattr(module, name)
    waiting = [meanwhile]

    def call(*arguments, **options):
        if waiting:
            waiting.pop()()
        return called(*arguments, **options)

    monkeypatch.setattr(module, name, call)


@posix_only
def test_a_temporary_file_that_another_process_removes_at_once_is_made_anew(tmp_path, monkeypatch):
    path = tmp_path / "file"
    removed = []

    def tidy_up():
        before = set(os.listdir(tmp_path))
        remove_leftovers(path)
        removed.extend(before - set(os.listdir(tmp_path)))

    # Between the making of the temporary file and its lock.
    interrupting(monkeypatch, os, "dup", tidy_up)
    atomic_write(path, lambda stream: stream.write(b"new"))
    assert len(removed) == 1
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@posix_only
def test_a_temporary_file_that_another_process_is_about_to_remove_is_left_to_it(
    tmp_path, monkeypatch
):
    path, kept = tmp_path / "file", []

    def lock():
        (temporary,) = tmp_path.iterdir()
        kept.append(temporary.open("r+b"))
        files._lock(kept[0].fileno())

    interrupting(monkeypatch, os, "dup", lock)
    atomic_write(path, lambda stream: stream.write(b"new"))
    assert path.read_bytes() == b"new"
    kept[0].close()
    remove_leftovers(path)
    assert os.listdir(tmp_path) == ["file"]


@posix_only
def test_who_finds_every_temporary_file_removed_says_so(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(files, "_is_at", lambda descriptor, temporary: False)
    with pytest.raises(FileExistsError, match="remove each temporary file") as caught:
        atomic_write(path, lambda stream: stream.write(b"new"))
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"


@posix_only
def test_temporary_files_at_work_are_left_and_those_of_the_killed_are_removed(tmp_path):
    path = tmp_path / "file"
    killed = tmp_path / f".{files._mark(path)}-{'0' * 16}.tmp"
    killed.write_bytes(b"half of")

    def write(stream):
        remove_leftovers(path)
        assert os.listdir(tmp_path) == [os.path.basename(stream.name)]
        stream.write(b"new")

    atomic_write(path, write)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("length", [1, 1000])
def test_a_file_that_is_replaced_while_it_is_opened_is_read_as_a_whole(
    tmp_path, monkeypatch, length
):
    path = tmp_path / "file"
    write_tensors(path, {"a": np.zeros(10)}, {})

    def replace():
        write_tensors(path, {"a": np.ones(length)}, {})

    interrupting(monkeypatch, os, "open", replace)
    assert read_tensors(path)[0]["a"].tolist() == [1.0] * length
    interrupting(monkeypatch, os, "fstat", lambda: write_tensors(path, {"a": np.zeros(10)}, {}))
    assert read_tensors(path)[0]["a"].tolist() == [1.0] * length
    assert read_tensors(path)[0]["a"].tolist() == [0.0] * 10


@posix_only
@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a device", "a folder"])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path, kind):
    import socket

    path = tmp_path / "file"
    listening = socket.socket(socket.AF_UNIX)
    with listening:
        if kind == "a pipe":
            os.mkfifo(path)
        elif kind == "a socket":
            listening.bind(os.path.relpath(path))
        elif kind == "a folder":
            path.mkdir()
        else:
            path = Path(os.devnull)
        with pytest.raises(ModelFileError, match=r"expected a model file, found a (folder|device)"):
            read_tensors(path)
