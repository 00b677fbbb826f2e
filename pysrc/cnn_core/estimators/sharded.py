"""Training samples in shards."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

import numpy as np

from cnn_core.class_targets import ClassTargets, Targets
from cnn_core.estimators.class_weights import weight_of_each
from cnn_core.estimators.evaluation import EvaluationSet, joined
from cnn_core.estimators.labels import Classification
from cnn_core.estimators.task import Task
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.io.fingerprint import Elsewhere, fingerprint
from cnn_core.model import Model
from cnn_core.optimizers import Rprop
from cnn_core.outputs import nothing
from cnn_core.sharding.blocks import BlockShard, Rows
from cnn_core.sharding.rounds import Plan, Result, seed_of
from cnn_core.sharding.runner import Runner
from cnn_core.sharding.shard import ArrayShard, Piece, Shard
from cnn_core.sharding.steps import ShardedSteps, default_round_steps
from cnn_core.training import Recipe, TrainingState, loop
from cnn_core.training.callbacks import Callback
from cnn_core.training.state import Trainable, TrainingData
from cnn_core.types import FloatArray, IndexArray


@dataclass(frozen=True, eq=False)
class ShardedSet:
    """A training set in shards.

    Attributes
    ----------
    runner : Runner
        Holds the shards and computes with them.
    weight : float
        Total weight of the samples.
    has_weights : bool
    round_steps : int or None
        Steps of a round; None: see `cnn_core.sharding.steps.default_round_steps`.
    n_threads : int or None
        Of a round.
    tell : callable or None
        Called after a training with the length and cost of its rounds.
    weights : None
        None, since they are in the shards.
    """

    runner: Runner
    weight: float
    round_steps: int | None
    n_threads: int | None = 1
    tell: Callable[[str], None] | None = None
    weights: None = None

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return sum(self.runner.sizes)

    def split(self, task: Task, fraction: float, seed: int) -> tuple[ShardedSet, EvaluationSet]:
        """Return a training and a validation set; each shard gives its share.

        Raises
        ------
        ValueError
            If a shard has too few samples, in total or of a class.
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
        weights = weight_of_each(wish, task.classes, counts)
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
        callbacks: Sequence[Callback] = (),
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
        rounds = _Rounds([one for one in callbacks if _hears_of_rounds(one)])
        on_round = rounds.end if rounds.callbacks else None
        source = ShardedSteps(model, plan, self.runner, round_steps, on_round)
        state = loop.train(
            model,
            data,
            recipe,
            callbacks=[*callbacks, rounds],
            source=source,
            open_checkpoint=open_checkpoint,
            **how,
        )
        if self.tell is not None:
            self.tell(source.described(is_chosen=self.round_steps is None))
        return state

    def _elsewhere(self, round_steps: int) -> Elsewhere:
        """Return the identity of the data for a checkpoint."""
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
            Always.
        """
        raise ValueError(
            "solver: expected one that takes steps on batches for data in shards, found 'lbfgs', "
            "which needs all samples at once; use 'adam', 'adamw' or 'sgd'"
        )

    def loss_by(self, model: Trainable) -> float:
        """Return the loss of a model on the samples."""
        losses = np.array(self.runner.each(_loss_by, model))
        return float(losses[:, 0] @ losses[:, 1] / max(losses[:, 1].sum(), 1e-300))


def _hears_of_rounds(callback: Callback) -> bool:
    return type(callback).on_round_end is not Callback.on_round_end


class _Rounds(Callback):
    """Calls callbacks at the end of each round."""

    _state: TrainingState

    def __init__(self, callbacks: list[Callback]) -> None:
        self.callbacks = callbacks

    def on_train_begin(self, state: TrainingState) -> None:
        self._state = state

    def end(self, result: Result) -> None:
        for callback in self.callbacks:
            callback.on_round_end(self._state)


def _require_rounds(model: Model, n_shards: int) -> None:
    """Refuse an optimizer that needs the gradient of all samples."""
    if n_shards > 1 and isinstance(model.network.optimizer, Rprop):
        raise ValueError(
            "solver: expected one that takes steps on batches for several shards, found 'rprop', "
            "which needs the gradient of all samples; set n_shards=1, or use another"
        )


# Functions that run on each shard, in this process or on a worker.


def _chosen(
    shard: Shard, number: int, task: Task, fraction: float, seed: int
) -> tuple[EvaluationSet, EvaluationSet]:
    if not isinstance(shard, ArrayShard) or shard.y is None:
        raise ValueError(
            "early_stopping: expected eval_set for files, of which no samples can be set aside; "
            "pass eval_set=(X, y)"
        )
    own = EvaluationSet(shard.x, shard.y, shard.t, shard.weights)
    return own.split(task, fraction, seed_of(seed, number))


def _held_out(shard: Shard, number: int, *how: Any) -> EvaluationSet:
    return _chosen(shard, number, *how)[1]


def _kept(shard: Shard, number: int, *how: Any) -> ArrayShard:
    kept = _chosen(shard, number, *how)[0]
    return ArrayShard(kept.x, kept.t, kept.weights, kept.y)


def _positions(t: Targets) -> IndexArray:
    """Return the class index of each sample."""
    if isinstance(t, ClassTargets):
        return t.labels
    positions: IndexArray = (t[:, 0] > 0.5).astype(np.intp)
    return positions


def _counts(shard: Shard, number: int, n_classes: int) -> IndexArray:
    counts = np.zeros(n_classes, np.intp)
    for piece in shard.in_order():
        counts += np.bincount(_positions(piece.t), minlength=n_classes)
    return counts


def _weighed(shard: Shard, number: int, weights: FloatArray, dtype: np.dtype[Any]) -> Shard:
    if isinstance(shard, BlockShard):
        return shard.of(_Weighed(shard.rows, weights, dtype))
    assert isinstance(shard, ArrayShard)
    own = _weights_of(Piece(shard.x, shard.t, shard.weights, None), weights, dtype)
    return ArrayShard(shard.x, shard.t, own, shard.y)


def _weights_of(piece: Piece, weights: FloatArray, dtype: np.dtype[Any]) -> FloatArray:
    own = weights[_positions(piece.t)]
    if piece.weights is not None:
        own = own * piece.weights
    return own.astype(dtype)


@dataclass(frozen=True, eq=False)
class _Weighed:
    """Rows with the weights of their classes; see `cnn_core.sharding.blocks.Rows`."""

    rows: Rows
    weights: FloatArray
    dtype: np.dtype[Any]

    @property
    def n_samples(self) -> int:
        return self.rows.n_samples

    def read(self, start: int, stop: int) -> Piece:
        piece = self.rows.read(start, stop)
        return piece._replace(weights=_weights_of(piece, self.weights, self.dtype))


def _weight_of(shard: Shard, number: int) -> float:
    return math.fsum(piece.weight for piece in shard.in_order())


def _fingerprint(shard: Shard, number: int) -> str:
    texts = [
        fingerprint(*(one for one in piece[:3] if one is not None)) for piece in shard.in_order()
    ]
    return " ".join(texts)


def _loss_by(shard: Shard, number: int, model: Model) -> tuple[float, float]:
    losses = [
        (model.evaluate(*piece[:3], keep=nothing)[0], piece.weight) for piece in shard.in_order()
    ]
    total = math.fsum(weight for _, weight in losses)
    return math.fsum(loss * weight for loss, weight in losses) / max(total, 1e-300), total
