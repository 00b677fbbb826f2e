"""``cnn-core export``: the model of a run folder for other programs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import CommandError, error_text, note, show
from cnn_core.cli.output import print_document
from cnn_core.cli.run_folder import Run
from cnn_core.cli.runs import AnyRun, read_any
from cnn_core.cli.scale_run import FilesRun
from cnn_core.cli.sources import read_test_part
from cnn_core.cli.tabular.run import TableRun
from cnn_core.cli.trained_model import describe_network
from cnn_core.export import Agreement, Exportable
from cnn_core.export.exportable import program_of
from cnn_core.export.operations import Standardize
from cnn_core.export.program import Answer, AnswerKind, Program, Rows

__all__ = ["FORMATS", "RunModel", "run"]

# The formats, by their options, and the functions that write them.
FORMATS: dict[str, Callable[..., Agreement]] = {
    "onnx": Exportable.to_onnx,
    "c": Exportable.to_c,
    "python": Exportable.to_python,
    "safetensors": Exportable.to_safetensors,
}
# Formats that can hold learners of tables.
_OF_TABLES = ("onnx", "c", "python")


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code is 0."""
    wanted: dict[str, Path] = {
        name: path for name in FORMATS if (path := getattr(args, name)) is not None
    }
    if not wanted:
        options = ", ".join(f"--{name}" for name in FORMATS)
        raise CommandError(f"expected a file to write, by one of {options}, found none")
    if args.int8 and "c" not in wanted:
        raise CommandError("--int8 belongs to --c")
    trained = read_any(args.folder, args.backend)
    refused = [name for name in wanted if name not in _OF_TABLES]
    if isinstance(trained, TableRun) and refused:
        raise CommandError(
            f"--{refused[0]} takes one network on rows of numbers, and {args.folder} is a run of "
            "--model tables; write it by --onnx, --c or --python"
        )
    if isinstance(trained, TableRun) and args.int8:
        raise CommandError(
            f"--int8 takes one network on rows of numbers, and {args.folder} is a run of --model "
            "tables, whose weights are written as floats; leave it out"
        )
    model, rows = _model_and_rows(trained)
    results: dict[str, Any] = {}
    for name, path in wanted.items():
        settings: dict[str, Any] = {} if args.tolerance is None else {"tolerance": args.tolerance}
        if name == "c":
            settings["int8"] = args.int8
        result = FORMATS[name](model, path, rows, **settings)
        results[name] = {"path": str(path), **result.to_json()}
        if not args.json:
            show(f"{path}\n  " + str(result).replace("\n", "\n  "))
    if args.json:
        print_document(results)
    return 0


def _model_and_rows(trained: AnyRun) -> tuple[Exportable, Any]:
    """Return the model of a run, and rows of its test part; None if the data are gone."""
    model = trained.learner if isinstance(trained, TableRun) else RunModel(trained)
    try:
        return model, _test_rows(trained)
    except (ValueError, OSError) as error:
        reason = error_text(error)
        note(f"compared on generated rows, since those of the run cannot be read: {reason}")
        return model, None


def _test_rows(trained: AnyRun) -> Any:
    if isinstance(trained, TableRun):
        return trained.test_part(trained.source, note, asked_for=False)[0]
    part = read_test_part(
        trained.source,
        trained.class_names,
        trained.columns,
        trained.hashes,
        note,
        asked_for=isinstance(trained, FilesRun),
    )
    return part.x


class RunModel(Exportable):
    """The model of a run, with its recorded scaling and class names.

    Parameters
    ----------
    trained : Run
    """

    def __init__(self, trained: Run) -> None:
        self._run = trained

    def as_program(self) -> Program:
        """Return the program, from raw samples to class names."""
        owner, scaling = self._run.trained, self._run.scaling
        network = owner.model.network
        kinds: dict[int, AnswerKind] = {1: "one", 2: "binary"}
        kind = kinds[owner.n_classes] if network.n_outputs == 1 else "multiclass"
        names = np.array(self._run.class_names, np.str_)
        program = program_of(owner.model, describe_network(network), Answer(kind, names))
        program = replace(program, mirrored=owner.mirrored)
        if scaling.in_network:
            return program
        shape = (program.n_inputs,)
        standardize = Standardize(
            program.n_inputs,
            np.broadcast_to(scaling.offset, shape).copy(),
            np.broadcast_to(scaling.scale, shape).copy(),
        )
        part = program.parts[0]
        return replace(program, parts=(replace(part, networks=((standardize, *program.network),)),))

    def _rows_to_export(self, X: Any) -> Rows:
        rows: npt.NDArray[Any] = X.reshape(len(X), -1)
        return rows if rows.dtype == np.uint8 else rows.astype(np.float64)

    def _values_of_rows(self, rows: Rows) -> npt.NDArray[Any]:
        assert isinstance(rows, np.ndarray)
        own = self._run.trained
        return own.outputs(self._run.scaling.apply(rows, own.model.dtype))
