"""The steps of an epoch, made of rounds over shards."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cnn_core.backends.interface import Engine
from cnn_core.sharding.rounds import Plan, Result, Round, first_loss
from cnn_core.sharding.runner import Runner
from cnn_core.training.batches import Part
from cnn_core.training.schedules import Rates
from cnn_core.training.state import Trainable
from cnn_core.types import FloatArray

# Assumed multiply-adds per second of a core in small steps. Not measured, since the result must
# depend only on data, seed and shards.
_NOMINAL_SPEED = 40e9
# Seconds of a round for which the cost of passing states is small.
_ROUND_SECONDS = 0.5
# Share of the workers' time above which advice is printed.
_LARGE_SHARE = 0.05
# Least number of steps in a round.
_LEAST_STEPS = 4
# Rounds of an epoch: fewer cost accuracy, more gain nothing.
_LEAST_ROUNDS, _MOST_ROUNDS = 16, 64


def default_round_steps(plan: Plan) -> int:
    """Return the steps of a round, enough that passing the states costs little.

    A fixed rule on data and network, within the limits for accuracy.
    """
    if plan.n_shards == 1:
        return plan.steps
    work = 3 * plan.network.n_parameters() * plan.batch_size / plan.n_shards
    cheap = math.ceil(_ROUND_SECONDS * _NOMINAL_SPEED / max(work, 1))
    most = max(-(-plan.steps // _LEAST_ROUNDS), _LEAST_STEPS)
    return min(max(cheap, -(-plan.steps // _MOST_ROUNDS)), most)


class ShardedSteps:
    """Takes the steps of epochs in rounds; a `cnn_core.training.batches.Source`.

    Parameters
    ----------
    model : Trainable
        Gets the averaged state after every round.
    plan : Plan
    runner : Runner
    round_steps : int
        Steps of a round; the last round of an epoch may be shorter.
    on_round : callable, optional
        Called after every round.

    Attributes
    ----------
    steps : int
        Steps of an epoch.
    seconds, busy_seconds : float
        Time of all rounds so far: wall time, and computing time.
    """

    def __init__(
        self,
        model: Trainable,
        plan: Plan,
        runner: Runner,
        round_steps: int,
        on_round: Callable[[Result], None] | None = None,
    ) -> None:
        self._model, self._plan, self._runner = model, plan, runner
        # With one shard an epoch is a single round, as without shards.
        self._round_steps = plan.steps if plan.n_shards == 1 else round_steps
        self._on_round = on_round
        self._epoch = 0
        self._momentum: FloatArray | None = None
        self.steps = plan.steps
        self.seconds = self.busy_seconds = 0.0
        self._done = 0

    def described(self, *, is_chosen: bool) -> str:
        """Return a text on the length of rounds and the cost of passing states.

        Parameters
        ----------
        is_chosen : bool
            Whether `default_round_steps` chose their length.
        """
        shards, steps = self._plan.n_shards, self._round_steps
        count = -(-self.steps // steps)
        text = f"{_counted(shards, 'shard')}, {_counted(count, 'round')} an epoch of "
        text += _counted(steps, "step") + (" (by the size of network and data)" * is_chosen)
        if not self._done:
            return text
        spent = self.seconds * max(self._runner.n_workers(), 1)
        share = max(1.0 - self.busy_seconds / spent, 0.0)
        step = self.busy_seconds / (self._done * shards)
        text += (
            f"; measured: a step of a shard took {1e3 * step:.3g} ms, a round "
            f"{1e3 * self.seconds * steps / self._done:.3g} ms, and {share:.1%} of the workers' "
            "time went to passing states on and waiting"
        )
        if shards > 1 and share > _LARGE_SHARE:
            text += ": fewer workers or longer rounds (round_steps) would waste less of it"
        return text

    @property
    def least_batch(self) -> int:
        """Samples of a step on the smallest shard."""
        return min(min(self._plan.batch_of(size), size) for size in self._runner.sizes)

    def shuffle(self, key: int | None, epoch: int) -> None:
        """Begin an epoch; each shard is shuffled separately."""
        # A checkpoint may have given the model another seed.
        self._plan = replace(self._plan, seed=self._model.seed)
        self._epoch = epoch
        self._momentum = None

    def take(self, engine: Engine, first: int, count: int, rates: Rates) -> list[Part]:
        """Take `count` steps of the epoch from step `first` on, in rounds."""
        parts: list[Part] = []
        rounds = list(self._rounds(first, np.broadcast_to(rates, count)))
        before = self._model.snapshot()
        start = Result(before.arrays, before.steps, [], 0.0, self._momentum)
        every = self._on_round is not None
        began = time.perf_counter()
        for result in self._runner.run(self._plan, start, self._epoch, rounds, every=every):
            parts += result.parts
            self.busy_seconds += result.seconds
            if result.arrays:
                self._model.restore(result.snapshot)
                self._momentum = result.momentum
            if self._on_round is not None:
                self._on_round(result)
        self.seconds += time.perf_counter() - began
        self._done += count
        return parts

    def _rounds(self, first: int, rates: npt.NDArray[np.float64]) -> Iterator[Round]:
        """Yield rounds aligned with the rounds of the epoch, from step `first` on."""
        stop = first + len(rates)
        while first < stop:
            end = min((first // self._round_steps + 1) * self._round_steps, stop)
            yield Round(first, rates[: end - first])
            rates, first = rates[end - first :], end

    def first_loss(self, engine: Engine, room: FloatArray) -> float:
        """Return the loss of the epoch's first batch on the first shard."""
        start = self._model.snapshot()
        return float(self._runner.each(first_loss, self._plan, start, self._epoch)[0])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
