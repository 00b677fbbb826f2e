"""Everything that is written to a disk, watched from outside: whole files under their own names.

A file is written under a temporary name in its own folder, brought to the disk, renamed, and its
folder brought to the disk: whatever the command, and without the package's own word for it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from cnn_core.data import load_digits
from paths import HELPERS
from watched import CALLS

SCRIPT = HELPERS / "watched.py"
TEMPORARY = re.compile(r"\.[0-9a-f]{16}-[0-9a-f]{16}\.tmp")
QUICK = ("--data", "digits", "--quiet")
# Each command with what it writes, as far as it does.
COMMANDS = {
    "train": (
        ("train", *QUICK, "--epochs", "2", "--checkpoint-every", "1", "--out", "new"),
        {"model.safetensors", "run.json", "history.csv", "report.txt", "report.html", "curves.png"},
    ),
    "train without checkpoints": (
        ("train", *QUICK, "--epochs", "2", "--no-plots", "--out", "new"),
        {"model.safetensors", "run.json", "history.csv", "report.txt", "report.html"},
    ),
    "find-lr": (("find-lr", *QUICK, "--out", "new"), {"rates.csv", "rates.png"}),
    "predict": (("predict", "run", "x.npy", "--out", "predicted.csv"), {"predicted.csv"}),
    "article": (
        ("article", "--epochs", "1", "--backend", "numpy", "--quiet", "--out", "new"),
        {"table.txt", "table.csv", "report.txt", "article.json", "gallery.png"},
    ),
    "report": (("report", "run"), {"report.html"}),
    "evaluate": (("evaluate", "run"), set()),
    "verify": (("verify", "run"), set()),
    "data": (("data", "digits"), set()),
    "info": (("info",), set()),
}
# What the default run has beside `CALLS`: the others take seconds each.
QUICK_ONES = ("info",)
WRITING = {name: command for name, (command, written) in COMMANDS.items() if written}
APPENDING = {"log"}


def slow_beside(name, *more):
    return pytest.param(name, *more, marks=[] if name in QUICK_ONES else pytest.mark.slow)


@pytest.fixture
def folder(tmp_path, digits_run):
    """A folder to work in, with a run and samples."""
    folder = tmp_path / "watched"
    folder.mkdir()
    shutil.copytree(digits_run, folder / "run")
    np.save(folder / "x.npy", load_digits().x_test[:5])
    return folder


def watched(folder, mode, *command):
    """Carry a command out in a process of its own; return that and what it has done to files."""
    report = folder.parent / "report.json"
    scratch = folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-B", str(SCRIPT), str(folder), str(report), mode, *command],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(scratch), "MPLCONFIGDIR": str(scratch)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done, json.loads(report.read_text(encoding="utf-8"))


def defects_of(events):
    """Say which files were not written as they should be."""
    synced, awaited = [], {}
    for kind, *what in events:
        if kind == "fsync":
            synced.append(what[0])
            awaited.pop(tuple(what[0]), None)
        elif kind == "open":
            path, creates = what
            if creates and not TEMPORARY.fullmatch(os.path.basename(path)):
                yield f"{path} was opened for writing under its own name"
        elif kind == "rename":
            path, source, itself, its_folder = what
            if os.path.dirname(path) != os.path.dirname(source):
                yield f"{path} was written in another folder, as {source}"
            if TEMPORARY.fullmatch(os.path.basename(source)) and itself not in synced:
                yield f"{path} was renamed before it was on the disk"
            awaited[tuple(its_folder)] = path
        elif kind != "os.mkdir":
            yield f"{what[0]}: {kind}"
    for path in awaited.values():
        yield f"the name of {path} was not brought to the disk"


def names_written(events):
    return {
        os.path.basename(what[0])
        for kind, *what in events
        if kind == "rename" and TEMPORARY.fullmatch(os.path.basename(what[1]))
    }


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", [slow_beside(name) for name in COMMANDS])
def test_every_file_of_a_command_is_whole_before_it_has_its_name(folder, name):
    command, written = COMMANDS[name]
    before = files_in(folder)
    done, calls = watched(folder, "watch", *command)
    assert done.returncode == 0, done.stderr
    events, _ = calls[command[0]]
    assert list(defects_of(events)) == []
    assert names_written(events) >= written
    if not written:
        assert events == []
        assert files_in(folder) == before
    left = [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".unfinished"))]
    assert left == []


@pytest.fixture(scope="module")
def calls_and_log(tmp_path_factory):
    """What each call does to files, and what the log then holds."""
    folder = tmp_path_factory.mktemp("calls") / "watched"
    folder.mkdir()
    _, calls = watched(folder, "watch", "calls")
    return calls, (folder / "log.csv").read_text()


def test_every_file_of_a_call_is_whole_before_it_has_its_name(calls_and_log):
    calls, _ = calls_and_log
    for call in set(CALLS) - APPENDING:
        events, error = calls[call]
        assert error is None
        assert names_written(events), call
        assert list(defects_of(events)) == []


def test_a_log_grows_by_whole_lines_under_its_own_name(calls_and_log):
    calls, log = calls_and_log
    events, error = calls["log"]
    assert error is None
    assert {(kind, os.path.basename(path)) for kind, path, *_ in events} == {("open", "log.csv")}
    assert len(log.splitlines()) == 3


@pytest.mark.parametrize(
    ("name", "error"),
    [
        *(slow_beside(name, "EROFS") for name in WRITING),
        pytest.param("train", "EACCES", marks=pytest.mark.slow),
    ],
)
def test_a_command_on_a_disk_that_takes_nothing_says_where_and_leaves_nothing(folder, name, error):
    before = files_in(folder)
    command = WRITING[name]
    done, calls = watched(folder, error, *command)
    assert calls[command[0]][0]
    assert done.returncode == 2
    message = done.stderr.splitlines()[-1]
    assert message.startswith("cnn-core: error: ")
    assert os.strerror(getattr(errno, error)) in message
    assert command[-1] in message
    assert ".tmp" not in message
    assert "Traceback" not in done.stderr
    assert files_in(folder) == before


@pytest.mark.slow
def test_a_call_on_a_read_only_disk_raises_an_error_that_names_the_file(folder):
    before = sorted(folder.rglob("*"))
    _, calls = watched(folder, "EROFS", "calls")
    for call in CALLS:
        events, error = calls[call]
        assert events
        assert re.search(rf"OSError: .*Read-only file system.*: '{re.escape(str(folder))}", error)
        assert ".tmp" not in error
    assert sorted(folder.rglob("*")) == before
