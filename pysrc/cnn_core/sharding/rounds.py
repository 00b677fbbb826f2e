"""A round: some steps of one shard, a pure function of its initial state."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnn_core.model import Model
from cnn_core.network import Network
from cnn_core.optimizers import SGD
from cnn_core.sharding.shard import Shard
from cnn_core.training.batches import Part
from cnn_core.training.schedules import Rates
from cnn_core.training.snapshot import ModelState, Snapshot
from cnn_core.types import FloatArray


class Result(NamedTuple):
    """Result of a round of one shard, or combined result of several shards.

    Attributes
    ----------
    arrays : dict of str to array
        Named as in `Model.arrays`.
    steps : int
        Steps of the optimizer so far.
    parts : list of Part
        Measurements, in the order of the shards.
    seconds : float
        Total computing time.
    momentum : (n_parameters,) array or None
        Momentum of the outer steps; see `cnn_core.sharding.averaging.stepped`.
    """

    arrays: dict[str, FloatArray]
    steps: int
    parts: list[Part]
    seconds: float
    momentum: FloatArray | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The initial state of the next round."""
        return Snapshot(self.arrays, self.steps)


class Round(NamedTuple):
    """Steps after which the states of the shards are averaged.

    Attributes
    ----------
    first : int
        Number of the first step within the epoch.
    rates : (count,) float64 array
        The learning rate of each step.
    """

    first: int
    rates: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """Settings of all rounds of a training.

    A batch is divided among the shards in proportion to their rows, so that steps and schedule are
    those of one machine.

    Attributes
    ----------
    network : Network
    dtype : numpy.dtype
        float32 or float64.
    seed : int
    batch_size : int
        Samples of a step, summed over all shards.
    n_samples : int
        Of all shards together.
    n_shards : int
    shuffle : bool
    backend : str
    n_threads : int or None
    """

    network: Network
    dtype: np.dtype[Any]
    seed: int
    batch_size: int
    n_samples: int
    n_shards: int
    shuffle: bool = True
    backend: str = "auto"
    n_threads: int | None = 1

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.n_samples // self.batch_size)

    def share_of(self, n_samples: int) -> float:
        """Return the weight of a shard of this many samples in the mean of states."""
        return n_samples / self.n_samples

    def batch_of(self, n_samples: int) -> int:
        """Return the batch size of a shard of this many samples."""
        return -(-self.batch_size * n_samples // self.n_samples)

    @property
    def has_outer_steps(self) -> bool:
        """Whether an outer step is taken, instead of the plain mean.

        Optimizers like Adam divide by the size of the gradient. Different steps of shards then
        partly cancel in the mean, which moves too slowly. This is not so for `SGD`: the mean of its
        steps is about the step of the whole batch.
        """
        return self.n_shards > 1 and not isinstance(self.network.optimizer, SGD)

    def network_of(self, batch_size: int) -> Network:
        """Return the network for training on a shard.

        The L2 term is divided by the samples of a batch; a part of a batch has a part of it.
        """
        return replace(self.network, l2=self.network.l2 * (batch_size / self.batch_size))

    def model(self, start: Snapshot, number: int, batch_size: int) -> Model:
        """Return a model for a shard, with a copy of this state."""
        arrays = {name: array.copy() for name, array in start.arrays.items()}
        state = ModelState(
            self.network_of(batch_size),
            self.dtype,
            seed_of(self.seed, number),
            Snapshot(arrays, start.steps),
        )
        return Model.from_state(state, backend=self.backend, n_threads=self.n_threads)


def seed_of(seed: int, number: int) -> int:
    """Return the seed of a shard, for its order and dropout; the first has the global seed.

    The others come from `numpy.random.SeedSequence`, so that they are independent.
    """
    if not number:
        return seed
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])


def train_round(
    shard: Shard, number: int, plan: Plan, start: Snapshot, epoch: int, steps: Round
) -> Result:
    """Take the steps of a round on a shard.

    Parameters
    ----------
    shard : Shard
    number : int
        Index of the shard.
    plan : Plan
    start : Snapshot
        The initial state, which is not changed.
    epoch : int
        From 1.
    steps : Round
        A shard that runs out of samples takes fewer steps.
    """
    began = time.perf_counter()
    first, rates = steps
    batch_size = plan.batch_of(shard.n_samples)
    model = plan.model(start, number, batch_size)
    key = model.seed if plan.shuffle else None
    stop = min((first + len(rates)) * batch_size, shard.n_samples)
    parts = []
    done = 0
    with model.exclusively() as engine:
        rows = slice(min(first * batch_size, stop), stop)
        for piece in shard.pieces(key, epoch, rows, batch_size) if stop > rows.start else ():
            count = -(-piece.n_samples // batch_size)
            own = _one_if_equal(rates[done : done + count])
            x, t, weights, order = piece
            loss, hits = engine.train_epoch(x, t, order, batch_size, own, weights)
            parts.append(Part(loss, piece.weight, hits, piece.n_samples))
            done += count
            # This block must be freed before the block after the next is read.
            del piece, x, t, weights, order
    seconds = time.perf_counter() - began
    return Result(model.arrays(), start.steps + len(rates), parts, seconds)


def first_loss(shard: Shard, number: int, plan: Plan, start: Snapshot, epoch: int) -> float:
    """Return the loss of a shard's first batch of an epoch with the current weights."""
    batch_size = min(plan.batch_of(shard.n_samples), shard.n_samples)
    model = plan.model(start, number, batch_size)
    key = model.seed if plan.shuffle else None
    piece = next(shard.pieces(key, epoch, slice(0, batch_size), batch_size))
    rows = slice(None) if piece.order is None else piece.order
    weights = None if piece.weights is None else piece.weights[rows]
    with model.exclusively() as engine:
        room = np.empty_like(model.parameters)
        return engine.gradient(piece.x[rows], piece.t[rows], room, weights)


def _one_if_equal(rates: np.ndarray[Any, Any]) -> Rates:
    """Return a single rate if all are equal, which lets engines group small steps."""
    return float(rates[0]) if (rates == rates[0]).all() else rates
