"""The order of the samples in an epoch, and the steps of an epoch, part by part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from cnn_core.backends.interface import Engine
from cnn_core.training.budget import Clock, StepBudget
from cnn_core.training.schedules import Rates
from cnn_core.training.state import TrainingData
from cnn_core.types import FloatArray, IndexArray


def shuffled_order(key: int, epoch: int, samples: int) -> IndexArray:
    """Return the order of the samples in an epoch: a permutation fixed by `key` and `epoch` alone.

    The numbers come from the counter-based generator Philox (Salmon et al., "Parallel random
    numbers: as easy as 1, 2, 3", 2011) with the epoch in its counter. So the order of an epoch does
    not depend on earlier epochs, and every backend uses the same one.
    """
    generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, epoch]))
    return generator.permutation(samples).astype(np.intp, copy=False)


class Part(NamedTuple):
    """Measurements of some steps.

    Attributes
    ----------
    loss : float
        Mean over the samples.
    share : float
        Weight in the mean loss of the epoch.
    hits, samples : int
    """

    loss: float
    share: float
    hits: int
    samples: int


class Source(Protocol):
    """Where the steps of an epoch come from: `Batches`, or the shards of `cnn_core.sharding`.

    Attributes
    ----------
    steps : int
        Steps of an epoch.
    """

    steps: int

    @property
    def least_batch(self) -> int:
        """Samples of the smallest batch of an epoch, the last one excepted."""

    def shuffle(self, key: int | None, epoch: int) -> None:
        """Begin an epoch; see `Batches.shuffle`."""

    def take(self, engine: Engine, first: int, count: int, rates: Rates) -> list[Part]:
        """Take steps; see `Batches.take`."""

    def first_loss(self, engine: Engine, room: FloatArray) -> float:
        """Return the loss of the epoch's first batch; see `Batches.first_loss`."""


class Batches:
    """The samples of a training, and their order in the current epoch."""

    def __init__(self, data: TrainingData, batch_size: int) -> None:
        self.x, self.t, self.weights = data.x, data.t, data.weights
        self._rows, self._samples = data.rows, data.n_samples
        self.batch_size = min(batch_size, max(self._samples, 1))
        self.steps = -(-self._samples // self.batch_size)
        self.order: IndexArray | None = None

    @property
    def least_batch(self) -> int:
        """Samples of a batch."""
        return min(self.batch_size, self._samples)

    def shuffle(self, key: int | None, epoch: int) -> None:
        """Set the order of an epoch; without a key the order of the data."""
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

    def take(self, engine: Engine, first: int, count: int, rates: Rates) -> list[Part]:
        """Take `count` steps of the epoch from step `first` on; return their measurements.

        Parameters
        ----------
        engine : Engine
        first, count : int
        rates : float or (count,) array
        """
        rows = self.rows(first, count)
        x, t, weights, order = self.x, self.t, self.weights, self.order
        if order is None:
            x, t, weights = x[rows], t[rows], None if weights is None else weights[rows]
        else:
            order = order[rows]
        loss, hits = engine.train_epoch(x, t, order, self.batch_size, rates, weights)
        # Exactly 1 if the part is the whole epoch, to avoid rounding.
        share = 1.0 if count == self.steps else self.weight(rows)
        return [Part(loss, share, hits, rows.stop - rows.start)]

    def first_loss(self, engine: Engine, room: FloatArray) -> float:
        """Return the loss of the epoch's first batch with the current weights.

        Parameters
        ----------
        engine : Engine
        room : (n_parameters,) array
            Written to.
        """
        rows = self.rows(0, 1)
        batch = rows if self.order is None else self.order[rows]
        weights = None if self.weights is None else self.weights[batch]
        return engine.gradient(self.x[batch], self.t[batch], room, weights)


class Epoch:
    """The current epoch, part by part."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts: list[Part] = []
        self.steps = 0
        self.seconds = 0.0
        self.last_rate = 0.0

    def parts(self, budget: StepBudget, done: int) -> Iterator[tuple[int, int]]:
        """Yield the steps of each part, and the total of the training as in `Steps.total`.

        Parameters
        ----------
        budget : StepBudget
        done : int
            Steps of the training before this epoch.
        """
        while self.steps < self._source.steps and self._is_good:
            count, total = budget.part(done + self.steps, self._source.steps - self.steps)
            if not count and self.steps:
                return
            yield max(count, 1), total

    @property
    def _is_good(self) -> bool:
        return not self._parts or math.isfinite(self._parts[-1].loss)

    def take(self, engine: Engine, count: int, rates: Rates, clock: Clock) -> None:
        """Take `count` steps."""
        start = clock()
        self._parts += self._source.take(engine, self.steps, count, rates)
        self.seconds += clock() - start
        self.steps += count
        self.last_rate = float(rates[-1] if isinstance(rates, np.ndarray) else rates)

    @property
    def samples(self) -> int:
        """Samples trained on so far."""
        return sum(part.samples for part in self._parts)

    @property
    def hits(self) -> int:
        """Samples whose largest output was their class."""
        return sum(part.hits for part in self._parts)

    @property
    def loss(self) -> float:
        """The mean loss of the samples so far."""
        if len(self._parts) == 1:
            return self._parts[0].loss
        total = math.fsum(part.share for part in self._parts)
        return math.fsum(one.loss * one.share for one in self._parts) / total if total else 0.0
