"""What the tests of the command line share: carrying commands out, and reading what they leave."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys

from cnn_core.cli import main

PICTURES = {"curves.png", "confusion.png", "gallery.png"}
TEXTS = {"run.json", "run.toml", "history.csv", "report.txt", "report.html"}
RUN_FILES = {"model.safetensors", *TEXTS} | PICTURES


def succeed(*arguments) -> str:
    """Carry a command out that must succeed, and return what it printed."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        code = main([str(argument) for argument in arguments])
    assert code == 0
    return text.getvalue()


def refused(capsys, *arguments) -> str:
    """Return the one line with which a command is refused, whatever was noted before it."""
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    *notes, error = err.splitlines(keepends=True)
    assert all(note.startswith("cnn-core: note: ") for note in notes)
    assert error.startswith("cnn-core: error: ")
    return error


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

    Output is buffered, as it is by default.
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
