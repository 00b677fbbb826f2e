"""``cnn-core verify``: train again as a run folder records it, and compare the bits."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NoReturn

from cnn_core.cli import run_folder, train
from cnn_core.cli.console import CommandError, note, require
from cnn_core.cli.output import print_result
from cnn_core.cli.plan import counted
from cnn_core.cli.reproduce import AnyTraining, training_again
from cnn_core.cli.runs import AnyRun, read_any
from cnn_core.cli.scale_run import FilesRun
from cnn_core.cli.tabular.training import TableTraining
from cnn_core.cli.trained_model import describe_backend
from cnn_core.io.fields import Fields

__all__ = ["run"]


_BACKENDS = ("cython", "numpy")
# Settings that may change the bits, and their keys in `cnn_core.backend_info`.
_ENVIRONMENT = {
    "backend": ("backend",),
    "ISA level": ("isa",),
    "threads": ("threads",),
    "cnn_core": ("versions", "cnn_core"),
    "Python": ("versions", "python"),
    "NumPy": ("versions", "numpy"),
    "Cython": ("versions", "cython"),
    "compiler": ("compiler",),
}


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns
    -------
    int
        0 if the weights are the same, 1 if they are not.

    Raises
    ------
    CommandError
        If that cannot be told.
    """
    if not args.quiet:
        require("verify", "rich")
    recorded = _Recorded.of(args.folder)
    training = _training_again(recorded, args)
    if not args.quiet:
        note(f"training again, {training.length} on {describe_backend(training.backend)}")
    training.fit()
    if training.interrupted:
        raise KeyboardInterrupt("nothing can be said of the run")
    now = training.weights_sha256
    is_same = now == recorded.weights
    if args.quiet:
        digests = now if is_same else f"{recorded.weights} then, {now} now"
        text = f"{_verdict(is_same)}  {digests}"
    else:
        text = _report(recorded, training, now)
    values = {
        "same": is_same,
        "weights_then": recorded.weights,
        "weights_now": now,
        "backend_then": recorded.backend,
        "backend_now": training.backend,
    }
    print_result(args, text, values)
    return 0 if is_same else 1


@dataclass(frozen=True, eq=False)
class _Recorded:
    """What a run folder holds of a training that can be done again."""

    run: AnyRun
    args: argparse.Namespace
    settings: dict[str, Any]
    backend: dict[str, Any]
    weights: str
    date: str
    history: Path

    @classmethod
    def of(cls, folder: Path) -> _Recorded:
        run = read_any(folder)
        if isinstance(run, FilesRun):
            _cannot(folder, "it was trained on files; cnn-core train --config run.toml repeats it")
        record, path = run.record, folder / run_folder.RECORD
        try:
            was_interrupted = "interrupted" in record and record.flag("interrupted")
            settings, backend = record.fields("settings").values, record.fields("backend")
            weights, date = record.fields("result").text("weights_sha256"), record.text("date")
            _, *argv = record.texts("command")
            _check_backend(backend)
        except (TypeError, ValueError) as error:
            _cannot(folder, f"{path} does not hold what is needed ({error})", error)
        if was_interrupted:
            _cannot(folder, "it was interrupted by Ctrl-C, at a moment that does not come again")
        if settings.get("time_budget") is not None:
            _cannot(
                folder,
                "it had a time budget, so that its weights depend on how fast the machine was",
            )
        if run.weights_sha256 != weights:
            _cannot(
                folder, f"{run_folder.MODEL} does not hold the weights that {path.name} records"
            )
        try:
            args = train.parse(argv)
        except ValueError as error:
            _cannot(folder, f"this version has no such command as the recorded one: {error}", error)
        return cls(run, args, settings, backend.values, weights, date, folder / run_folder.HISTORY)


def _check_backend(fields: Fields) -> None:
    """Check that a record names its backend.

    Raises
    ------
    TypeError, ValueError
        If it does not.
    """
    if fields.text("backend") not in _BACKENDS:
        raise ValueError(f"{fields.name('backend')}: expected one of {', '.join(_BACKENDS)}")
    for name in ("isa", "compiler"):
        fields.optional(fields.text, name)
    fields.optional(partial(fields.whole, least=1), "threads")
    versions = fields.fields("versions")
    for name in ("cnn_core", "python", "numpy", "cython"):
        versions.optional(versions.text, name)


def _training_again(recorded: _Recorded, args: argparse.Namespace) -> AnyTraining:
    """Return the recorded training, to be done once more, after all that can be checked before."""
    again = recorded.args
    again.quiet = args.quiet
    again.backend = args.backend or recorded.backend["backend"]
    again.threads = args.threads or again.threads
    return training_again(again, recorded.run.record, f"{args.folder} cannot be verified")


def _cannot(folder: Path, reason: str, cause: BaseException | None = None) -> NoReturn:
    raise CommandError(f"{folder} cannot be verified: {reason}") from cause


def _verdict(is_same: bool) -> str:
    return "the same" if is_same else "not the same"


def _report(recorded: _Recorded, training: AnyTraining, now: str) -> str:
    is_same = now == recorded.weights
    environment = _differences(recorded.backend, training.backend)
    lines = [
        f"weights then   {recorded.weights}",
        f"weights now    {now}",
        f"computed then  {_described(recorded.backend)}, {recorded.date}",
        f"computed now   {_described(training.backend)}",
    ]
    if is_same:
        return "\n".join([*lines, f"{_verdict(True)}, bit for bit"])
    return "\n".join(
        [
            *lines,
            f"differs        {'; '.join(environment) or 'nothing that is recorded'}",
            *_losses(recorded, training),
            _verdict(False),
        ]
    )


def _losses(recorded: _Recorded, training: AnyTraining) -> list[str]:
    if isinstance(training, TableTraining):
        return []
    return [f"losses         {_departure(recorded.history, training.history['loss'])}"]


def _described(backend: dict[str, Any]) -> str:
    versions = backend["versions"]
    return (
        f"{describe_backend(backend)}; cnn_core {versions['cnn_core']}, "
        f"Python {versions['python']}, NumPy {versions['numpy']}"
    )


def _differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    pairs = {name: (_found(then, keys), _found(now, keys)) for name, keys in _ENVIRONMENT.items()}
    return [f"{name}: {a} then, {b} now" for name, (a, b) in pairs.items() if a != b]


def _found(values: dict[str, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        values = values[key]
    return values


def _departure(path: Path, now: list[float]) -> str:
    """Return in which epoch the losses first depart from those of a table."""
    try:
        then = run_folder.read_losses(path)
    except (OSError, ValueError):
        return f"{path.name} of the run is missing or damaged, so that they cannot be compared"
    for epoch, (a, b) in enumerate(zip_longest(then, now), start=1):
        if a != b:
            return f"depart in epoch {epoch}: {_loss(a)} then, {_loss(b)} now"
    return f"the same in all of {counted(len(now))}"


def _loss(value: float | None) -> str:
    return "no such epoch" if value is None else repr(value)
