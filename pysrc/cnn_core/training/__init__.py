"""Training: its input, its state, and the loop over the epochs."""

from __future__ import annotations

from cnn_core.training.batches import shuffled_order
from cnn_core.training.divergence import EXPLODED, DivergenceError
from cnn_core.training.loop import train
from cnn_core.training.session import Session, TrainingCheckpoint
from cnn_core.training.state import (
    HISTORY,
    INTERRUPTED,
    MONITORED,
    EpochRecord,
    Recipe,
    Trainable,
    TrainingData,
    TrainingState,
    Validation,
    require_monitored,
)

__all__ = [
    "EXPLODED",
    "HISTORY",
    "INTERRUPTED",
    "MONITORED",
    "DivergenceError",
    "EpochRecord",
    "Recipe",
    "Session",
    "Trainable",
    "TrainingCheckpoint",
    "TrainingData",
    "TrainingState",
    "Validation",
    "require_monitored",
    "shuffled_order",
    "train",
]
