"""Samples to train on or to evaluate, in the user's form and in the network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.class_targets import ClassTargets, Targets
from cnn_core.estimators.splitting import set_aside, too_small
from cnn_core.estimators.task import Task
from cnn_core.model import Model
from cnn_core.network import FloatArray, IndexArray
from cnn_core.outputs import nothing
from cnn_core.sparse import Samples, joined_rows
from cnn_core.training import Recipe, TrainingState
from cnn_core.training.state import Trainable

EvalSet: TypeAlias = tuple[Any, ...] | Sequence[tuple[Any, ...]] | None


class TrainingSet(Protocol):
    """Samples to train on: in this process (`EvaluationSet`), or in shards (`ShardedSet`)."""

    @property
    def n_samples(self) -> int:
        """Number of samples."""

    @property
    def weight(self) -> float:
        """Their total weight."""

    @property
    def weights(self) -> FloatArray | None:
        """The weight of each sample, if they are in this process."""

    def split(self, task: Task, fraction: float, seed: int) -> tuple[TrainingSet, EvaluationSet]:
        """Return a training and a validation set; see `EvaluationSet.split`."""

    def with_class_weights(self, task: Task, dtype: np.dtype[Any]) -> TrainingSet:
        """Return the samples with the weights that their classes give them as well."""

    def train(self, model: Model, recipe: Recipe, **how: Any) -> TrainingState:
        """Train a model on the samples; see `cnn_core.Model.train`."""

    def minimize(self, model: Model, recipe: Recipe, **how: Any) -> TrainingState:
        """Train a model on all samples at once; see `cnn_core.Model.minimize`."""

    def loss_by(self, model: Trainable) -> float:
        """Return the loss of a model on the samples."""


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Samples and their targets, in the user's form and in the network's.

    Attributes
    ----------
    x : (n, n_features) array
    y : array
        Labels or numbers, after the estimator's checks.
    t : ClassTargets or (n, n_outputs) array
    weights : (n,) array, optional
    """

    x: Samples
    y: npt.NDArray[Any]
    t: Targets
    weights: FloatArray | None

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.y)

    def part(self, chosen: IndexArray) -> EvaluationSet:
        """Return a part of the samples."""
        weights = None if self.weights is None else self.weights[chosen]
        return EvaluationSet(self.x[chosen], self.y[chosen], self.t[chosen], weights)

    @property
    def weight(self) -> float:
        """Return the total weight of the samples."""
        return len(self.y) if self.weights is None else float(self.weights.sum(dtype=np.float64))

    @property
    def n_counted(self) -> int:
        """Return how many samples have a weight above 0."""
        return len(self.y) if self.weights is None else int(np.count_nonzero(self.weights))

    def split(self, task: Task, fraction: float, seed: int) -> tuple[EvaluationSet, EvaluationSet]:
        """Return a training and a validation set; the same split in every fit.

        Parameters
        ----------
        task : Task
        fraction : float
            Share of the samples to validate on.
        seed : int

        Raises
        ------
        ValueError
            If there are too few samples, in total or of a class.
        """
        # Samples of weight 0 do not count, so none of them is set aside.
        counted = np.arange(len(self.y))
        if self.weights is not None:
            counted = np.flatnonzero(self.weights)
        positions = task.positions(self.y[counted])
        if positions is not None:
            alone = [str(task.name_of(position)) for position in too_small(positions)]
            if alone:
                raise ValueError(
                    "The least populated classes in y have only 1 member, which cannot be both "
                    "trained on and validated on with early_stopping. Classes with too few members "
                    f"are: {alone}; pass eval_set, or more samples of them"
                )
        random = np.random.RandomState(seed % 2**32)
        _, chosen = set_aside(len(counted), fraction, random, positions)
        aside = counted[chosen]
        kept = np.ones(len(self.y), bool)
        kept[aside] = False
        return self.part(np.flatnonzero(kept)), self.part(aside)

    def with_class_weights(self, task: Task, dtype: np.dtype[Any]) -> EvaluationSet:
        """Return the samples with the weights that their classes give them as well."""
        extra = task.weights(self.y)
        if extra is None:
            return self
        weights = extra if self.weights is None else extra * self.weights
        return replace(self, weights=weights.astype(dtype))

    def train(self, model: Model, recipe: Recipe, **how: Any) -> TrainingState:
        """Train a model on the samples; see `cnn_core.Model.train`."""
        return model.train(self.x, self.t, recipe, weights=self.weights, **how)

    def minimize(self, model: Model, recipe: Recipe, **how: Any) -> TrainingState:
        """Train a model on all samples at once; see `cnn_core.Model.minimize`."""
        return model.minimize(self.x, self.t, recipe, weights=self.weights, **how)

    def loss_by(self, model: Trainable) -> float:
        """Return the loss of a model on the samples."""
        loss, _ = model.evaluate(self.x, self.t, self.weights, keep=nothing)
        return loss


class ValidationArguments(tuple[Any, ...]):
    """A validation set from the arguments X_val, y_val and sample_weight_val."""

    __slots__ = ()


def with_validation(eval_set: EvalSet, X_val: Any, y_val: Any, sample_weight_val: Any) -> EvalSet:
    """Return the sets of `eval_set`, followed by the set of the other arguments.

    Raises
    ------
    TypeError
        For an invalid `eval_set`.
    ValueError
        If one of `X_val` and `y_val` is missing.
    """
    if X_val is None and y_val is None and sample_weight_val is None:
        return eval_set
    if X_val is None or y_val is None:
        missing = "X_val" if X_val is None else "y_val"
        raise ValueError(
            f"{missing}: expected what belongs to the other arguments of validation, found None; "
            "pass X_val and y_val together, with sample_weight_val or without"
        )
    weights = () if sample_weight_val is None else (sample_weight_val,)
    own = ValidationArguments((X_val, y_val, *weights))
    return [*(values for values, _ in each_set(eval_set)), own]


def each_set(eval_set: EvalSet) -> list[tuple[tuple[Any, ...], str]]:
    """Return each pair (X, y), or triple with weights, of `eval_set`, and its name.

    Raises
    ------
    TypeError
        For anything but such a tuple, or a list of them.
    """
    if eval_set is None:
        return []
    if not isinstance(eval_set, tuple | list):
        raise TypeError(
            "eval_set: expected a tuple (X, y) or (X, y, sample_weight), or a list of such, "
            f"found {type(eval_set).__name__}"
        )
    single = isinstance(eval_set, tuple) and not (eval_set and isinstance(eval_set[0], tuple))
    sets: list[Any] = [eval_set] if single else list(eval_set)
    named = [
        (values, _name_of(values, "eval_set" if single else f"eval_set[{place}]"))
        for place, values in enumerate(sets)
    ]
    for values, name in named:
        if not isinstance(values, tuple) or len(values) not in (2, 3):
            found = f"a tuple of {len(values)}" if isinstance(values, tuple) else repr(type(values))
            raise TypeError(
                f"{name}: expected a tuple (X, y) or (X, y, sample_weight), or a list of such, "
                f"found {found}"
            )
    return named


def joined(parts: list[EvaluationSet]) -> EvaluationSet:
    """Concatenate several sets."""
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
        joined_rows([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        targets,
        weights,
    )


def _name_of(values: Any, name: str) -> str:
    """Return the name of a set in errors, without the number of its part."""
    is_own = isinstance(values, ValidationArguments)
    return "(X_val, y_val, sample_weight_val)" if is_own else name
