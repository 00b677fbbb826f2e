"""The input and the state of a training: plain values, no loop and no arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cnn_core.backends.interface import Engine
from cnn_core.class_targets import Targets
from cnn_core.layers import LayerArrays
from cnn_core.network import Network
from cnn_core.outputs import Keep
from cnn_core.sparse import Samples
from cnn_core.training.schedules import Schedule, as_schedule
from cnn_core.training.snapshot import ModelState, Snapshot
from cnn_core.types import FloatArray, IndexArray
from cnn_core.validation import (
    at_least_0,
    flag,
    positive,
    require_in_dtype,
    set_checked,
    whole,
)

# Values that can be monitored, and whether higher is better.
MONITORED = {
    "loss": False,
    "accuracy": True,
    "validation_loss": False,
    "validation_accuracy": True,
    "validation_score": True,
}
# Values of an epoch in the history, if they were measured.
HISTORY = (*MONITORED, "learning_rate", "seconds")
# `stopped_because` after Ctrl-C.
INTERRUPTED = "interrupted by the user"


class Trainable(Protocol):
    """What a training needs of a model; `cnn_core.Model` implements it.

    Attributes
    ----------
    network, dtype, seed, epochs_done, samples_done, history, parameters, steps
        See `cnn_core.Model`.
    """

    network: Network
    dtype: np.dtype[Any]
    seed: int
    epochs_done: int
    samples_done: int
    history: dict[str, list[float]]
    parameters: FloatArray

    @property
    def steps(self) -> int:
        """Steps taken by the optimizer."""

    @property
    def backend(self) -> str:
        """Name of the backend in use."""

    @property
    def layers(self) -> list[LayerArrays]:
        """Views of `parameters`, layer by layer."""

    def arrays(self) -> dict[str, FloatArray]:
        """Return the arrays that steps change (no copies)."""

    def weights(self) -> dict[str, FloatArray]:
        """Return the arrays that outputs depend on (no copies)."""

    def is_finite(self) -> bool:
        """Tell whether all weights are finite."""

    def state(self) -> ModelState:
        """Return all that the model consists of, without copying its arrays and its history."""

    def snapshot(self) -> Snapshot:
        """Return a copy of all that steps change."""

    def restore(self, snapshot: Snapshot) -> None:
        """Restore a snapshot completely or not at all."""

    def rollback(self, weights: dict[str, FloatArray]) -> None:
        """Write a copy of `weights` back; the optimizer starts from zeros."""

    def evaluate(
        self,
        x: Samples,
        t: Targets,
        weights: FloatArray | None = None,
        out: FloatArray | None = None,
        *,
        keep: Keep | None = None,
        rows: IndexArray | None = None,
    ) -> tuple[float, npt.NDArray[Any]]:
        """Return the loss, and the outputs or what `keep` reduces them to."""

    def exclusively(self) -> AbstractContextManager[Engine]:
        """Give the engine for exclusive use."""

    def take_seed(self, seed: int) -> None:
        """Change the seed of the dropout and of the order of the samples."""


@dataclass(frozen=True)
class EpochRecord:
    """The measurements of an epoch.

    Attributes
    ----------
    epoch : int
        Number of this epoch, from 1, counted over all calls of ``fit``.
    last_epoch : int
        Number of the last epoch of this call.
    loss : float
        Weighted mean of the network's loss over the samples, each measured before the step of its
        own batch, without the term of `Network.l2`. For L-BFGS: the loss of all samples after the
        iteration, with this term.
    accuracy : float or None
        Share of samples whose largest output was their class, measured likewise; None if the
        targets are not classes.
    validation_loss, validation_accuracy : float or None
        The same on the validation data after the epoch; None without such data.
    samples : int
        Samples trained on in this epoch.
    seconds : float
        Time spent training in this epoch, validation not included.
    validation_score : float or None
        What `Validation.score` gave after the epoch.
    learning_rate : float or None
        Learning rate of the epoch's last step; None for L-BFGS.
    """

    epoch: int
    last_epoch: int
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    samples: int
    seconds: float
    validation_score: float | None = None
    learning_rate: float | None = None

    def __str__(self) -> str:
        """Return the line that ``verbose=1`` prints."""
        parts = [f"epoch {self.epoch}/{self.last_epoch}", f"loss {self.loss:.5f}"]
        if self.accuracy is not None:
            parts.append(f"accuracy {self.accuracy:.4f}")
        if self.validation_loss is not None:
            parts.append(f"validation loss {self.validation_loss:.5f}")
        if self.validation_accuracy is not None:
            parts.append(f"validation accuracy {self.validation_accuracy:.4f}")
        if self.validation_score is not None:
            parts.append(f"validation score {self.validation_score:.4f}")
        parts.append(f"{self.samples / max(self.seconds, 1e-9):,.0f} samples/s")
        return "  ".join(parts)


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes
    ----------
    epochs : int
        Passes over the data, at least 0; with a time budget the largest number of them.
    batch_size : int
        Samples of one step, at least 1; the last batch of an epoch may be smaller.
    learning_rate : float
        Above 0: the base of the schedule.
    schedule : Schedule or str
        See `cnn_core.schedules.as_schedule`.
    shuffle : bool
        Whether to shuffle the samples in every epoch, with the model's seed.
    patience : int, optional
        Stop after more than this many epochs in a row without an improvement of more than `tol`,
        like scikit-learn's ``n_iter_no_change``; None: never stop early.
    tol : float
        At least 0; for L-BFGS the largest derivative at which it has converged.
    monitor : str
        What should improve: ``"loss"``, ``"accuracy"``, ``"validation_loss"``,
        ``"validation_accuracy"`` or ``"validation_score"``.
    restore_best : bool
        Whether the state after the best epoch is restored at the end.
    max_steps : int, optional
        Largest number of steps, at least 1. The training then ends within an epoch if necessary,
        and the schedule ends with it.
    time_budget : float, optional
        Seconds of training, above 0. The schedule is fitted to them, and the training may end
        within an epoch. The result then depends on the machine's speed. At least one step is taken.

    Raises
    ------
    TypeError, ValueError
        For a value of the wrong type or outside its range.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: Schedule | str = "constant"
    shuffle: bool = True
    patience: int | None = None
    tol: float = 0.0
    monitor: str = "loss"
    restore_best: bool = False
    time_budget: float | None = None
    max_steps: int | None = None

    def __post_init__(self) -> None:
        whole("epochs", self.epochs, 0)
        whole("batch_size", self.batch_size, 1)
        if self.patience is not None:
            whole("patience", self.patience, 0)
        if self.max_steps is not None:
            whole("max_steps", self.max_steps, 1)
        set_checked(self, positive, "learning_rate")
        set_checked(self, at_least_0, "tol")
        set_checked(self, flag, "shuffle", "restore_best")
        if self.time_budget is not None:
            set_checked(self, positive, "time_budget")
        require_monitored(self.monitor)
        object.__setattr__(self, "schedule", as_schedule(self.schedule))

    def with_epochs_of(self, n_samples: int) -> Recipe:
        """Return the recipe for this many samples, with no more epochs than `max_steps` allows."""
        if self.max_steps is None:
            return self
        steps = -(-n_samples // max(min(self.batch_size, n_samples), 1))
        return replace(self, epochs=min(self.epochs, -(-self.max_steps // max(steps, 1))))


@dataclass(frozen=True, eq=False)
class Validation:
    """Validation data, which are measured after every epoch.

    Attributes
    ----------
    x : (n, n_inputs) array
    t : (n, n_outputs) array or ClassTargets
    weights : (n,) array, optional
        Weight of each sample in the loss.
    are_classes : bool
        Whether the targets are classes (labels or rows). If so, the accuracy is measured: the share
        of samples whose largest output is their class.
    score : callable, optional
        Returns a number for the outputs (n, n_outputs); higher is better. The next epoch overwrites
        the array of outputs.
    keep : callable, optional
        Reduces the outputs, block by block, to what `score` is called with: see
        `cnn_core.Model.predict`.
    rows : (m,) array of numpy.intp, optional
        The samples to measure; by default all.
    """

    x: Samples
    t: Targets
    weights: FloatArray | None = None
    are_classes: bool = False
    score: Callable[[Any], float] | None = None
    keep: Keep | None = None
    rows: IndexArray | None = None

    @property
    def measured_targets(self) -> Targets:
        """The targets of the samples that are measured."""
        return self.t if self.rows is None else self.t[self.rows]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Training and validation data, already checked.

    Attributes
    ----------
    x : (n, n_inputs) array
    t : (n, n_outputs) array or ClassTargets
    weights : (n,) array, optional
        Weight of each sample.
    are_classes : bool
        Whether the targets are classes, as labels or as rows.
    validation : Validation, optional
    rows : (m,) array of numpy.intp, optional
        The samples to train on; by default all.
    """

    x: Samples
    t: Targets
    weights: FloatArray | None = None
    are_classes: bool = False
    validation: Validation | None = None
    rows: IndexArray | None = None

    @property
    def n_samples(self) -> int:
        """Number of samples of an epoch."""
        return len(self.x) if self.rows is None else len(self.rows)


class TrainingState:
    """The state of a training: callbacks read and change it, and `train` returns it.

    Attributes
    ----------
    model : Trainable
        The `cnn_core.Model` that learns.
    owner : object
        The object that the user trains: an `NN`, an estimator, or the model itself. It has a
        `save`.
    recipe : Recipe
    epoch : int
        Number of the current epoch, or of the last one, from 1, counted over all trainings of the
        model. Before the first epoch: the number of epochs of earlier trainings.
    last_epoch : int
        Number of the last planned epoch.
    learning_rate : float
        Base of the schedule; a callback may set it for later epochs.
    record : EpochRecord or None
        Measurements of the last epoch; None before the first one.
    history : dict of str to list of float
        The model's history, which ends with the values of that epoch.
    best_epoch : int or None
        Number of the epoch of this training with the best monitored value.
    best_value : float or None
        The monitored value of that epoch.
    improved : bool
        Whether it is the last epoch.
    missing : dict of str to str
        For each value that is not measured: what is needed to measure it.
    stopped_because : str or None
        Why the training ended before its last epoch; None if it did not.
    converged : bool
        Whether it ended because nothing improved any more, or because L-BFGS found a minimum.
    """

    def __init__(self, model: Trainable, owner: Any, recipe: Recipe) -> None:
        self.model = model
        self.owner: Any = model if owner is None else owner
        self.recipe = recipe
        self.epoch = model.epochs_done
        self.last_epoch = self.epoch + recipe.epochs
        self.learning_rate = recipe.learning_rate
        self.record: EpochRecord | None = None
        self.best_epoch: int | None = None
        self.best_value: float | None = None
        self.stopped_because: str | None = None
        self.missing: dict[str, str] = {}
        self.converged = False
        self._least = math.inf

    @property
    def learning_rate(self) -> float:
        """Base of the schedule, above 0."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        rate = positive("learning_rate", value)
        # A rate that is too large shows as divergence.
        require_in_dtype("learning_rate", min(rate, 1.0), self.model.dtype)
        self._learning_rate: float = rate

    @property
    def face(self) -> Any:
        """The former name of `owner`."""
        return self.owner

    @property
    def history(self) -> dict[str, list[float]]:
        """The model's history."""
        return self.model.history

    @property
    def improved(self) -> bool:
        """Whether the last epoch was the best one of this training."""
        return self.record is not None and self.record.epoch == self.best_epoch

    def require_measured(self, monitor: str) -> None:
        """Refuse to monitor a value that is not measured in this training.

        Raises
        ------
        ValueError
            For what is not measured.
        """
        if monitor in self.missing:
            raise ValueError(
                f"monitor: {monitor!r} needs {self.missing[monitor]}, found none; "
                f"measured is {', '.join(sorted(set(MONITORED) - set(self.missing)))}"
            )

    def update_best(self) -> None:
        """Compare the last epoch with the best one before."""
        value = self.monitored_loss()
        if self.best_epoch is None or value < self._least:
            # Written this way, any number is better than NaN.
            self._least = min(self._least, value)
            self.best_epoch = self.epoch
            self.best_value = getattr(self.record, self.recipe.monitor)

    def stop(self, reason: str, *, converged: bool = False) -> None:
        """Stop before the next epoch; the first reason is kept."""
        if self.stopped_because is None:
            self.stopped_because = reason
            self.converged = converged

    def monitored(self, monitor: str | None = None) -> str:
        """Return the name of the monitored value: `monitor`, or by default the recipe's."""
        return self.recipe.monitor if monitor is None else require_monitored(monitor)

    def monitored_loss(self, monitor: str | None = None) -> float:
        """Return the monitored value of the last epoch, signed so that lower is better.

        Raises
        ------
        ValueError
            If it was not measured.
        """
        name = self.monitored(monitor)
        self.require_measured(name)
        value = getattr(self.record, name)
        return -float(value) if MONITORED[name] else float(value)


def require_monitored(name: str) -> str:
    """Check the name of a monitored value, and return it.

    Raises
    ------
    ValueError
        For any other.
    """
    if not isinstance(name, str) or name not in MONITORED:
        known = ", ".join(map(repr, MONITORED))
        raise ValueError(f"monitor: expected one of {known}, found {name!r}")
    return name
