"""Divide the rows among shards: each gets a range of all rows, across partitions."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from cnn_core.class_targets import ClassTargets
from cnn_core.estimators.evaluation import EvaluationSet, joined
from cnn_core.estimators.partitions import named
from cnn_core.estimators.rows import rows_as_set
from cnn_core.estimators.task import Task
from cnn_core.sharding.shard import ArrayShard
from cnn_core.types import IndexArray

# As many shards as there are partitions, though at most this many: more divide a batch too finely.
MOST_SHARDS = 16


class Segment(NamedTuple):
    """Rows of a partition.

    Attributes
    ----------
    partition, start, stop : int
    """

    partition: int
    start: int
    stop: int


def deal(sizes: IndexArray, n_shards: int) -> list[list[Segment]]:
    """Return the rows of each shard: ranges whose lengths differ by at most one.

    They depend only on the total number of rows, not on the partitions.

    Parameters
    ----------
    sizes : (n_partitions,) array of int
    n_shards : int
        From 1 to the number of rows.
    """
    ends = np.cumsum(sizes)
    total = int(ends[-1])
    bounds = [total * number // n_shards for number in range(n_shards + 1)]
    shards = []
    for start, stop in itertools.pairwise(bounds):
        segments = []
        for partition, (size, end) in enumerate(zip(sizes, ends, strict=True)):
            begin = int(end - size)
            own = Segment(partition, max(start - begin, 0), min(stop - begin, int(size)))
            if own.start < own.stop:
                segments.append(own)
        shards.append(segments)
    return shards


def assemble(
    segments: list[tuple[str, int, int]],
    task: Task,
    dtype: np.dtype[Any],
    estimator: str,
    *parts: Any,
) -> ArrayShard:
    """Return a shard in memory.

    Parameters
    ----------
    segments : list of (name, start, stop)
        A segment for each of its partitions.
    task : Task
    dtype : dtype of float32 or float64
    estimator : str
    *parts : object
        Samples, targets and weights of the first partition, of the second, and so on.
    """
    sets = [
        named(name, _rows, task, dtype, estimator, start, stop, *parts[3 * place : 3 * place + 3])
        for place, (name, start, stop) in enumerate(segments)
    ]
    one = joined(sets)
    t = one.t
    if isinstance(t, ClassTargets):
        # Convert once, not in every round.
        t = ClassTargets(np.ascontiguousarray(t.labels, np.intp), t.n_classes, t.smoothing)
    return ArrayShard(one.x, t, one.weights, one.y)


def _rows(
    task: Task, dtype: np.dtype[Any], estimator: str, start: int, stop: int, *part: Any
) -> EvaluationSet:
    """Return some rows of a partition in the form of an engine."""
    x, y, weights = (_cut(one, start, stop) for one in part)
    return rows_as_set(task, dtype, estimator, x, y, weights)


def _cut(values: Any, start: int, stop: int) -> Any:
    """Return some rows of any container; None for None."""
    if values is None:
        return None
    # Sparse rows have no length.
    n_rows = values.shape[0] if hasattr(values, "shape") else len(values)
    if start == 0 and stop == n_rows:
        return values
    if hasattr(values, "iloc"):
        return values.iloc[start:stop]
    return (values if hasattr(values, "shape") else np.asarray(values))[start:stop]
