"""What happens when the loss explodes: the last good weights are restored."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnn_core.backends.interface import Engine
from cnn_core.training.batches import Source
from cnn_core.training.state import Trainable, TrainingState
from cnn_core.types import FloatArray

# A loss so many times that of the first epoch, or of any epoch of an earlier training, has
# exploded, unless it is below 1.
EXPLODED = 1000


class DivergenceError(FloatingPointError, ValueError):
    """The loss exploded or was not finite; the last good weights were restored."""


class DivergenceGuard:
    """Keeps the last good weights, and restores them when a training diverges."""

    def __init__(self, model: Trainable) -> None:
        self._model = model
        # The largest loss of earlier trainings and of this training's first epoch.
        self._largest = max(model.history.get("loss", ()), default=0.0)
        self._is_first = True
        self._newest: dict[str, FloatArray] = {}
        self._older: dict[str, FloatArray] = {}

    def keep(self) -> None:
        """Copy the weights before an epoch."""
        self._newest, self._older = self._older, self._newest
        for name, array in self._model.weights().items():
            if name in self._newest:
                self._newest[name][...] = array
            else:
                self._newest[name] = array.copy()

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint, with the weights before the last epoch."""
        return {"largest": self._largest, "is_first": self._is_first, "kept": self._newest}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the state that `get_state` returned."""
        self._largest = state["largest"]
        self._is_first = state["is_first"]
        self._newest = state["kept"]

    def check(self, engine: Engine, source: Source, loss: float, state: TrainingState) -> None:
        """Check the loss of an epoch.

        Raises
        ------
        DivergenceError
            If the training has diverged.
        """
        if self._is_good(loss) and self._model.is_finite():
            if self._is_first:
                self._largest = max(self._largest, loss)
                self._is_first = False
            return
        happened = self._what_happened(loss)
        kept = state.epoch - 1
        self._model.rollback(self._newest)
        room = np.empty_like(self._model.parameters)
        if self._older and not self._is_good(source.first_loss(engine, room)):
            # The last step of the epoch before caused the divergence.
            kept -= 1
            self._model.rollback(self._older)
        raise DivergenceError(_advice(happened, kept, state))

    def _what_happened(self, loss: float) -> str:
        if not math.isfinite(loss):
            return f"the loss became {loss}"
        if self._model.is_finite():
            return f"the loss grew to {loss:g}"
        return f"the weights have left the range of {self._model.dtype}"

    def _is_good(self, loss: float) -> bool:
        if not math.isfinite(loss):
            return False
        return loss < 1 or not self._largest or loss <= EXPLODED * self._largest


def _advice(happened: str, kept: int, state: TrainingState) -> str:
    """Return the message: what happened, what was done, what to change."""
    if state.recipe.restore_best and state.best_epoch is not None:
        kept = state.best_epoch
    first = state.last_epoch - state.recipe.epochs
    where = f"after epoch {kept}" if kept > first else "before this training"
    return (
        f"{happened} in epoch {state.epoch}; the weights are again those {where}. Train with a "
        f"lower learning rate (it was {state.learning_rate:g}), with inputs scaled to about "
        "[-1, 1], or with a clipped gradient (clip_norm)"
    )
