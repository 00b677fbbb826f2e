"""``cnn-core predict``: predict the samples of a file with the model of a run folder."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cnn_core.cli.console import CommandError, note, show
from cnn_core.cli.image_files import Size, is_image, read_images
from cnn_core.cli.image_folders import images_below
from cnn_core.cli.output import print_document
from cnn_core.cli.predictions import Predictions, text_of, values_of, write_parquet
from cnn_core.cli.run_folder import RECORD, Run
from cnn_core.cli.runs import read_any
from cnn_core.cli.source import Source
from cnn_core.cli.tables import read_features
from cnn_core.cli.tabular.run import TableRun
from cnn_core.cli.tabular.samples import read_raw
from cnn_core.data.table_file import RawTable
from cnn_core.files import write_text

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code is 0."""
    last = args.files[-1]
    if args.folder.is_file() and (last / RECORD).is_file():
        raise CommandError(
            f"expected the run folder first and then the file: cnn-core predict {last} "
            f"{args.folder}"
        )
    trained = read_any(args.folder, args.backend)
    out: Path | None = args.out
    for file in args.files:
        if out is not None and out.exists() and file.exists() and os.path.samefile(out, file):
            raise CommandError(f"--out: {out} is the file to be predicted; choose another name")
    if any(path.is_dir() or is_image(path) for path in args.files):
        return _written(args, None, _of_images(trained, args))
    if len(args.files) > 1:
        raise CommandError(
            f"expected one file, or PNG and JPEG images, found {len(args.files)} files"
        )
    (args.file,) = args.files
    if args.size is not None:
        raise CommandError(f"--size belongs to images, not to {args.file}")
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
    return _written(args, raw, found)


def _written(args: argparse.Namespace, raw: RawTable | None, found: Predictions) -> int:
    """Write the predictions, or show them, and return the exit code."""
    out: Path | None = args.out
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
    """Return the file to predict, with the header setting of the training file."""
    return source if source.header is not None else replace(source, header=trained.source.header)


def _of_table(trained: TableRun, raw: RawTable | None, args: argparse.Namespace) -> Predictions:
    if raw is None:
        raise CommandError(f"{args.file}: expected a table such as .csv, as the run was trained on")
    return trained.predicted(raw, note, args.intervals)


def _of_network(trained: Run, raw: RawTable | None, args: argparse.Namespace) -> Predictions:
    if args.intervals is not None:
        raise CommandError("--intervals belongs to numbers; this run predicts classes")
    x = read_features(args.file, raw, trained.columns, note)
    return _predicted(trained, x, args.file, with_outputs=args.outputs or raw is not None)


def _of_images(trained: Run | TableRun, args: argparse.Namespace) -> Predictions:
    """Return the predictions for image files, with their names."""
    if isinstance(trained, TableRun):
        raise CommandError("expected a table such as .csv, as the run was trained on, found images")
    if trained.image_shape is None:
        raise CommandError(f"{args.folder}: expected a run on images, found one on other samples")
    for name in ("header", "separator", "encoding", "decimal", "sheet", "intervals"):
        if getattr(args, name) is not None:
            raise CommandError(f"--{name} has no effect on images")
    files = images_below(args.files)
    size = trained.source.image_size if args.size is None else Size.of(args.size)
    x = read_images(files, size, trained.image_shape)
    found = _predicted(trained, x, files[0], with_outputs=args.outputs)
    # A file name need not be valid text.
    names = [os.fsencode(file).decode("utf-8", "backslashreplace") for file in files]
    return replace(found, names=names)


def _predicted(
    trained: Run, x: npt.NDArray[Any], source: Path, *, with_outputs: bool
) -> Predictions:
    samples, names = trained.scaled(x, source), list(trained.class_names)
    if not with_outputs:
        return Predictions([names[best] for best in trained.trained.predict(samples)])
    outputs = trained.trained.outputs(samples)
    return Predictions(
        [names[best] for best in outputs.argmax(axis=1)], dict(zip(names, outputs.T, strict=True))
    )
