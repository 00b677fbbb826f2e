"""Combine the states of shards: a mean, summed in a tree, and an outer step.

The tree joins neighbours in the order of the shards, whoever computed them and whenever they
arrived. So the floating-point sums have a fixed order and one result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from cnn_core.sharding.rounds import Plan, Result, Round, train_round
from cnn_core.sharding.shard import Shard
from cnn_core.training.snapshot import Snapshot
from cnn_core.types import FloatArray

_Item = TypeVar("_Item")
# Of outer steps after rounds of this many steps, chosen on a validation split; see docs/scale.md.
_OUTER_RATE, _OUTER_MOMENTUM, _LONG_ROUND = 0.7, 0.8, 12


def tree(items: Sequence[_Item], join: Callable[[_Item, _Item], _Item]) -> _Item:
    """Join neighbours, then their results, until one is left.

    Parameters
    ----------
    items : sequence
        At least one.
    join : callable
    """
    first, *others = branches(items, join)
    return join(first, *others) if others else first


def branches(items: Sequence[_Item], join: Callable[[_Item, _Item], _Item]) -> list[_Item]:
    """Return the two items that `tree` joins last; a single item alone."""
    level = list(items)
    while len(level) > 2:
        pairs = [join(*level[place : place + 2]) for place in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return level


def weighted(result: Result, share: float) -> Result:
    """Return a result with its arrays multiplied by `share`."""
    if share == 1:
        return result
    arrays = {name: array * array.dtype.type(share) for name, array in result.arrays.items()}
    return result._replace(arrays=arrays)


def weighted_round(
    shard: Shard, number: int, plan: Plan, start: Snapshot, epoch: int, steps: Round
) -> Result:
    """Return the result of a round of a shard, weighted for the mean."""
    result = train_round(shard, number, plan, start, epoch, steps)
    return weighted(result, plan.share_of(shard.n_samples))


def added(one: Result, other: Result) -> Result:
    """Return the sum of two weighted results, with their measurements in order."""
    arrays: dict[str, FloatArray] = {
        name: array + other.arrays[name] for name, array in one.arrays.items()
    }
    return Result(arrays, one.steps, one.parts + other.parts, one.seconds + other.seconds)


def stepped(mean: Result, before: Result, plan: Plan, steps: Round) -> Result:
    """Return the initial state of the next round.

    It is a step from the weights before the round along their change to the mean, with Nesterov
    momentum: "DiLoCo: Distributed Low-Communication Training of Language Models" (Douillard et al.,
    2023). For shorter rounds it is closer to the mean, which is right for rounds of one step. The
    momentum restarts in every epoch, so that a checkpoint need not hold it.

    Parameters
    ----------
    mean : Result
        Mean of all shards after the round.
    before : Result
        The state before the round.
    plan : Plan
    steps : Round
    """
    if not plan.has_outer_steps:
        return mean
    length = min(len(steps.rates) / _LONG_ROUND, 1.0)
    rate, decay = 1.0 - (1.0 - _OUTER_RATE) * length, _OUTER_MOMENTUM * length
    parameters = before.arrays["parameters"]
    change = mean.arrays["parameters"] - parameters
    momentum = change if before.momentum is None else decay * before.momentum + change
    ahead = parameters + rate * (decay * momentum + change)
    return mean._replace(arrays={**mean.arrays, "parameters": ahead}, momentum=momentum)
