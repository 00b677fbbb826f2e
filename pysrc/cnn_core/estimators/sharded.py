"""Samples to train on that are in shards."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

import numpy as np

from cnn_core.class_targets import ClassTargets
from cnn_core.estimators.evaluation import EvaluationSet
from cnn_core.estimators.labels import Classification, weight_of_each
from cnn_core.estimators.task import Task
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.io.fingerprint import Elsewhere, fingerprint
from cnn_core.model import Model
from cnn_core.optimizers import Rprop
from cnn_core.sharding.rounds import Plan, seed_of
from cnn_core.sharding.runner import Runner
from cnn_core.sharding.shard import ArrayShard
from cnn_core.sharding.steps import ShardedSteps, default_round_steps
from cnn_core.training import Recipe, TrainingState, loop
from cnn_core.training.state import Trainable, TrainingData
from cnn_core.types import FloatArray, IndexArray


@dataclass(frozen=True, eq=False)
class ShardedSet:
    """Samples in shards, as a training takes them.

    Attributes
    ----------
    runner : Runner
        The shards, and what computes with them.
    weight : float
        Total weight of the samples.
    has_weights : bool
    round_steps : int or None
        Steps of a round; None: see `cnn_core.sharding.steps.default_round_steps`.
    n_threads : int or None
        Of a round.
    weights : None
        They are in the shards.
    """

    runner: Runner
    weight: float
    round_steps: int | None
    n_threads: int | None = 1
    weights: None = None

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return sum(self.runner.sizes)

    def split(self, task: Task, fraction: float, seed: int) -> tuple[ShardedSet, EvaluationSet]:
        """Return what to train on and what to validate on: each shard gives its share.

        Raises
        ------
        ValueError
            If a shard has too few samples, of all or of a class.
        """
        parts = self.runner.each(_held_out, task, fraction, seed)
        rest = self.runner.changed(_kept, task, fraction, seed)
        weight = sum(rest.each(_weight_of))
        return replace(self, runner=rest, weight=weight), joined(parts)

    def with_class_weights(self, task: Task, dtype: np.dtype[Any]) -> ShardedSet:
        """Return the samples with the weights that their classes give them as well."""
        wish = task.class_weight if isinstance(task, Classification) else None
        if wish is None:
            return self
        assert isinstance(task, Classification)
        counts = None
        if task.kind != "multilabel":
            counts = np.sum(self.runner.each(_counts, len(task.classes)), axis=0)
        weights = weight_of_each(wish, task, counts)
        runner = self.runner.changed(_weighed, weights, dtype)
        weight = sum(runner.each(_weight_of))
        if not weight:
            raise ValueError(
                "class_weight: expected at least one weight above 0, found all of them zero"
            )
        return replace(self, runner=runner, weight=weight)

    def train(
        self,
        model: Model,
        recipe: Recipe,
        *,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
        seeded: bool = True,
        are_classes: bool = False,
        validation: Any = None,
        **how: Any,
    ) -> TrainingState:
        """Train a model by rounds over the shards; see `cnn_core.Model.train`.

        Raises
        ------
        ValueError
            For an optimizer that needs all samples at once.
        """
        _require_rounds(model, len(self.runner.sizes))
        plan = Plan(
            model.network,
            model.dtype,
            model.seed,
            min(recipe.batch_size, self.n_samples),
            self.n_samples,
            len(self.runner.sizes),
            recipe.shuffle,
            model.backend,
            self.n_threads,
        )
        round_steps = self.round_steps or default_round_steps(plan)
        open_checkpoint = None
        x = Elsewhere("", self.n_samples)
        if checkpoint is not None:
            from cnn_core.io.checkpoint import CheckpointSession

            open_checkpoint = partial(CheckpointSession, checkpoint, seeded=seeded)
            x = self._elsewhere(round_steps)
        data = TrainingData(x, x, None, are_classes, validation)  # type: ignore[arg-type]
        steps = ShardedSteps(model, plan, self.runner, round_steps)
        return loop.train(model, data, recipe, source=steps, open_checkpoint=open_checkpoint, **how)

    def _elsewhere(self, round_steps: int) -> Elsewhere:
        """Return the data as a checkpoint knows them."""
        texts = self.runner.each(_fingerprint)
        text = (
            f"{len(texts)} shards, rounds of {round_steps} steps: "
            f"{fingerprint(np.frombuffer(''.join(texts).encode(), np.uint8))}"
        )
        return Elsewhere(text, self.n_samples)

    def minimize(self, model: Model, recipe: Recipe, **how: Any) -> NoReturn:
        """Refuse to train on all samples at once.

        Raises
        ------
        ValueError
            In any case.
        """
        raise ValueError(
            "solver: expected one that takes steps on batches for data in shards, found 'lbfgs', "
            "which needs all samples at once; use 'adam', 'adamw' or 'sgd'"
        )

    def loss_by(self, model: Trainable) -> float:
        """Return the loss of a model on the samples."""
        losses = np.array(self.runner.each(_loss_by, model))
        return float(losses[:, 0] @ losses[:, 1] / max(losses[:, 1].sum(), 1e-300))


def _require_rounds(model: Model, n_shards: int) -> None:
    """Refuse an optimizer that needs the gradient of all samples."""
    if n_shards > 1 and isinstance(model.network.optimizer, Rprop):
        raise ValueError(
            "solver: expected one that takes steps on batches for several shards, found 'rprop', "
            "which needs the gradient of all samples; set n_shards=1, or use another"
        )


# What is done with each shard, wherever it is.


def _chosen(
    shard: ArrayShard, number: int, task: Task, fraction: float, seed: int
) -> tuple[EvaluationSet, EvaluationSet]:
    assert shard.y is not None
    own = EvaluationSet(shard.x, shard.y, shard.t, shard.weights)
    return own.split(task, fraction, seed_of(seed, number))


def _held_out(shard: ArrayShard, number: int, *how: Any) -> EvaluationSet:
    return _chosen(shard, number, *how)[1]


def _kept(shard: ArrayShard, number: int, *how: Any) -> ArrayShard:
    kept = _chosen(shard, number, *how)[0]
    return ArrayShard(kept.x, kept.t, kept.weights, kept.y)


def joined(parts: list[EvaluationSet]) -> EvaluationSet:
    """Return one set of the samples of several."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    weights = None
    if first.weights is not None:
        weights = np.concatenate([part.weights for part in parts if part.weights is not None])
    targets: Any
    if isinstance(first.t, ClassTargets):
        labels = [part.t.labels for part in parts if isinstance(part.t, ClassTargets)]
        targets = replace(first.t, labels=np.concatenate(labels))
    else:
        targets = np.concatenate([part.t for part in parts])
    return EvaluationSet(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        targets,
        weights,
    )


def _positions(shard: ArrayShard) -> IndexArray:
    """Return the number of each sample's class."""
    if isinstance(shard.t, ClassTargets):
        return shard.t.labels
    positions: IndexArray = (shard.t[:, 0] > 0.5).astype(np.intp)
    return positions


def _counts(shard: ArrayShard, number: int, n_classes: int) -> IndexArray:
    return np.bincount(_positions(shard), minlength=n_classes)


def _weighed(
    shard: ArrayShard, number: int, weights: FloatArray, dtype: np.dtype[Any]
) -> ArrayShard:
    own = weights[_positions(shard)]
    if shard.weights is not None:
        own = own * shard.weights
    return ArrayShard(shard.x, shard.t, own.astype(dtype), shard.y)


def _weight_of(shard: ArrayShard, number: int) -> float:
    if shard.weights is None:
        return float(shard.n_samples)
    return float(shard.weights.sum(dtype=np.float64))


def _fingerprint(shard: ArrayShard, number: int) -> str:
    arrays = [shard.x, shard.t, *([] if shard.weights is None else [shard.weights])]
    return fingerprint(*arrays)


def _loss_by(shard: ArrayShard, number: int, model: Model) -> tuple[float, float]:
    loss, _ = model.evaluate(shard.x, shard.t, shard.weights, keep=lambda outputs: outputs[:, :0])
    return loss, _weight_of(shard, number)
