"""One fit of one learner on one split, measured in a process of its own."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tables.frames import Part, load, split
from tables.learners import LEARNERS
from tables.sets import SETS
from tables.setting import Setting

__all__ = ["Fit", "scores"]

# What a probability counts as at least: no learner is ruined by a single row.
LEAST = 1e-6


@dataclass(frozen=True)
class Fit:
    """What a process is to do: a job of `learning.process`.

    Attributes
    ----------
    table : str
        A name of `sets.SETS`.
    number : int
        Of the split.
    learner : str
        A name of `learners.LEARNERS`.
    threads : int
    """

    table: str
    number: int
    learner: str
    threads: int

    def run(self) -> dict[str, Any]:
        """Fit, predict the rows to test on, and return scores, seconds and megabytes."""
        table = load(SETS[self.table])
        train, test = split(table, self.number)
        learner = LEARNERS[self.learner]
        # What the library itself takes belongs to its installed size.
        import_module(learner.module)
        model = learner.make(Setting(table.n_classes, self.threads, self.number))
        before = _start_of_peak()
        begun = time.perf_counter(), time.process_time()
        model.fit(train)
        fitted = time.perf_counter(), time.process_time()
        predicted = model.predict(test.X)
        ended = time.perf_counter()
        return {
            **scores(predicted, train, test, table.n_classes),
            "fit_seconds": fitted[0] - begun[0],
            "cpu_seconds": fitted[1] - begun[1],
            "predict_seconds": ended - fitted[0],
            "peak_megabytes": _peak() - before,
            "rows": len(train.y),
            "columns": train.X.shape[1],
        }


def scores(predicted: NDArray[Any], train: Part, test: Part, n_classes: int) -> dict[str, float]:
    """Return loss and error of predictions; the less, the better.

    For classes the log-loss and the share of wrong ones; for numbers both are the root of the mean
    squared error, relative to the standard deviation of the target.
    """
    if n_classes:
        p = np.asarray(predicted, dtype=np.float64)
        if p.shape != (len(test.y), n_classes):
            raise ValueError(f"probabilities of shape {p.shape}, for {n_classes} classes")
        p = np.clip(p, LEAST, 1.0)
        p /= p.sum(axis=1, keepdims=True)
        rows = np.arange(len(test.y))
        loss = -np.log(p[rows, test.y.astype(np.intp)]).mean()
        return {"loss": float(loss), "error": float((p.argmax(axis=1) != test.y).mean())}
    difference = np.asarray(predicted, dtype=np.float64).reshape(-1) - test.y
    error = float(np.sqrt(np.mean(difference**2)) / np.std(train.y))
    return {"loss": error, "error": error}


def _start_of_peak() -> float:
    """Forget the peak until now where that can be done, and return the megabytes in use."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return _peak()
    return pages * resource.getpagesize() / 1e6


def _peak() -> float:
    """Return the most megabytes that were in use."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6
