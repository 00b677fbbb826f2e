"""``cnn-core train``: learn a data set and leave a run folder behind."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from cnn_core.cli import (
    arguments,
    config,
    options,
    records,
    resume,
    run_folder,
    run_report,
    scale,
    workers,
)
from cnn_core.cli.commands import add_train
from cnn_core.cli.console import CommandError, note, require, short_path
from cnn_core.cli.output import introduce, print_result, run_values
from cnn_core.cli.reproduce import AnyTraining, training_again, training_of
from cnn_core.cli.source import Source
from cnn_core.cli.tabular import report as table_report
from cnn_core.cli.tabular.training import TableTraining
from cnn_core.cli.tabular.watching import watching as watching_table
from cnn_core.cli.watching import watching
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.io.container import ModelFileError
from cnn_core.io.fields import Fields

__all__ = ["run"]


def parse(argv: list[str]) -> argparse.Namespace:
    """Return the arguments of a ``cnn-core train`` that was recorded.

    Raises
    ------
    CommandError
        If this version has no such command.
    """
    if argv[:1] != ["train"]:
        raise CommandError(f"expected the command train, found {' '.join(argv[:1]) or 'nothing'}")
    parser = arguments.Parser(prog="cnn-core", allow_abbrev=False)
    add_train(parser.add_subparsers(dest="command"))
    try:
        args = parser.parse_args(argv, argparse.Namespace(argv=argv))
    except SystemExit as end:
        raise CommandError("expected a training, found the wish for help") from end
    return args


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns
    -------
    int
        0, or 130 if training was interrupted after its first epoch; the run folder is written in
        both cases.
    """
    require("train", "rich", "sklearn", "jinja2", *(() if args.no_plots else ("matplotlib",)))
    if args.resume is not None:
        return _resume(args)
    source = Source.from_arguments(args)
    options.choose_model(args, source)
    if workers.are_files(args):
        return scale.run(args)
    training = training_of(args, source, None if args.quiet else note)
    with resume.begin(args.out, training.samples.name, _beginning(training)) as folder:
        files = _learn(training, folder)
    return _show(training, folder, files)


def _resume(args: argparse.Namespace) -> int:
    """Go on with an unfinished training."""
    _refuse_other_options(args.argv)
    begun = resume.find(args.resume)
    if begun is None:
        text = f"{args.resume} is complete already: there is nothing to go on with"
        print_result(args, text, {**run_values(args.resume, []), "was_complete": True})
        return 0
    with resume.go_on(begun) as record:
        training = _begun(record, args)
        with resume.reopen(begun, record) as folder:
            files = _learn(training, folder)
    return _show(training, folder, files)


def _refuse_other_options(argv: list[str]) -> None:
    parser = arguments.Parser(prog="cnn-core train", allow_abbrev=False, add_help=False)
    parser.add_argument("command")
    parser.add_argument("--resume")
    for name in ("--quiet", "--json", "--no-plots"):
        parser.add_argument(name, action="store_true")
    _, others = parser.parse_known_args(argv)
    if others:
        raise CommandError(
            "--resume goes on with a training as it was begun; beside it only --quiet, "
            f"--json and --no-plots can be used, found {' '.join(others)}"
        )


def _reports(training: AnyTraining) -> Any:
    """Return the module that tells of a training."""
    return table_report if isinstance(training, TableTraining) else run_report


def _beginning(training: AnyTraining) -> dict[str, Any]:
    """Return what has to be known to go on with a training."""
    head = records.record_head(resume.FORMAT, resume.FORMAT_VERSION, training.args.argv)
    return {**head, **_reports(training).beginning(training)}


def _begun(record: Fields, args: argparse.Namespace) -> AnyTraining:
    """Return the training that was begun, if it is the same here and now."""
    refusal = f"{args.resume} cannot be gone on with"
    try:
        _, *words = record.texts("command")
        recorded, backend = parse(words), record.text("backend")
    except (TypeError, ValueError) as error:
        raise CommandError(f"{refusal}: its record is damaged ({error}); train again") from error
    recorded.quiet |= args.quiet
    recorded.json = args.json
    recorded.no_plots |= args.no_plots
    training = training_again(recorded, record, refusal)
    if training.backend["backend"] != backend:
        raise CommandError(
            f"{refusal}: it was begun on the backend {backend}, found "
            f"{training.backend['backend']}; set CNN_CORE_BACKEND={backend}"
        )
    return training


def _watching(training: AnyTraining, folder: run_folder.NewFolder) -> AbstractContextManager[None]:
    if isinstance(training, TableTraining):
        return watching_table(training, folder.final, training.args.port)
    return watching(training, folder.final, training.args.port)


def _learn(training: AnyTraining, folder: run_folder.NewFolder) -> list[str]:
    """Train, and return the names of the files that were written."""
    args = training.args
    if not args.quiet:
        # A closed output does not prevent the run folder.
        with suppress(OSError):
            introduce(args, _reports(training).introduction(training))
    every = args.checkpoint_every
    path = folder.path / training.checkpoint_name
    watched = _watching(training, folder) if args.watch else nullcontext()
    try:
        with watched:
            training.learn(None if every is None else Checkpoint(path, **every))
    except ModelFileError as error:
        raise CommandError(
            f"{error}. Without this file, cnn-core train --resume {short_path(folder.final)} "
            "begins anew"
        ) from error
    folder.was_interrupted = training.interrupted
    files: list[str] = _reports(training).write(
        training, folder.path, folder.final, plots=not args.no_plots
    )
    config.write(folder.path, args.argv)
    files.insert(files.index(run_folder.RECORD) + 1, run_folder.CONFIG)
    return files


def _show(training: AnyTraining, folder: run_folder.NewFolder, files: list[str]) -> int:
    reports = _reports(training)
    if training.args.quiet:
        text = reports.line(training, folder.final)
    else:
        text = reports.summary(training, folder.final, files)
    values = {
        **run_values(folder.final, files),
        "interrupted": training.interrupted,
        "settings": training.settings(),
        "result": reports.values(training),
    }
    print_result(training.args, text, values, folder.final)
    if warning := reports.warning(training):
        note(warning)
    return 130 if training.interrupted else 0
