"""``cnn-core evaluate`` and ``cnn-core predict``: use what ``cnn-core train`` left behind."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli import arguments as args
from cnn_core.cli.console import CommandError, note, require, show
from cnn_core.cli.report import evaluate
from cnn_core.cli.run_folder import Run, read_run
from cnn_core.cli.source import Source
from cnn_core.cli.sources import read_test_part
from cnn_core.cli.tables import read_features
from cnn_core.cli.trained_model import describe_network
from cnn_core.files import table_text, write_text
from cnn_core.network import ByteArray, FloatArray, IndexArray

__all__ = ["add_parser", "run_evaluate", "run_predict"]


def add_parser(commands: args.Subcommands) -> None:
    """Add both commands to the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="evaluate the model of a run folder",
        description="Evaluates the model of a run folder on the test part of the data that it was "
        "trained on, or of other data of the same classes; all of a file that has no test part.",
        allow_abbrev=False,
    )
    args.add_run(parser)
    args.add_data(
        parser,
        default=None,
        help="fashion-mnist, digits or a file as cnn-core train takes it (default: what was "
        "trained on)",
    )
    args.add_backend(parser)
    parser.set_defaults(run=run_evaluate)

    parser = commands.add_parser(
        "predict",
        help="predict the classes of the samples of a file",
        description="Writes the predicted class of each sample of a file as comma-separated text. "
        "A name that a spreadsheet would run as a formula gets an apostrophe before it.",
        allow_abbrev=False,
    )
    args.add_run(parser)
    parser.add_argument(
        "file",
        metavar="FILE",
        type=args.path,
        help="samples: an IDX file, .npz (its test part, if it has one), .npy or .csv (with a "
        "header, its columns are found by name and others are left out)",
    )
    args.add_table_layout(parser)
    parser.add_argument(
        "--outputs",
        action="store_true",
        help="add the network's output for each class: its probability; with the preset nn a "
        "number from 0 to 1, and they need not add up to 1",
    )
    parser.add_argument(
        "--out", metavar="FILE", type=args.new_file, help="file to write (default: standard output)"
    )
    args.add_backend(parser)
    parser.set_defaults(run=run_predict)


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Carry ``evaluate`` out; the exit code is 0."""
    require("evaluate", "sklearn")
    run = read_run(arguments.folder, arguments.backend)
    source = _source(run, arguments)
    part = read_test_part(
        source,
        run.class_names,
        run.columns,
        run.hashes,
        note,
        asked_for=arguments.data is not None,
    )
    result = evaluate(run.trained, _scaled(run, part.x, source.data), part.y, run.class_names)
    show(
        f"{result.report}\n"
        f"accuracy  {result.accuracy:.4f}  (loss {result.loss:.4f}, {len(part.x):,} samples: "
        f"{part.description})\n"
        f"recorded  {run.accuracy:.4f}  on the test part after training\n"
        f"network   {describe_network(run.trained.model.network)}\n"
        f"computed  by {run.trained.computed_by}"
    )
    return 0


def run_predict(arguments: argparse.Namespace) -> int:
    """Carry ``predict`` out; the exit code is 0."""
    run = read_run(arguments.folder, arguments.backend)
    out: Path | None = arguments.out
    if out is not None and out.exists() and os.path.samefile(out, arguments.file):
        raise CommandError(f"--out: {out} is the file to be predicted; choose another name")
    header = arguments.header
    if header is None and arguments.file.suffix.lower() == ".csv":
        header = run.source.header
    x = read_features(arguments.file, run.columns, header, note)
    samples = _scaled(run, x, arguments.file)
    if arguments.outputs:
        outputs = run.trained.outputs(samples)
        text = _table(run, outputs.argmax(axis=1), outputs)
    else:
        text = _table(run, run.trained.predict(samples))
    if out is None:
        show(text, end="")
    else:
        write_text(out, text)
        note(f"{len(x):,} predictions written to {out}")
    return 0


def _source(run: Run, arguments: argparse.Namespace) -> Source:
    """Return the data that were asked for: other ones, or those of the run."""
    if arguments.data is not None:
        asked_for = Source.from_arguments(arguments)
        if Path(asked_for.data).suffix.lower() != ".csv":
            return asked_for
        return _laid_out_alike(asked_for, run.source)
    given = Source.from_arguments(
        argparse.Namespace(**{**vars(arguments), "data": run.source.data})
    )
    changes = {key: value for key, value in vars(given).items() if value is not None}
    return replace(run.source, **changes)


def _laid_out_alike(source: Source, trained_on: Source) -> Source:
    """Return a table whose layout, where nothing was said about it, is that of another one."""
    if source.target is None and source.header is not False:
        source = replace(source, target=trained_on.target)
    if source.header is None and source.target is None:
        source = replace(source, header=trained_on.header)
    return source


def _scaled(run: Run, x: npt.NDArray[Any], source: str | Path) -> FloatArray | ByteArray:
    """Return samples as the network of a run takes them."""
    features = int(np.prod(x.shape[1:]))
    if features != run.trained.n_features:
        raise CommandError(
            f"expected samples of {run.trained.n_features} features, as the run was trained on, "
            f"found {features}"
        )
    trained = np.dtype(run.scaling.dtype)
    if (trained == np.uint8) != (x.dtype == np.uint8):
        note(
            f"the model was trained on {trained} values, {run.scaling.description}; "
            f"these are {x.dtype} values from {x.min():g} to {x.max():g} and are scaled alike"
        )
    run.scaling.require_near(x, run.columns.feature_names, source)
    return run.scaling.apply(x, run.trained.model.dtype)


def _table(run: Run, predicted: IndexArray, outputs: FloatArray | None = None) -> str:
    def rows() -> Iterator[list[object]]:
        yield ["sample", "class", *(() if outputs is None else run.class_names)]
        for number, best in enumerate(predicted):
            values = () if outputs is None else (f"{value:.6g}" for value in outputs[number])
            yield [number, run.class_names[best], *values]

    return table_text(rows())
