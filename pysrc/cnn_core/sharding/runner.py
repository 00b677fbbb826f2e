"""`Runner`: holds shards and computes rounds; and its implementation in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from cnn_core.sharding.averaging import added, stepped, tree, weighted_round
from cnn_core.sharding.rounds import Plan, Result, Round
from cnn_core.sharding.shard import Shard


class Runner(Protocol):
    """Holds shards and computes with all of them.

    Attributes
    ----------
    sizes : sequence of int
        Samples of each shard.
    """

    sizes: Sequence[int]

    def n_workers(self) -> int:
        """Return the largest number of rounds computed at once."""

    def run(
        self, plan: Plan, start: Result, epoch: int, rounds: list[Round], *, every: bool
    ) -> Iterator[Result]:
        """Compute consecutive rounds; yield the result of each in order.

        Parameters
        ----------
        start : Result
            The state before.
        every : bool
            Whether the state after each round is needed. Otherwise the arrays of all but the last
            may be left out.
        """

    def each(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Return ``function(shard, number, *args)`` for every shard, in order."""

    def changed(self, function: Callable[..., Any], *args: Any) -> Runner:
        """Return a runner with the shards ``function(shard, number, *args)``."""


class InProcess:
    """A plain loop over shards, which defines the result of a training on shards.

    Parameters
    ----------
    shards : sequence of Shard
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = shards
        self.sizes: Sequence[int] = [shard.n_samples for shard in shards]

    def n_workers(self) -> int:
        """Return 1."""
        return 1

    def run(
        self, plan: Plan, start: Result, epoch: int, rounds: list[Round], *, every: bool = True
    ) -> Iterator[Result]:
        """Compute rounds, shard after shard."""
        for one in rounds:
            results = self.each(weighted_round, plan, start.snapshot, epoch, one)
            start = stepped(tree(results, added), start, plan, one)
            yield start

    def each(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Call a function for every shard; return the results."""
        return [function(shard, number, *args) for number, shard in enumerate(self.shards)]

    def changed(self, function: Callable[..., Any], *args: Any) -> Runner:
        """Return a runner with shards made from these."""
        return InProcess(self.each(function, *args))
