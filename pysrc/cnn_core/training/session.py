"""What all training loops share: callback hooks, measurements, history, checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnn_core.class_targets import labels_of
from cnn_core.interrupts import all_or_nothing
from cnn_core.outputs import nothing
from cnn_core.training.callbacks import Callback, EarlyStopping, as_callbacks
from cnn_core.training.state import (
    HISTORY,
    EpochRecord,
    Recipe,
    Trainable,
    TrainingData,
    TrainingState,
    Validation,
)
from cnn_core.types import FloatArray, IndexArray


class TrainingCheckpoint:
    """The checkpoint of a training; this base class does nothing, for trainings without one.

    Attributes
    ----------
    finished : bool
        Whether the training in the file has ended.
    progress : dict or None
        The progress that was passed to `write`; None for a new training.
    """

    finished: bool = False
    progress: dict[str, Any] | None = None

    def restore_model(self) -> None:
        """Restore the model and the state of the training from the file."""

    def restore_callbacks(self) -> None:
        """Restore the states of the callbacks, after `on_train_begin`."""

    def rollback_if_rejected(self) -> AbstractContextManager[None]:
        """Roll the model back if a callback rejects its state."""
        return nullcontext()

    def monitored_so_far(self) -> list[float]:
        """Return the monitored value of each epoch of this training so far."""
        return []

    def is_due(self) -> bool:
        """Tell whether a file is to be written at the end of this epoch."""
        return False

    def write(self, progress: dict[str, Any], *, finished: bool = False) -> None:
        """Write the file."""


class Session:
    """What all training loops share: hooks, measurements, history.

    Parameters
    ----------
    model : Trainable
    data : TrainingData
    recipe : Recipe
    callbacks : iterable of Callback
    owner : object, optional

    Attributes
    ----------
    state : TrainingState
    data : TrainingData
    callbacks : list of Callback

    Raises
    ------
    ValueError
        If the recipe monitors something that will not be measured.
    """

    def __init__(
        self,
        model: Trainable,
        data: TrainingData,
        recipe: Recipe,
        *,
        callbacks: Iterable[Callback],
        owner: Any,
    ) -> None:
        self.state = TrainingState(model, owner, recipe)
        self.data = data
        validation = data.validation
        self._outputs: FloatArray | None = None
        if validation is not None and validation.score is not None and validation.keep is None:
            self._outputs = np.empty(validation.measured_targets.shape, model.dtype)
        self.callbacks = as_callbacks(callbacks)
        if recipe.patience is not None or recipe.restore_best:
            # The last one, so that `on_train_end` of the others sees the best weights.
            self.callbacks.append(
                EarlyStopping(None, recipe.patience, recipe.tol, recipe.restore_best)
            )
        self.state.missing = missing_measurements(data)
        self.state.require_measured(recipe.monitor)

    @contextmanager
    def running(self, checkpoint: TrainingCheckpoint) -> Iterator[TrainingState]:
        """Call the hooks before and after a training, new or resumed."""
        with ExitStack() as ends:
            for callback in self.callbacks:
                callback.on_train_begin(self.state)
                ends.callback(callback.on_train_end, self.state)
            checkpoint.restore_callbacks()
            yield self.state

    def begin_epoch(self) -> bool:
        """Call the hooks before an epoch; return whether to train it."""
        state = self.state
        if state.stopped_because is not None or state.epoch >= state.last_epoch:
            return False
        state.epoch += 1
        for callback in self.callbacks:
            callback.on_epoch_begin(state)
        if state.stopped_because is not None:
            state.epoch -= 1
            return False
        return True

    def end_epoch(
        self,
        *,
        loss: float,
        accuracy: float | None,
        samples: int,
        seconds: float,
        learning_rate: float | None,
    ) -> None:
        """Measure the epoch, add it to the history and call the hooks after it."""
        state = self.state
        measured = self._measure()
        state.record = EpochRecord(
            epoch=state.epoch,
            last_epoch=state.last_epoch,
            loss=loss,
            accuracy=accuracy,
            samples=samples,
            seconds=seconds,
            learning_rate=learning_rate,
            validation_loss=measured.loss,
            validation_accuracy=measured.accuracy,
            validation_score=measured.score,
        )
        self._append_history(state.record)
        state.update_best()
        for callback in self.callbacks:
            callback.on_epoch_end(state)

    def _append_history(self, record: EpochRecord) -> None:
        """Count the epoch and add it to the history: both or neither."""
        model = self.state.model
        history, epochs, samples = model.history, model.epochs_done, model.samples_done
        lengths = {name: len(values) for name, values in history.items()}

        def undo() -> None:
            for name, values in history.items():
                del values[lengths.get(name, 0) :]
            model.epochs_done, model.samples_done = epochs, samples

        with all_or_nothing(undo):
            for name in HISTORY:
                value = getattr(record, name)
                if value is not None:
                    history.setdefault(name, []).append(value)
            model.epochs_done = record.epoch
            model.samples_done += record.samples

    def rehearse(self) -> None:
        """Do everything that a measurement does, to measure its time."""
        if self.data.validation is not None:
            self._evaluate(self.data.validation, [])

    def _measure(self) -> _Measured:
        validation = self.data.validation
        if validation is None:
            return _Measured(None, None, None)
        answers: list[IndexArray] = []
        loss, kept = self._evaluate(validation, answers)
        accuracy = score = None
        if validation.are_classes:
            right = np.concatenate(answers) == labels_of(validation.measured_targets)
            accuracy = int(np.count_nonzero(right)) / len(right)
        if validation.score is not None:
            score = float(validation.score(kept))
        return _Measured(loss, accuracy, score)

    def _evaluate(
        self, validation: Validation, answers: list[IndexArray]
    ) -> tuple[float, npt.NDArray[Any]]:
        """Return the loss and the input of the score; add the largest outputs to `answers`."""

        def keep(outputs: FloatArray) -> npt.NDArray[Any]:
            if validation.are_classes:
                answers.append(outputs.argmax(axis=1))
            return nothing(outputs) if validation.keep is None else validation.keep(outputs)

        data = validation.x, validation.t, validation.weights
        loss, kept = self.state.model.evaluate(
            *data, self._outputs, keep=keep, rows=validation.rows
        )
        return loss, kept if self._outputs is None else self._outputs


class _Measured(NamedTuple):
    """Measurements on the validation data."""

    loss: float | None
    accuracy: float | None
    score: float | None


def missing_measurements(data: TrainingData) -> dict[str, str]:
    """Return, for each value that is not measured, what is missing to measure it."""
    validation = data.validation
    needs = {
        "accuracy": (data.are_classes, "targets that are classes, one output for each"),
        "validation_loss": (validation is not None, "validation data"),
        "validation_accuracy": (
            validation is not None and validation.are_classes,
            "validation data whose targets are classes, one output for each",
        ),
        "validation_score": (
            validation is not None and validation.score is not None,
            "validation data and a score",
        ),
    }
    return {name: needed for name, (is_there, needed) in needs.items() if not is_there}
