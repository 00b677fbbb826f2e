"""``cnn-core report``: write ``report.html`` of a run again from its folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnn_core.cli import records
from cnn_core.cli.console import CommandError, note, require, short_path
from cnn_core.cli.evaluate import source_of
from cnn_core.cli.output import print_result
from cnn_core.cli.run_folder import HISTORY, PAGE, RECORD, Run, read_history
from cnn_core.cli.run_page import Tested, contents_of, write_page
from cnn_core.cli.runs import read_any
from cnn_core.cli.scale_page import contents_again
from cnn_core.cli.scale_run import FilesRun
from cnn_core.cli.sources import read_test_part
from cnn_core.cli.table_page import TestedTable, table_contents
from cnn_core.cli.tabular.curves import read_curves
from cnn_core.cli.tabular.result import measured
from cnn_core.cli.tabular.run import TableRun

__all__ = ["run", "tested_run", "tested_table"]


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code is 0."""
    require("report", "sklearn", "jinja2")
    path: Path = args.folder / PAGE if args.out is None else args.out
    if path.is_symlink() and args.out is None:
        raise CommandError(
            f"{path}: expected a file, found a symbolic link; remove it, or use --out"
        )
    read = read_any(args.folder, args.backend)
    with records.damaged(args.folder / RECORD):
        if isinstance(read, TableRun):
            contents = table_contents(tested_table(read, args))
        elif isinstance(read, FilesRun):
            contents = contents_again(args.folder, read)
        else:
            contents = contents_of(tested_run(read, args))
        write_page(path, contents)
    print_result(args, f"written to {short_path(path)}", {"path": path})
    return 0


def tested_table(read: TableRun, args: argparse.Namespace) -> TestedTable:
    """Return a run on a table with its test part.

    Raises
    ------
    FileNotFoundError, ValueError
        If the data cannot be read, or have changed.
    """
    source = source_of(read, args)
    features, y, what = read.test_part(source, note, asked_for=args.data is not None)
    result = measured(read.learner, features, y, read.intervals)
    curves = read_curves(args.folder / HISTORY)
    folder = short_path(args.folder)
    return TestedTable(read.record, folder, read.learner, features, result, what, curves)


def tested_run(read: Run, args: argparse.Namespace) -> Tested:
    """Return a run of a network with its test part.

    Raises
    ------
    FileNotFoundError, ValueError
        If the data cannot be read, or have changed.
    """
    source = source_of(read, args)
    part = read_test_part(
        source, read.class_names, read.columns, read.hashes, note, asked_for=args.data is not None
    )
    return Tested(
        record=read.record,
        folder=short_path(args.folder),
        history=read_history(args.folder / HISTORY),
        trained=read.trained,
        samples=part.x,
        x=read.scaled(part.x, source.data),
        y=part.y,
        test_part=part.description,
    )
