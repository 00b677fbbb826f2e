"""Show the progress of a training: a bar on a terminal, a few lines elsewhere, or nothing.

Everything goes to standard error, so that the results can be piped.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cnn_core.cli.console import show_progress
from cnn_core.training import EpochRecord

__all__ = ["epochs_shown"]

OnEpoch = Callable[[EpochRecord], None]

# Without a terminal: at least this many lines, one for each epoch if there are few, and at least
# one line in this many seconds.
_LEAST_LINES = 10
_FEW_EPOCHS = 20
_SECONDS_BETWEEN_LINES = 5.0

# The fields beside the bar and the columns that they need, the most important one first; 0 where it
# depends on the training. Fields without room are left out.
_FIELDS = {"done": 0, "loss": 11, "measured": 0, "accuracy": 14, "rate": 14, "elapsed": 7}
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
        Short name of the training.
    epochs : int
        Planned number of epochs.
    quiet : bool
        Show nothing.
    measured : str
        What the validation data are: ``"test"`` or ``"validation"``.
    seconds : float, optional
        The time budget, if the training has one; progress is then measured by time.

    Yields
    ------
    callable
        Function to call with the `cnn_core.training.EpochRecord` of each epoch.
    """
    way = _ByEpochs(epochs) if seconds is None else _ByTime(seconds)
    if quiet:
        yield lambda record: None
    elif sys.stderr.isatty():
        with _bar(label, way, measured) as on_epoch:
            yield on_epoch
    else:
        lines = _Lines(label, way, measured)
        with _called_every_second(lines.on_second):
            try:
                yield lines.on_epoch
            finally:
                # The epoch turned out to be the last one.
                lines.print_waiting()


class _ByEpochs:
    """Progress of a training by its epochs."""

    def __init__(self, epochs: int) -> None:
        self.whole: float = epochs

    def done(self, record: EpochRecord) -> float:
        return record.epoch

    def text(self, done: float) -> str:
        return f"{done:.0f}/{self.whole:.0f}"

    def line(self, record: EpochRecord) -> str:
        return f"epoch {self.text(record.epoch)}"


class _ByTime:
    """Progress of a training by the clock."""

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
def _called_every_second(function: Callable[[], None]) -> Iterator[None]:
    """Call a function every second from another thread during the block."""
    ended = threading.Event()

    def call() -> None:
        while not ended.wait(1.0):
            function()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _Lines:
    """Prints the first epoch, the last one, and enough of those between them."""

    def __init__(
        self,
        label: str,
        way: _ByEpochs | _ByTime,
        measured: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = label
        self._way = way
        self._measured = measured
        self._clock = clock
        self._every = way.whole / _LEAST_LINES
        if isinstance(way, _ByEpochs):
            self._every = 1 if way.whole <= _FEW_EPOCHS else math.ceil(self._every)
        self._due = 0.0
        self._began_at = self._printed_at = clock()
        self._waiting: str | None = None

    def on_epoch(self, record: EpochRecord) -> None:
        """Print an epoch, or keep it in case it is the last one."""
        done, now = self._way.done(record), self._clock()
        values = [value for value in _values(record, self._measured).values() if value]
        self._waiting = "  ".join([f"{self._label}: {self._way.line(record)}", *values])
        self._began_at = now
        if self._is_late(now) or done >= min(self._due, self._way.whole):
            self._due = self._every * (done // self._every + 1)
            self._printed_at = now
            self.print_waiting()

    def on_second(self) -> None:
        """Print that an epoch is still running, if nothing was printed for long."""
        now = self._clock()
        if self._is_late(now):
            self._printed_at = now
            seconds = now - self._began_at
            show_progress(f"{self._label}: the current epoch has taken {seconds:.0f} s so far")

    def _is_late(self, now: float) -> bool:
        return now - self._printed_at >= _SECONDS_BETWEEN_LINES

    def print_waiting(self) -> None:
        """Print the last epoch, if it was not yet."""
        if self._waiting is not None:
            show_progress(self._waiting)
            self._waiting = None


@contextmanager
def _bar(label: str, way: _ByEpochs | _ByTime, measured: str) -> Iterator[OnEpoch]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    fields, bar_width = _fitting(
        console.width - len(label),
        {**_FIELDS, "done": len(way.text(way.whole)), "measured": len(f"{measured} 0.000")},
    )
    columns: list[ProgressColumn] = [TextColumn("{task.description}")]
    if bar_width:
        columns.append(BarColumn(bar_width=bar_width))
    columns += [
        TimeElapsedColumn() if field == "elapsed" else TextColumn(f"{{task.fields[{field}]}}")
        for field in ("done", "loss", "accuracy", "measured", "rate", "elapsed")
        if field in fields
    ]
    bar = Progress(*columns, console=console)
    empty: dict[str, Any] = {**dict.fromkeys(_FIELDS, ""), "done": way.text(0)}
    with bar:
        task = bar.add_task(label, total=way.whole, **empty)

        def on_epoch(record: EpochRecord) -> None:
            done = way.done(record)
            shown: dict[str, Any] = {"done": way.text(done), **_values(record, measured)}
            bar.update(task, completed=done, **shown)

        yield on_epoch


def _fitting(room: int, widths: dict[str, int]) -> tuple[set[str], int]:
    """Return the fields that fit into `room` columns, and the width of the bar, 0 for none.

    Fields are separated by a space.
    """
    fields: set[str] = set()
    for field, width in widths.items():
        if room < width + 1:
            break
        fields.add(field)
        room -= width + 1
    bar = min(room - 1, _WIDEST_BAR)
    return fields, bar if bar >= _NARROWEST_BAR else 0


def _values(record: EpochRecord, measured: str) -> dict[str, str]:
    """Return the fields of an epoch, as text."""
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
