"""Checks of a checkpoint against the training that resumes from it.

A checksum shows that a file is undamaged, not who wrote it. All checks come before anything of the
training changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnn_core.training.snapshot import ModelState, check_arrays, layout_of
from cnn_core.training.state import EpochRecord, TrainingState
from cnn_core.validation import flag, measured, number, positive, text, whole


def check_model(found: ModelState, state: TrainingState, seed: int) -> None:
    """Check that the model in a file can replace the model in training.

    Raises
    ------
    TypeError, ValueError
        If it cannot.
    """
    model = state.model
    if found.network != model.network or found.dtype != model.dtype:
        raise ValueError("another network than that of its training")
    if found.seed != seed:
        raise ValueError(f"the seeds {found.seed} and {seed}")
    whole("epochs_done", found.epochs_done, model.epochs_done, state.last_epoch)
    done = found.epochs_done - model.epochs_done
    if done and not found.is_finite():
        raise ValueError("weights that are not finite")
    curve = found.history.get(state.recipe.monitor, [])
    if len(curve) < done:
        raise ValueError(f"{len(curve)} values of {state.recipe.monitor} for {done} epochs")


def check_state(values: dict[str, Any], found: ModelState, state: TrainingState) -> None:
    """Check that a state is possible for this training after its number of epochs.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is not.
    """
    positive("learning_rate", values["learning_rate"])
    flag("converged", values["converged"])
    if values["stopped_because"] is not None:
        text("stopped_because", values["stopped_because"])
    if values["best_epoch"] is not None:
        whole("best_epoch", values["best_epoch"], state.model.epochs_done + 1, found.epochs_done)
    measured("best_value", values["best_value"], optional=True)
    measured("_least", values["_least"])


def record_in(values: Any, found: ModelState, state: TrainingState) -> EpochRecord | None:
    """Return the record of the last epoch; None if there was none.

    Raises
    ------
    TypeError, ValueError
        If it does not belong to the epoch of the file.
    """
    if values is None:
        whole("epochs without a record", found.epochs_done, 0, state.model.epochs_done)
        return None
    record = EpochRecord(**values)
    whole("epoch", record.epoch, found.epochs_done, found.epochs_done)
    whole("last_epoch", record.last_epoch, state.last_epoch, state.last_epoch)
    whole("samples", record.samples, 0)
    number("loss", record.loss)
    number("seconds", record.seconds)
    for name in ("accuracy", "validation_loss", "validation_accuracy", "validation_score"):
        measured(name, getattr(record, name), optional=True)
    measured("learning_rate", record.learning_rate, optional=True)
    return record


def check_progress(
    progress: dict[str, Any], found: ModelState, state: TrainingState, steps_of_epoch: int
) -> None:
    """Check that the progress of a training fits its number of epochs.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it does not.
    """
    most = (found.epochs_done - state.model.epochs_done) * steps_of_epoch
    limit = state.recipe.max_steps
    most = most if limit is None else min(most, limit)
    # A training with a time budget may end within an epoch.
    whole("steps", progress["steps"], 0 if state.recipe.time_budget else most, most)
    if number("seconds", progress["seconds"]) < 0:
        raise ValueError(f"seconds: expected at least 0, found {progress['seconds']}")
    guard = progress["guard"]
    number("largest", guard["largest"])
    flag("is_first", guard["is_first"])
    if guard["kept"] or most:
        check_arrays("kept", guard["kept"], layout_of(state.model.weights()))
        if not all(np.isfinite(array).all() for array in guard["kept"].values()):
            raise ValueError("kept: weights that are not finite")


def check_end(finished: Any, stopped_because: Any, found: ModelState, state: TrainingState) -> None:
    """Check that a training marked as finished has reached its end.

    Raises
    ------
    TypeError, ValueError
        If it has not.
    """
    flag("finished", finished)
    if finished and stopped_because is None:
        whole("epochs of a finished training", found.epochs_done, state.last_epoch)


def curve_in(name: str, value: Any) -> list[float]:
    """Return the values of a curve.

    Raises
    ------
    TypeError, ValueError
        For anything but an array of rank 1.
    """
    if not isinstance(value, np.ndarray) or value.ndim != 1:
        raise TypeError(f"{name}: expected a number for each epoch")
    return list(value.tolist())
