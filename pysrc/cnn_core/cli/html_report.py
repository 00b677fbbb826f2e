"""``cnn-core report``: the page of a run, ``report.html``, written again from its folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnn_core.cli import records
from cnn_core.cli.console import CommandError, note, require, short_path, show
from cnn_core.cli.evaluate import source_of
from cnn_core.cli.run_folder import HISTORY, PAGE, RECORD, Run, read_history, read_run
from cnn_core.cli.run_page import Tested, write_page
from cnn_core.cli.sources import read_test_part

__all__ = ["read_tested", "run"]


def run(args: argparse.Namespace) -> int:
    """Carry the command out; the exit code is 0."""
    require("report", "sklearn", "jinja2")
    path: Path = args.folder / PAGE if args.out is None else args.out
    if path.is_symlink() and args.out is None:
        raise CommandError(
            f"{path}: expected a file, found a symbolic link; remove it, or use --out"
        )
    _, tested = read_tested(args)
    with records.damaged(args.folder / RECORD):
        write_page(path, tested)
    show(f"written to {short_path(path)}")
    return 0


def read_tested(args: argparse.Namespace) -> tuple[Run, Tested]:
    """Return the run that the arguments name, and the same with its test part.

    Raises
    ------
    CommandError
        If it is no run, or damaged.
    FileNotFoundError, ValueError
        If the data cannot be read, or have changed.
    """
    read = read_run(args.folder, args.backend)
    source = source_of(read, args)
    part = read_test_part(
        source, read.class_names, read.columns, read.hashes, note, asked_for=args.data is not None
    )
    with records.damaged(args.folder / RECORD):
        tested = Tested(
            record=read.record,
            folder=short_path(args.folder),
            history=read_history(args.folder / HISTORY),
            trained=read.trained,
            samples=part.x,
            x=read.scaled(part.x, source.data),
            y=part.y,
            test_part=part.description,
        )
    return read, tested
