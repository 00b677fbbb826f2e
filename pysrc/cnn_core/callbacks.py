"""Callbacks, which `cnn_core.training.callbacks` defines."""

from __future__ import annotations

from cnn_core.training.callbacks import (
    Callback,
    CSVLog,
    EarlyStopping,
    OnEpoch,
    PrintEpochs,
    ProgressBar,
    SaveModel,
    TimeBudget,
)

__all__ = [
    "CSVLog",
    "Callback",
    "EarlyStopping",
    "OnEpoch",
    "PrintEpochs",
    "ProgressBar",
    "SaveModel",
    "TimeBudget",
]
