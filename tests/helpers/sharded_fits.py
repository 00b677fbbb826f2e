"""Fits on shards in this process, and small data for them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from cnn_core import MLPClassifier, MLPRegressor
from cnn_core.estimators.evaluation import EvaluationSet
from cnn_core.estimators.sharded import ShardedSet
from cnn_core.sharding.runner import InProcess
from cnn_core.sharding.shard import ArrayShard

SETTINGS = {
    "hidden_layer_sizes": (8,),
    "batch_size": 20,
    "max_iter": 4,
    "schedule": "one_cycle",
    "random_state": 0,
    "n_threads": 1,
}
ROUND_STEPS = 8
# What a training on shards may be asked for.
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "balanced": {"class_weight": "balanced", "early_stopping": True},
    "dropout": {"normalization": "batch", "dropout": 0.2, "averaging": 0.9, "alpha": 0.1},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.1, "shuffle": False},
}


def small_classes(
    n: int = 301, seed: int = 0
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return samples (n, 5), classes of three names and weights."""
    random = np.random.RandomState(seed)
    X = random.normal(size=(n, 5)).astype(np.float32)
    y = np.array(["ant", "bee", "cat"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)]
    return X, y, random.uniform(0.5, 1.5, n).astype(np.float32)


class _InShards:
    """Deals the samples to shards in this process."""

    k: int

    def _read(self, *args: Any) -> Any:
        read = super()._read(*args)  # type: ignore[misc]
        data = read.data
        assert isinstance(data, EvaluationSet)
        n = len(data.y)
        bounds = [n * number // self.k for number in range(self.k + 1)]
        parts = [data.part(np.arange(start, stop)) for start, stop in pairwise(bounds)]
        shards = [ArrayShard(one.x, one.t, one.weights, one.y) for one in parts]
        return replace(read, data=ShardedSet(InProcess(shards), data.weight, ROUND_STEPS))


class ClassifierInShards(_InShards, MLPClassifier):
    """A classifier trained by the plain loop over shards."""

    def of(self, k: int) -> ClassifierInShards:
        self.k = k
        return self


class RegressorInShards(_InShards, MLPRegressor):
    """A regressor likewise."""

    def of(self, k: int) -> RegressorInShards:
        self.k = k
        return self


def bits_of(estimator: Any) -> tuple[Any, ...]:
    """Return all that was learned, as bytes and numbers."""
    arrays = {name: a.tobytes() for name, a in estimator.model_.arrays().items()}
    return arrays, estimator.model_.steps, estimator.loss_curve_, estimator.validation_scores_


def hash_of(estimator: Any) -> str:
    """Return a hash of all that was learned."""
    return hashlib.sha256(repr(bits_of(estimator)).encode()).hexdigest()
