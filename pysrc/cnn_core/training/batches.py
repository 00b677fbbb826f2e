"""The order of the samples in an epoch, and the steps of an epoch, part by part."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cnn_core.backends.interface import Engine
from cnn_core.training.budget import Clock, StepBudget
from cnn_core.training.schedules import Rates
from cnn_core.training.state import TrainingData
from cnn_core.types import IndexArray


def shuffled_order(key: int, epoch: int, samples: int) -> IndexArray:
    """Return the order of the samples in an epoch: a permutation fixed by `key` and `epoch` alone.

    The numbers come from the counter-based generator Philox (Salmon et al., "Parallel random
    numbers: as easy as 1, 2, 3", 2011) with the epoch in its counter, so that the order of any
    epoch can be had without those before it, and is the same for every backend.
    """
    generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, epoch]))
    return generator.permutation(samples).astype(np.intp, copy=False)


class Batches:
    """The samples of a training, and their order in the current epoch."""

    def __init__(self, data: TrainingData, batch_size: int) -> None:
        self.x, self.t, self.weights = data.x, data.t, data.weights
        self._rows, self._samples = data.rows, data.n_samples
        self.batch_size = min(batch_size, max(self._samples, 1))
        self.steps = -(-self._samples // self.batch_size)
        self.order: IndexArray | None = None

    def shuffle(self, key: int | None, epoch: int) -> None:
        """Set the order of an epoch; without a key that of the data."""
        order = None if key is None else shuffled_order(key, epoch, self._samples)
        if self._rows is not None:
            order = self._rows if order is None else self._rows[order]
        self.order = order

    def rows(self, first: int, count: int) -> slice:
        """Return the range of the samples of `count` steps from step `first` on."""
        return slice(first * self.batch_size, min((first + count) * self.batch_size, self._samples))

    def weight(self, rows: slice) -> float:
        """Return the total weight of these samples."""
        if self.weights is None:
            return float(rows.stop - rows.start)
        chosen = self.weights[rows if self.order is None else self.order[rows]]
        return float(chosen.sum(dtype=np.float64))


class Epoch:
    """The current epoch, part by part."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._shares: list[float] = []
        self.losses: list[float] = []
        self.steps = 0
        self.samples = 0
        self.hits = 0
        self.seconds = 0.0
        self.last_rate = 0.0

    def parts(self, budget: StepBudget, done: int) -> Iterator[tuple[int, int]]:
        """Yield the steps of each part, and those of the training as in `Steps.total`.

        Parameters
        ----------
        budget : StepBudget
        done : int
            Steps of the training before this epoch.
        """
        while self.steps < self._batches.steps and self._is_good:
            count, total = budget.part(done + self.steps, self._batches.steps - self.steps)
            if not count and self.steps:
                return
            yield max(count, 1), total

    @property
    def _is_good(self) -> bool:
        return not self.losses or math.isfinite(self.losses[-1])

    def take(self, engine: Engine, count: int, rates: Rates, clock: Clock) -> None:
        """Take `count` steps."""
        batches = self._batches
        rows = batches.rows(self.steps, count)
        x, t, weights, order = batches.x, batches.t, batches.weights, batches.order
        if order is None:
            x, t, weights = x[rows], t[rows], None if weights is None else weights[rows]
        else:
            order = order[rows]
        start = clock()
        loss, hits = engine.train_epoch(x, t, order, batches.batch_size, rates, weights)
        self.seconds += clock() - start
        self.losses.append(loss)
        # A part that is the whole epoch counts as 1, whatever its weight.
        self._shares.append(1.0 if count == batches.steps else batches.weight(rows))
        self.steps += count
        self.samples += rows.stop - rows.start
        self.hits += hits
        self.last_rate = float(rates[-1] if isinstance(rates, np.ndarray) else rates)

    @property
    def loss(self) -> float:
        """The mean loss of the samples so far."""
        if len(self.losses) == 1:
            return self.losses[0]
        total = math.fsum(self._shares)
        parts = zip(self.losses, self._shares, strict=True)
        return math.fsum(loss * share for loss, share in parts) / total if total else 0.0
