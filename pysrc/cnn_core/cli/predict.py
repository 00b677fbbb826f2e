"""``cnn-core predict``: what the model of a run folder says of the samples of a file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from cnn_core.cli.console import CommandError, note, show
from cnn_core.cli.output import print_document
from cnn_core.cli.predictions import Predictions, text_of, values_of, write_parquet
from cnn_core.cli.run_folder import Run
from cnn_core.cli.runs import read_any
from cnn_core.cli.source import Source
from cnn_core.cli.tables import read_features
from cnn_core.cli.tabular.run import TableRun
from cnn_core.cli.tabular.samples import read_raw
from cnn_core.data.table_file import RawTable
from cnn_core.files import write_text

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Carry the command out; the exit code is 0."""
    trained = read_any(args.folder, args.backend)
    out: Path | None = args.out
    if out is not None and out.exists() and os.path.samefile(out, args.file):
        raise CommandError(f"--out: {out} is the file to be predicted; choose another name")
    source = Source(
        str(args.file),
        header=args.header,
        separator=args.separator,
        encoding=args.encoding,
        decimal=args.decimal,
        sheet=args.sheet,
    )
    raw = read_raw(_like_training(source, trained), note)[0] if source.is_table else None
    found = (
        _of_table(trained, raw, args)
        if isinstance(trained, TableRun)
        else _of_network(trained, raw, args)
    )
    if out is None:
        if args.json:
            print_document({"predictions": values_of(raw, found)})
        else:
            show(text_of(raw, found), end="")
        return 0
    if out.suffix.lower() == ".parquet":
        write_parquet(out, raw, found)
    else:
        write_text(out, text_of(raw, found))
    count = len(found.predicted)
    note(f"{count:,} predictions written to {out}")
    if args.json:
        print_document({"path": out, "count": count})
    return 0


def _like_training(source: Source, trained: Run | TableRun) -> Source:
    """Return the file to be predicted, with a header if the one that was trained on is said to."""
    from dataclasses import replace

    return source if source.header is not None else replace(source, header=trained.source.header)


def _of_table(trained: TableRun, raw: RawTable | None, args: argparse.Namespace) -> Predictions:
    if raw is None:
        raise CommandError(f"{args.file}: expected a table such as .csv, as the run was trained on")
    return trained.predicted(raw, note, args.intervals)


def _of_network(trained: Run, raw: RawTable | None, args: argparse.Namespace) -> Predictions:
    if args.intervals is not None:
        raise CommandError("--intervals belongs to numbers; this run predicts classes")
    x = read_features(args.file, raw, trained.columns, note)
    samples = trained.scaled(x, args.file)
    names = list(trained.class_names)
    if not args.outputs and raw is None:
        classes = trained.trained.predict(samples)
        return Predictions([names[best] for best in classes])
    outputs = trained.trained.outputs(samples)
    return Predictions(
        [names[best] for best in outputs.argmax(axis=1)], dict(zip(names, outputs.T, strict=True))
    )
