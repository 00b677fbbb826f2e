"""``cnn-core evaluate``: measure the model of a run folder."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from cnn_core.cli.console import note, require
from cnn_core.cli.output import print_result
from cnn_core.cli.report import class_measures, evaluate
from cnn_core.cli.run_folder import Run
from cnn_core.cli.runs import read_any
from cnn_core.cli.scale_run import FilesRun
from cnn_core.cli.source import Source
from cnn_core.cli.sources import read_test_part
from cnn_core.cli.tabular.result import ClassResult
from cnn_core.cli.tabular.run import TableRun
from cnn_core.cli.trained_model import describe_network

__all__ = ["run", "source_of"]


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code is 0."""
    require("evaluate", "sklearn")
    trained = read_any(args.folder, args.backend)
    source = source_of(trained, args)
    # The last of several files was not used for training.
    asked_for = args.data is not None or isinstance(trained, FilesRun)
    if isinstance(trained, TableRun):
        text, values = _of_table(trained, source, asked_for=asked_for)
    else:
        text, values = _of_network(trained, source, asked_for=asked_for)
    print_result(args, text, values)
    return 0


def _of_table(trained: TableRun, source: Source, *, asked_for: bool) -> tuple[str, dict[str, Any]]:
    """Return the result as text and for programs."""
    result, what, count = trained.measured_on(source, note, asked_for=asked_for)
    text = (
        f"{result.report}\n"
        f"measured  {result.line}  ({count:,} rows: {what})\n"
        f"recorded  {trained.recorded}  on the test part after training"
    )
    values = {"samples": count, "measured_on": what, **result.to_json()}
    if isinstance(result, ClassResult):
        values["classes"] = class_measures(result.confusion, result.classes)
    return text, values


def _of_network(trained: Run, source: Source, *, asked_for: bool) -> tuple[str, dict[str, Any]]:
    """Return the result as text and for programs."""
    part = read_test_part(
        source,
        trained.class_names,
        trained.columns,
        trained.hashes,
        note,
        asked_for=asked_for,
    )
    result = evaluate(
        trained.trained, trained.scaled(part.x, source.data), part.y, trained.class_names
    )
    text = (
        f"{result.report}\n"
        f"accuracy  {result.accuracy:.4f}  (loss {result.loss:.4f}, {len(part.x):,} samples: "
        f"{part.description})\n"
        f"recorded  {trained.accuracy:.4f}  on the test part after training\n"
        f"network   {describe_network(trained.trained.model.network)}\n"
        f"computed  by {trained.trained.computed_by}"
    )
    values = {
        "samples": len(part.x),
        "measured_on": part.description,
        **result.to_json(),
        "classes": class_measures(result.confusion, trained.class_names),
        "recorded_accuracy": trained.accuracy,
    }
    return text, values


def source_of(run: Run | TableRun, args: argparse.Namespace) -> Source:
    """Return the data named on the command line, else those of the run."""
    given = Source.from_arguments(
        argparse.Namespace(**{**vars(args), "data": args.data or run.source.data})
    )
    if args.data is not None and given.images and given.size is None:
        return replace(given, size=run.source.size)
    if args.data is not None and not (given.is_table and run.source.is_table):
        return given
    changes = {key: value for key, value in vars(given).items() if value not in (None, ())}
    if args.data is None:
        return replace(run.source, **changes)
    return _laid_out_alike(given, run.source)


def _laid_out_alike(source: Source, trained_on: Source) -> Source:
    """Return a table with unset layout options taken from another table."""
    if source.target is None and source.header is not False:
        source = replace(source, target=trained_on.target)
    if source.header is None and source.target is None:
        source = replace(source, header=trained_on.header)
    return replace(source, missing=source.missing or trained_on.missing)
