"""The learning-rate finder, which `cnn_core.training.lr_finder` defines."""

from __future__ import annotations

from cnn_core.training.lr_finder import LearningRates, find_learning_rate

__all__ = ["LearningRates", "find_learning_rate"]
