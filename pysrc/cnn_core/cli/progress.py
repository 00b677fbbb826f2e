"""What is shown while a network learns: a bar on a terminal, a few lines elsewhere, or nothing.

All of it goes to standard error, so that the results can be piped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cnn_core.cli.console import show_progress
from cnn_core.training import EpochRecord

__all__ = ["epochs_shown"]

OnEpoch = Callable[[EpochRecord], None]

_PLAIN_LINES = 10

_FIELDS = ("loss", "accuracy", "measured", "rate")
_COLUMNS_BESIDE_BAR = 65
_COLUMNS_OF_TIME = 8
_NARROWEST_BAR, _WIDEST_BAR = 4, 30


@contextmanager
def epochs_shown(
    label: str, epochs: int, *, quiet: bool, measured: str = "test"
) -> Iterator[OnEpoch]:
    """Show the epochs of one training.

    Parameters
    ----------
    label : str
        What is going on, in a word or two.
    epochs : int
        How many there will be.
    quiet : bool
        Show nothing.
    measured : str
        What the validation data of the training are.

    Yields
    ------
    callable
        To be called with the `cnn_core.training.EpochRecord` of each epoch.
    """
    if quiet:
        yield lambda record: None
    elif sys.stderr.isatty():
        with _bar(label, epochs, measured) as on_epoch:
            yield on_epoch
    else:
        yield _lines(label, epochs, measured)


def _lines(label: str, epochs: int, measured: str) -> OnEpoch:
    """Return what prints the first epoch, the last one, and about ten between them."""
    every = max(1, epochs // _PLAIN_LINES)

    def on_epoch(record: EpochRecord) -> None:
        if record.epoch == 1 or record.epoch == record.last_epoch or record.epoch % every == 0:
            parts = [f"{label}: epoch {record.epoch}/{epochs}", *_values(record, measured).values()]
            show_progress("  ".join(parts))

    return on_epoch


@contextmanager
def _bar(label: str, epochs: int, measured: str) -> Iterator[OnEpoch]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    room = console.width - len(label) - _COLUMNS_BESIDE_BAR
    with_time = room >= _NARROWEST_BAR + _COLUMNS_OF_TIME
    columns = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=max(_NARROWEST_BAR, min(_WIDEST_BAR, room - _COLUMNS_OF_TIME))),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        *(TextColumn(f"{{task.fields[{field}]}}") for field in _FIELDS),
        *([TimeElapsedColumn()] if with_time else []),
    ]
    bar = Progress(*columns, console=console)
    empty: dict[str, Any] = dict.fromkeys(_FIELDS, "")
    with bar:
        task = bar.add_task(label, total=epochs, **empty)

        def on_epoch(record: EpochRecord) -> None:
            shown: dict[str, Any] = {**_values(record, measured)}
            bar.update(task, advance=1, **shown)

        yield on_epoch


def _values(record: EpochRecord, measured: str) -> dict[str, str]:
    """Return what is worth telling of an epoch, as text."""
    values = {"loss": f"loss {record.loss:.4f}", "accuracy": "", "measured": ""}
    if record.accuracy is not None:
        values["accuracy"] = f"accuracy {record.accuracy:.3f}"
    if record.validation_accuracy is not None:
        values["measured"] = f"{measured} {record.validation_accuracy:.3f}"
    values["rate"] = f"{_rounded(record.samples / max(record.seconds, 1e-9))} samples/s"
    return values


def _rounded(number: float) -> str:
    """Return a number to about three digits: 950, 8.2k, 322k, 1.4M."""
    if number < 1e3:
        return f"{number:.0f}"
    value, letter = (number / 1e3, "k") if number < 1e6 else (number / 1e6, "M")
    return f"{value:.1f}{letter}" if value < 9.95 else f"{value:.0f}{letter}"
