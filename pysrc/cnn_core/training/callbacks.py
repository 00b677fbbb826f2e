"""Callbacks: called during a training, which they can observe and stop.

A callback derives from `Callback` and overrides the hooks that it needs. Each hook gets the
`cnn_core.training.TrainingState`. For each training the hooks are called in this order::

    on_train_begin
        on_epoch_begin
        on_epoch_end after the epoch is measured and added to the history ...
    on_train_end always, also after an error or Ctrl-C

Callbacks are called in the given order, and at the end of the training in reverse order, like
nested ``with`` statements. An exception of a hook ends the training and is passed on. The network
then has the weights of the last step, and may be used and trained further.

Reading the state changes no bit of the result. Neither do the callbacks below, except that some end
a training earlier.

A training that resumes from a checkpoint (`cnn_core.Checkpoint`) first calls all `on_train_begin`.
Then `Callback.set_state` of each callback gets what `Callback.get_state` returned when the file was
written. Callbacks are matched by class name and order. A callback whose decisions depend on earlier
epochs needs both methods.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

from cnn_core.files import checked_target
from cnn_core.training.patience import PatienceCounter
from cnn_core.training.snapshot import Snapshot, layout_of, snapshot_from
from cnn_core.training.state import EpochRecord, TrainingState, require_monitored
from cnn_core.validation import at_least_0, flag, number, positive, shown, whole

_MOST_SECONDS_WITHOUT_A_LINE = 5.0
# Columns of a table of epochs.
_COLUMNS = tuple(one.name for one in fields(EpochRecord))


class Callback:
    """Hooks of a training, all of them empty."""

    def on_train_begin(self, state: TrainingState) -> None:
        """Do something before the first epoch; ``state.stop`` prevents it."""

    def on_epoch_begin(self, state: TrainingState) -> None:
        """Do something before the steps of an epoch; ``state.stop`` prevents them."""

    def on_epoch_end(self, state: TrainingState) -> None:
        """Do something after an epoch; see ``state.record`` and ``state.history``."""

    def on_round_end(self, state: TrainingState) -> None:
        """Do something after a round, if the data are in several shards.

        ``state.model`` has the averaged state of the shards; see `cnn_core.dask`.
        """

    def on_train_end(self, state: TrainingState) -> None:
        """Do something after the last epoch, or after an error."""

    def get_state(self) -> dict[str, Any]:
        """Return the state that a checkpoint stores to resume the callback.

        Returns
        -------
        dict
            Values are None, numbers, text, arrays of float32 or float64, and lists and dicts of
            these with keys of text. Empty if there is no state.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_state` returned, after `on_train_begin` of a resumed training."""


def as_callbacks(callbacks: Any) -> list[Callback]:
    """Return the callbacks of a training as a list.

    Raises
    ------
    TypeError
        If they are not iterable, or one of them is not a `Callback`.
    """
    try:
        found = list(callbacks)
    except TypeError:
        raise TypeError(
            f"callbacks: expected a list of callbacks, found {shown(callbacks)}"
        ) from None
    for callback in found:
        if not isinstance(callback, Callback):
            raise TypeError(
                "callbacks: expected objects that derive from cnn_core.callbacks.Callback, "
                f"found {shown(callback)}"
            )
    return found


class OnEpoch(Callback):
    """Calls a function after every epoch.

    Parameters
    ----------
    function : callable
        Called with the `cnn_core.training.EpochRecord`.
    """

    def __init__(self, function: Callable[[EpochRecord], Any]) -> None:
        if not callable(function):
            raise TypeError(f"on_epoch: expected a function, found {shown(function)}")
        self.function = function

    def on_epoch_end(self, state: TrainingState) -> None:
        """Call the function."""
        assert state.record is not None
        self.function(state.record)


class EarlyStopping(Callback):
    """Ends a training that no longer improves.

    It stops after more than `patience` epochs in a row without an improvement of more than `tol`
    over the best one before. This is scikit-learn's rule, except that an equal value is not an
    improvement.

    Parameters
    ----------
    monitor : str, optional
        See `cnn_core.training.Recipe`; by default what the recipe says.
    patience : int, optional
        None: never stop, only `restore_best`.
    tol : float
    restore_best : bool
        Whether to restore, at the end, the exact state after the best epoch: weights, running
        averages, the optimizer's state and number of steps. Also after an error.
    """

    def __init__(
        self,
        monitor: str | None = None,
        patience: int | None = 10,
        tol: float = 0.0,
        restore_best: bool = False,
    ) -> None:
        self.monitor = None if monitor is None else require_monitored(monitor)
        self.patience = None if patience is None else whole("patience", patience, 0)
        self.tol = at_least_0("tol", tol)
        self.restore_best = flag("restore_best", restore_best)

    def on_train_begin(self, state: TrainingState) -> None:
        """Forget a training before this one.

        Raises
        ------
        ValueError
            If what is monitored will not be measured.
        """
        state.require_measured(state.monitored(self.monitor))
        self._counter = PatienceCounter()
        self._best: Snapshot | None = None
        self._layout = layout_of(state.model.arrays())

    def on_epoch_end(self, state: TrainingState) -> None:
        """Compare the epoch with the best one."""
        value = state.monitored_loss(self.monitor)
        if self.restore_best and (self._best is None or value < self._counter.best):
            self._best = state.model.snapshot()
        self._counter = self._counter.after(value, self.tol)
        if self._counter.has_run_out(self.patience):
            state.stop(
                f"{state.monitored(self.monitor).replace('_', ' ')} did not improve by more than "
                f"{self.tol:g} for {self._counter.waited} epochs in a row",
                converged=True,
            )

    def on_train_end(self, state: TrainingState) -> None:
        """Restore the best weights if that was asked for."""
        if self._best is not None:
            state.model.restore(self._best)
            self._best = None

    def get_state(self) -> dict[str, Any]:
        """Return the patience counter and the best weights."""
        best = None if self._best is None else self._best._asdict()
        return {"watch": list(self._counter), "best": best}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the patience counter and the best weights."""
        counter = PatienceCounter.from_state(state["watch"])
        self._best = snapshot_from(state["best"], self._layout)
        self._counter = counter


class TimeBudget(Callback):
    """Ends a training after the epoch in which its time is up.

    With ``Recipe(time_budget=...)`` the schedule ends with the budget.

    Parameters
    ----------
    seconds : float
        Above 0.
    clock : callable
        Gives the time in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds = positive("seconds", seconds)
        self.clock = clock

    def on_train_begin(self, state: TrainingState) -> None:
        """Start the clock."""
        self._end = self.clock() + self.seconds

    def on_epoch_end(self, state: TrainingState) -> None:
        """Stop the training if the time is up."""
        if self.clock() >= self._end:
            state.stop(f"the {self.seconds:g} seconds of its budget are over")

    def get_state(self) -> dict[str, Any]:
        """Return the seconds that are left."""
        return {"left": self._end - self.clock()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue with the seconds that were left."""
        self._end = self.clock() + number("left", state["left"])


class PrintEpochs(Callback):
    """Prints a line after every epoch.

    Parameters
    ----------
    stream : text stream, optional
        By default the ``sys.stdout`` of that moment.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream

    def on_epoch_end(self, state: TrainingState) -> None:
        """Print the line of the epoch."""
        print(state.record, file=self.stream)


class ProgressLine:
    """A progress bar with text in one line of a terminal; a few separate lines elsewhere.

    These are the first and the last line, about ten between them, and one at least every five
    seconds.

    Parameters
    ----------
    out : text stream
    width : int
        Characters of the bar.
    clock : callable
        Gives the time in seconds.
    """

    def __init__(
        self, out: TextIO, width: int = 20, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._out, self._width, self._clock = out, width, clock
        self._in_place = out.isatty()
        self._shown = 0
        self._part = -1
        self._waiting: str | None = None
        self._printed_at = clock()

    def show(self, done: int, total: int, text: str) -> None:
        """Show a progress of `done` out of `total`."""
        if self._in_place:
            filled = self._width * done // total
            line = f"[{'#' * filled}{'.' * (self._width - filled)}] {text}"
            # Blanks overwrite the rest of a longer line before.
            print(f"\r{line.ljust(self._shown)}", end="", file=self._out, flush=True)
            self._shown = len(line)
            return
        self._waiting = text
        part = done // max(total // 10, 1)
        is_late = self._clock() - self._printed_at >= _MOST_SECONDS_WITHOUT_A_LINE
        if part > self._part or done == total or is_late:
            self._part = part
            self._print_line()

    def end(self) -> None:
        """End the line, or print the last text."""
        if self._in_place and self._shown:
            print(file=self._out, flush=True)
        elif self._waiting is not None:
            self._print_line()

    def _print_line(self) -> None:
        print(self._waiting, file=self._out, flush=True)
        self._waiting = None
        self._printed_at = self._clock()


class ProgressBar(Callback):
    """Shows the progress of a training in one line of a terminal.

    Elsewhere it prints the first and the last epoch, about ten between them, and one at least every
    five seconds.

    Parameters
    ----------
    stream : text stream, optional
        By default what is ``sys.stderr`` when the training begins.
    width : int
        Characters of the bar.
    clock : callable
        Gives the time in seconds.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        width: int = 20,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.stream = stream
        self.width = whole("width", width, 0)
        self.clock = clock

    def on_train_begin(self, state: TrainingState) -> None:
        """Find out whether the output is a terminal."""
        out = sys.stderr if self.stream is None else self.stream
        self._line = ProgressLine(out, self.width, self.clock)
        self._first = state.last_epoch - state.recipe.epochs

    def on_epoch_end(self, state: TrainingState) -> None:
        """Show the epoch."""
        done, total = state.epoch - self._first, state.last_epoch - self._first
        self._line.show(done, total, str(state.record))

    def on_train_end(self, state: TrainingState) -> None:
        """End the line, or print the last epoch."""
        self._line.end()


class CSVLog(Callback):
    """Appends a line to a CSV file after every epoch, so that the training can be watched.

    The columns are the fields of `cnn_core.training.EpochRecord`; missing values are empty. An
    existing file is extended.

    Parameters
    ----------
    path : path-like
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        checked_target(path)
        self.path = path

    def on_train_begin(self, state: TrainingState) -> None:
        """Write the header, unless the file has one.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If it holds something else.
        """
        header = ",".join(_COLUMNS)
        path = Path(self.path)
        if path.exists() and path.stat().st_size:
            with path.open(encoding="utf-8") as stream:
                found = stream.readline().rstrip("\n")
            if found != header:
                raise ValueError(
                    f"{path}: expected an empty file or one with the columns {header}, "
                    f"found {found[:80]!r}"
                )
        else:
            self._add(header)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Add the epoch's line."""
        values = (getattr(state.record, name) for name in _COLUMNS)
        self._add(",".join("" if value is None else repr(value) for value in values))

    def get_state(self) -> dict[str, Any]:
        """Return the length of the file."""
        return {"bytes": Path(self.path).stat().st_size}

    def set_state(self, state: dict[str, Any]) -> None:
        """Remove the lines of epochs that will be trained again; warn if others are missing."""
        length = whole("bytes", state["bytes"], len(",".join(_COLUMNS)) + 1)
        found = Path(self.path).stat().st_size
        if found > length:
            os.truncate(self.path, length)
        elif found < length:
            warnings.warn(
                f"{os.fspath(self.path)}: expected the {length} bytes that it had when the "
                f"checkpoint was written, found {found}; lines of the epochs before are missing",
                UserWarning,
                stacklevel=2,
            )

    def _add(self, line: str) -> None:
        with open(self.path, "a", encoding="utf-8", newline="") as stream:
            stream.write(line + "\n")


class SaveModel(Callback):
    """Saves what is trained, a network or an estimator, during the training.

    Every file is complete or not there, and is read by `cnn_core.load`. It is no way to resume a
    training exactly: that is what `cnn_core.Checkpoint` is for.

    Parameters
    ----------
    path : path-like
        ``{epoch}`` in it stands for the number of the epoch; without it each file takes the place
        of the one before.
    every : int
        A file after so many epochs, at least 1, counted over all trainings.
    best_only : bool
        Whether an epoch that was not the best so far, by what the recipe monitors, is left out.
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int = 1, best_only: bool = False
    ) -> None:
        checked_target(path)
        self.path = path
        self.every = whole("every", every, 1)
        self.best_only = flag("best_only", best_only)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Write the file.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if state.epoch % self.every == 0 and (state.improved or not self.best_only):
            state.owner.save(os.fspath(self.path).replace("{epoch}", str(state.epoch)))
