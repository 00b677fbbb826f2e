"""What is shown while a network learns: a bar on a terminal, a few lines elsewhere, or nothing.

All of it goes to standard error, so that the results can be piped.
"""

from __future__ import annotations

import sys
import time
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
    label: str,
    epochs: int,
    *,
    quiet: bool,
    measured: str = "test",
    seconds: float | None = None,
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
    seconds : float, optional
        How long it will take, if that is known better than the number of epochs.

    Yields
    ------
    callable
        To be called with the `cnn_core.training.EpochRecord` of each epoch.
    """
    way = _ByEpochs(epochs) if seconds is None else _ByTime(seconds)
    if quiet:
        yield lambda record: None
    elif sys.stderr.isatty():
        with _bar(label, way, measured) as on_epoch:
            yield on_epoch
    else:
        with _lines(label, way, measured) as on_epoch:
            yield on_epoch


class _ByEpochs:
    """How far a training has come, by its epochs."""

    def __init__(self, epochs: int) -> None:
        self.whole: float = epochs

    def done(self, record: EpochRecord) -> float:
        return record.epoch

    def text(self, done: float) -> str:
        return f"{done:.0f}/{self.whole:.0f}"

    def line(self, record: EpochRecord) -> str:
        return f"epoch {self.text(record.epoch)}"


class _ByTime:
    """How far a training has come, by the clock."""

    def __init__(self, seconds: float) -> None:
        self.whole = seconds
        self._start = time.perf_counter()

    def done(self, record: EpochRecord) -> float:
        return min(time.perf_counter() - self._start, self.whole)

    def text(self, done: float) -> str:
        return f"{done:.1f}/{self.whole:g} s"

    def line(self, record: EpochRecord) -> str:
        return f"{self.text(self.done(record))}  epoch {record.epoch}"


@contextmanager
def _lines(label: str, way: _ByEpochs | _ByTime, measured: str) -> Iterator[OnEpoch]:
    """Print the first epoch, the last one, and about ten between them."""
    due = 0.0
    waiting: str | None = None

    def on_epoch(record: EpochRecord) -> None:
        nonlocal due, waiting
        done = way.done(record)
        values = [value for value in _values(record, measured).values() if value]
        waiting = "  ".join([f"{label}: {way.line(record)}", *values])
        if done >= min(due, way.whole):
            due = way.whole * (int(_PLAIN_LINES * done / way.whole) + 1) / _PLAIN_LINES
            show_progress(waiting)
            waiting = None

    try:
        yield on_epoch
    finally:
        # Nobody knew that it would be the last one.
        if waiting is not None:
            show_progress(waiting)


@contextmanager
def _bar(label: str, way: _ByEpochs | _ByTime, measured: str) -> Iterator[OnEpoch]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    room = console.width - len(label) - _COLUMNS_BESIDE_BAR
    with_time = room >= _NARROWEST_BAR + _COLUMNS_OF_TIME
    columns = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=max(_NARROWEST_BAR, min(_WIDEST_BAR, room - _COLUMNS_OF_TIME))),
        *(TextColumn(f"{{task.fields[{field}]}}") for field in ("done", *_FIELDS)),
        *([TimeElapsedColumn()] if with_time else []),
    ]
    bar = Progress(*columns, console=console)
    empty: dict[str, Any] = {"done": way.text(0), **dict.fromkeys(_FIELDS, "")}
    with bar:
        task = bar.add_task(label, total=way.whole, **empty)

        def on_epoch(record: EpochRecord) -> None:
            done = way.done(record)
            shown: dict[str, Any] = {"done": way.text(done), **_values(record, measured)}
            bar.update(task, completed=done, **shown)

        yield on_epoch


def _values(record: EpochRecord, measured: str) -> dict[str, str]:
    """Return what is worth telling of an epoch, as text."""
    values = {"loss": f"loss {record.loss:.4f}", "accuracy": "", "measured": ""}
    if record.accuracy is not None:
        values["accuracy"] = f"accuracy {record.accuracy:.3f}"
    measured_accuracy = record.validation_accuracy
    if measured_accuracy is None:
        # The score of a classifier.
        measured_accuracy = record.validation_score
    if measured_accuracy is not None:
        values["measured"] = f"{measured} {measured_accuracy:.3f}"
    values["rate"] = f"{_rounded(record.samples / max(record.seconds, 1e-9))} samples/s"
    return values


def _rounded(number: float) -> str:
    """Return a number to about three digits: 950, 8.2k, 322k, 1.4M."""
    if number < 1e3:
        return f"{number:.0f}"
    value, letter = (number / 1e3, "k") if number < 1e6 else (number / 1e6, "M")
    return f"{value:.1f}{letter}" if value < 9.95 else f"{value:.0f}{letter}"
