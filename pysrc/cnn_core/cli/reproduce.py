"""Reproduce a recorded training: the same settings on the same data, or an error."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from cnn_core.cli.console import CommandError, note, short_path
from cnn_core.cli.scaling import Scaling
from cnn_core.cli.source import Source
from cnn_core.cli.sources import read_samples
from cnn_core.cli.tables import file_hashes
from cnn_core.cli.training import Training
from cnn_core.files import in_message

__all__ = ["training_again"]

_MISSING = object()
_NOT_COMPARED = {"backend", "threads"}


def training_again(
    args: argparse.Namespace,
    source: Source,
    hashes: dict[str, str],
    settings: dict[str, Any],
    scaling: Scaling | None,
    refusal: str,
) -> Training:
    """Return the recorded training, not yet run.

    Parameters
    ----------
    args : argparse.Namespace
        The recorded command, parsed.
    source : Source
    hashes : dict of str to str
        The recorded SHA-256 of the data.
    settings : dict
        The recorded settings; what computes is not compared.
    scaling : Scaling or None
        The recorded scaling of the features, which is taken as it is; None where an
        earlier version recorded none.
    refusal : str
        What errors begin with.

    Raises
    ------
    CommandError
        If the data have changed, or the command means other settings in this version.
    FileNotFoundError, ValueError
        If the data cannot be read.
    """
    if source.is_file:
        # Before they are read: changed data may be refused for another reason.
        _require_same_data(source, hashes, file_hashes(source), refusal)
    samples = read_samples(source, note)
    _require_same_data(source, hashes, samples.hashes, refusal)
    if scaling is not None:
        if scaling.offset.shape not in ((), (samples.n_features,)):
            raise CommandError(
                f"{refusal}: its record scales {scaling.offset.size} features, the data have "
                f"{samples.n_features}; train again"
            )
        samples = replace(samples, scaling=scaling)
    # The layers of a file stand in the record; the file itself may have changed, or be gone.
    args.layers = settings.get("architecture") if args.network is not None else None
    training = Training(args, source, samples)
    now = json.loads(json.dumps(training.settings()))
    differing = [
        f"{name} {in_message(settings.get(name, 'not recorded'), 80)} then, {value} now"
        for name, value in now.items()
        if name not in _NOT_COMPARED and settings.get(name, _MISSING) != value
    ]
    if differing:
        raise CommandError(
            f"{refusal}: the recorded command means other settings in this version: "
            + "; ".join(differing)
        )
    return training


def _require_same_data(
    source: Source, then: dict[str, str], now: dict[str, str], refusal: str
) -> None:
    changed = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    if changed:
        where = f" ({short_path(source.data)})" if source.is_file else ""
        raise CommandError(
            f"{refusal}: the data{where} have changed since the training: "
            f"SHA-256 of {', '.join(changed)}"
        )
