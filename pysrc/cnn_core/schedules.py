"""Schedules, which `cnn_core.training.schedules` defines."""

from __future__ import annotations

from cnn_core.training.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    InverseScaling,
    OneCycle,
    Plateau,
    Rates,
    Schedule,
    StepDecay,
    Steps,
    WarmUp,
    as_schedule,
)

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Exponential",
    "InverseScaling",
    "OneCycle",
    "Plateau",
    "Rates",
    "Schedule",
    "StepDecay",
    "Steps",
    "WarmUp",
    "as_schedule",
]
