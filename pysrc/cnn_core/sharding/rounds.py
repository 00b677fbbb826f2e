"""A round: some steps of one shard, a pure function of the state that they begin with."""

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
    """What a round of one shard, or of several shards together, has come to.

    Attributes
    ----------
    arrays : dict of str to array
        As `Model.arrays` names them.
    steps : int
        Steps of the optimizer so far.
    parts : list of Part
        What was measured, in the order of the shards.
    seconds : float
        What computing them took, one after the other.
    momentum : (n_parameters,) array or None
        Of the outer steps so far of this epoch; see `cnn_core.sharding.averaging.stepped`.
    """

    arrays: dict[str, FloatArray]
    steps: int
    parts: list[Part]
    seconds: float
    momentum: FloatArray | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The state that the next round begins with."""
        return Snapshot(self.arrays, self.steps)


class Round(NamedTuple):
    """Steps after which the states of the shards are averaged.

    Attributes
    ----------
    first : int
        The first one, counted within the epoch.
    rates : (count,) float64 array
        The learning rate of each.
    """

    first: int
    rates: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """What is the same in all rounds of a training.

    A batch is divided by the shards in proportion to their rows, so that steps and schedule are
    those of one machine.

    Attributes
    ----------
    network : Network
    dtype : numpy.dtype
        float32 or float64.
    seed : int
    batch_size : int
        Samples of a step of all shards together.
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
        """Return what a shard of this many samples counts in the mean of states."""
        return n_samples / self.n_samples

    def batch_of(self, n_samples: int) -> int:
        """Return the samples of a step of a shard of this many samples."""
        return -(-self.batch_size * n_samples // self.n_samples)

    @property
    def has_outer_steps(self) -> bool:
        """Whether the mean of the shards is only where an outer step leads to.

        Optimizers like Adam divide by the size of the gradient, so that steps of shards that differ
        cancel each other in the mean, which moves too slowly. Steps of `SGD` do not: their mean is
        about the step of the whole batch.
        """
        return self.n_shards > 1 and not isinstance(self.network.optimizer, SGD)

    def network_of(self, batch_size: int) -> Network:
        """Return the network as a shard trains it.

        The L2 term is divided by the samples of a batch; a part of a batch has its part of it.
        """
        return replace(self.network, l2=self.network.l2 * (batch_size / self.batch_size))

    def model(self, start: Snapshot, number: int, batch_size: int) -> Model:
        """Return a model of a shard, in a copy of this state."""
        arrays = {name: array.copy() for name, array in start.arrays.items()}
        state = ModelState(
            self.network_of(batch_size),
            self.dtype,
            seed_of(self.seed, number),
            Snapshot(arrays, start.steps),
        )
        return Model.from_state(state, backend=self.backend, n_threads=self.n_threads)


def seed_of(seed: int, number: int) -> int:
    """Return the seed of a shard: of its order and its dropout. The first one has that of all.

    The others come from `numpy.random.SeedSequence`, so that they have nothing in common.
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
        Which one it is, from 0.
    plan : Plan
    start : Snapshot
        The state before; it is not changed.
    epoch : int
        From 1.
    steps : Round
        A shard whose samples are over sooner takes fewer of them.
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
            # Its block must be gone before the one after the next is read.
            del piece, x, t, weights, order
    seconds = time.perf_counter() - began
    return Result(model.arrays(), start.steps + len(rates), parts, seconds)


def first_loss(shard: Shard, number: int, plan: Plan, start: Snapshot, epoch: int) -> float:
    """Return the loss of a shard's first batch of an epoch by the weights as they are."""
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
    """Return one rate where all are equal: engines take many small steps together then."""
    return float(rates[0]) if (rates == rates[0]).all() else rates
