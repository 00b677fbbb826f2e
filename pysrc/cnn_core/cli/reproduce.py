"""Set up a training from the arguments, or repeat a recorded one on the same data."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from cnn_core.cli import options
from cnn_core.cli.console import CommandError, note, short_path
from cnn_core.cli.records import source_from_json
from cnn_core.cli.scaling import Scaling
from cnn_core.cli.source import Source
from cnn_core.cli.sources import Samples, read_samples
from cnn_core.cli.tables import file_hashes
from cnn_core.cli.tabular.columns import Columns
from cnn_core.cli.tabular.samples import read_raw, unheard
from cnn_core.cli.tabular.samples import read_samples as read_table_samples
from cnn_core.cli.tabular.training import TableTraining
from cnn_core.cli.training import Training
from cnn_core.data.table_bytes import STANDARD_INPUT
from cnn_core.files import in_message
from cnn_core.io.fields import Fields

__all__ = ["AnyTraining", "training_again", "training_of"]

AnyTraining: TypeAlias = Training | TableTraining

_MISSING = object()
_NOT_COMPARED = {"backend", "threads"}


def training_of(
    args: argparse.Namespace, source: Source, report: Callable[[str], None] | None
) -> AnyTraining:
    """Return the training for the arguments, not yet run.

    Parameters
    ----------
    args : argparse.Namespace
        After `options.choose_model`.
    source : Source
    report : callable or None
        Called with each line of text for the user.

    Raises
    ------
    FileNotFoundError, ImportError, ValueError
        If the data cannot be read, or nothing can be learned from them.
    """
    if args.model == "tables":
        samples = read_table_samples(source, args.task, report or unheard)
        if args.intervals is not None and samples.task == "classification":
            raise CommandError(
                f"--intervals belongs to numbers, found classes in the target column "
                f"{samples.target.name!r} ({samples.target.why}); leave it out"
            )
        return TableTraining(args, source, samples)
    return Training(args, source, read_samples(source, report))


@dataclass(frozen=True)
class _Recorded:
    """The recorded training."""

    source: Source
    hashes: dict[str, str]
    settings: dict[str, Any]
    scaling: Scaling | None
    columns: Columns | None

    @classmethod
    def of(cls, record: Fields) -> _Recorded:
        data = record.fields("data")
        # Earlier versions recorded no scaling.
        scaling = (
            Scaling.from_json(record.fields("preprocessing")) if "preprocessing" in record else None
        )
        # In the first version every model was a network.
        return cls(
            source_from_json(data.fields("asked_for")),
            data.text_by_text("sha256"),
            {"model": "mlp", **record.fields("settings").values},
            scaling,
            Columns.from_json(record.fields("columns")) if "columns" in record else None,
        )


def training_again(args: argparse.Namespace, record: Fields, refusal: str) -> AnyTraining:
    """Return the recorded training, not yet run.

    Parameters
    ----------
    args : argparse.Namespace
        The recorded command, parsed.
    record : Fields
        Its data and settings, and its scaling or column decisions, which are reused. Backend and
        machine are not compared.
    refusal : str
        Prefix of errors.

    Raises
    ------
    CommandError
        If the record is damaged, the data have changed, or the command gives other settings in this
        version.
    FileNotFoundError, ValueError
        If the data cannot be read.
    """
    try:
        recorded = _Recorded.of(record)
    except (OverflowError, TypeError, ValueError) as error:
        raise CommandError(f"{refusal}: its record is damaged ({error}); train again") from error
    args.model = recorded.settings["model"]
    options.choose_model(args, recorded.source)
    training: AnyTraining
    if args.model == "tables":
        training = _table_training_again(args, recorded, refusal)
    else:
        # The layers are in the record; their file may have changed, or be gone.
        args.layers = recorded.settings.get("architecture") if args.network is not None else None
        training = Training(args, recorded.source, _samples_again(recorded, refusal))
    now = json.loads(json.dumps(training.settings()))
    differing = [
        f"{name} {in_message(recorded.settings.get(name, 'not recorded'), 80)} then, {value} now"
        for name, value in now.items()
        if name not in _NOT_COMPARED and recorded.settings.get(name, _MISSING) != value
    ]
    if differing:
        raise CommandError(
            f"{refusal}: the recorded command means other settings in this version: "
            + "; ".join(differing)
        )
    return training


def _samples_again(recorded: _Recorded, refusal: str) -> Samples:
    source = recorded.source
    if source.is_file and source.data != STANDARD_INPUT:
        # Check before reading: changed data may be refused for another reason.
        _require_same_data(recorded, file_hashes(source), refusal)
    samples = read_samples(source, note)
    _require_same_data(recorded, samples.hashes, refusal)
    scaling = recorded.scaling
    if scaling is None:
        return samples
    if scaling.offset.shape not in ((), (samples.n_features,)):
        raise CommandError(
            f"{refusal}: its record scales {scaling.offset.size} features, the data have "
            f"{samples.n_features}; train again"
        )
    return replace(samples, scaling=scaling)


def _table_training_again(
    args: argparse.Namespace, recorded: _Recorded, refusal: str
) -> TableTraining:
    table = read_raw(recorded.source, note)
    _require_same_data(recorded, table[1], refusal)
    samples = read_table_samples(recorded.source, args.task, note, table, recorded.columns)
    return TableTraining(args, recorded.source, samples)


def _require_same_data(recorded: _Recorded, now: dict[str, str], refusal: str) -> None:
    then, source = recorded.hashes, recorded.source
    changed = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    if changed:
        where = f" ({short_path(source.data)})" if source.is_file else ""
        raise CommandError(
            f"{refusal}: the data{where} have changed since the training: "
            f"SHA-256 of {', '.join(changed)}"
        )
