"""The checked arguments of a fit on partitions: files, or data on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_core.estimators.evaluation import EvalSet, each_set
from cnn_core.estimators.fit_data import FitData
from cnn_core.estimators.models import first_model, model_going_on
from cnn_core.estimators.parameters import random_state, rate_of
from cnn_core.estimators.partitions import Together, together
from cnn_core.estimators.rows import block_shard, describe_files, file_partitions
from cnn_core.estimators.sharded import ShardedSet
from cnn_core.estimators.task import BEFORE, Task
from cnn_core.sharding.runner import InProcess
from cnn_core.validation import require_in_dtype

# Returns the samples in shards, after task and dtype are known.
Deal = Callable[[Task, "np.dtype[Any]"], ShardedSet]


def fit_data_of(
    estimator: Any,
    known: Together,
    deal: Deal,
    eval_set: EvalSet,
    incremental: bool,
    classes: Any,
    local: Callable[[Any], Any] = lambda value: value,
) -> FitData:
    """Return the checked arguments of a fit on partitions.

    Parameters
    ----------
    estimator : BaseMLP
    known : Together
        Combined metadata of the partitions.
    deal : callable
    eval_set, incremental, classes
        As for `BaseMLP._fit`.
    local : callable
        Fetches a part of an evaluation set into this process.

    Raises
    ------
    TypeError, ValueError
        As `fit` does.
    """
    first = not (estimator.__sklearn_is_fitted__() and (incremental or estimator.warm_start))
    dtype = known.dtype if first else estimator.model_.dtype
    if not first:
        estimator._require_features(np.empty((0, known.n_features)), known.names)
    task, _ = estimator._task_of(
        known.y, len(known.y), first=first, incremental=incremental, classes=classes
    )
    shape, before = (known.n_features,), None if first else estimator.model_.network
    network = estimator._network_of(shape, known.dtype, task, before)
    require_in_dtype("alpha", network.l2, dtype)
    require_in_dtype("learning_rate_init", rate_of(estimator), dtype)
    if first:
        model = first_model(estimator, network, dtype, random_state(estimator.random_state))
    else:
        model = model_going_on(estimator, network, estimator.model_, incremental)
    known_from = ("classes" if incremental else "y") if first else BEFORE
    how = task, known_from, known.names, shape, dtype
    sets = [
        estimator._evaluation_set(tuple(local(one) for one in values), place, *how)
        for values, place in each_set(eval_set)
    ]
    return FitData(task, model, deal(task, dtype), sets, known.names, first)


def read_files(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    eval_set: EvalSet,
    incremental: bool,
    classes: Any,
) -> FitData:
    """Return the checked arguments of a fit on files, which are read block by block.

    Raises
    ------
    PartitionError, DataError, OSError, TypeError, ValueError
        For files that cannot be read, and as for `fit`.
    """
    name = type(estimator).__name__
    partitions = file_partitions(X, y, sample_weight)
    found = [describe_files(one, estimator._kind, name, estimator.dtype) for one in partitions]
    known = together([one.name for one in partitions], found)

    def deal(task: Task, dtype: np.dtype[Any]) -> ShardedSet:
        segments = [(one, 0, one.x.n_rows) for one in partitions if one.x.n_rows]
        shard = block_shard(segments, task, dtype, name, known.n_features)
        return ShardedSet(InProcess([shard]), known.weight, None, estimator.n_threads)

    return fit_data_of(estimator, known, deal, eval_set, incremental, classes)
