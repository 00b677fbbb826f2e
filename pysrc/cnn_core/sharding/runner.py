"""Where shards are and rounds are computed: `Runner`, and the loop in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from cnn_core.sharding.averaging import added, stepped, tree, weighted_round
from cnn_core.sharding.rounds import Plan, Result, Round
from cnn_core.sharding.shard import Shard


class Runner(Protocol):
    """Shards, wherever they are, and what can be done with all of them.

    Attributes
    ----------
    sizes : sequence of int
        Samples of each shard.
    """

    sizes: Sequence[int]

    def n_workers(self) -> int:
        """Return how many rounds are computed at once at most."""

    def run(
        self, plan: Plan, start: Result, epoch: int, rounds: list[Round], *, every: bool
    ) -> Iterator[Result]:
        """Compute rounds, one after the other; yield what each has come to, in this order.

        Parameters
        ----------
        start : Result
            The state before.
        every : bool
            Whether the state after each of them is wanted; else that of the last one is enough, and
            the arrays of others may be left out.
        """

    def each(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Return ``function(shard, number, *args)`` of every shard, in their order."""

    def changed(self, function: Callable[..., Any], *args: Any) -> Runner:
        """Return the shards that ``function(shard, number, *args)`` makes of these."""


class InProcess:
    """A plain loop over shards: the definition of what a training on shards learns.

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
        """Return what a function gives for every shard."""
        return [function(shard, number, *args) for number, shard in enumerate(self.shards)]

    def changed(self, function: Callable[..., Any], *args: Any) -> Runner:
        """Return other shards, made of these."""
        return InProcess(self.each(function, *args))
