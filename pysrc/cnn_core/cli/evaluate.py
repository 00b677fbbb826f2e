"""``cnn-core evaluate``: measure the model of a run folder."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from cnn_core.cli.console import note, require, show
from cnn_core.cli.report import evaluate
from cnn_core.cli.run_folder import Run, read_run
from cnn_core.cli.source import Source
from cnn_core.cli.sources import read_test_part
from cnn_core.cli.trained_model import describe_network

__all__ = ["run", "source_of"]


def run(args: argparse.Namespace) -> int:
    """Carry the command out; the exit code is 0."""
    require("evaluate", "sklearn")
    trained = read_run(args.folder, args.backend)
    source = source_of(trained, args)
    part = read_test_part(
        source,
        trained.class_names,
        trained.columns,
        trained.hashes,
        note,
        asked_for=args.data is not None,
    )
    result = evaluate(
        trained.trained, trained.scaled(part.x, source.data), part.y, trained.class_names
    )
    show(
        f"{result.report}\n"
        f"accuracy  {result.accuracy:.4f}  (loss {result.loss:.4f}, {len(part.x):,} samples: "
        f"{part.description})\n"
        f"recorded  {trained.accuracy:.4f}  on the test part after training\n"
        f"network   {describe_network(trained.trained.model.network)}\n"
        f"computed  by {trained.trained.computed_by}"
    )
    return 0


def source_of(run: Run, args: argparse.Namespace) -> Source:
    """Return the data named on the command line, else those of the run."""
    if args.data is not None:
        asked_for = Source.from_arguments(args)
        if Path(asked_for.data).suffix.lower() != ".csv":
            return asked_for
        return _laid_out_alike(asked_for, run.source)
    given = Source.from_arguments(argparse.Namespace(**{**vars(args), "data": run.source.data}))
    changes = {key: value for key, value in vars(given).items() if value is not None}
    return replace(run.source, **changes)


def _laid_out_alike(source: Source, trained_on: Source) -> Source:
    """Return a table whose layout, where nothing was said about it, is that of another one."""
    if source.target is None and source.header is not False:
        source = replace(source, target=trained_on.target)
    if source.header is None and source.target is None:
        source = replace(source, header=trained_on.header)
    return source
