"""Plots of a trained network, in the style of scikit-learn's displays.

Matplotlib is imported only when something is drawn.
"""

from __future__ import annotations

from .confusion import ConfusionDisplay
from .functions import plot_confusion, plot_history, plot_predictions, plot_weights
from .history import HistoryDisplay
from .methods import Plots
from .predictions import PredictionDisplay
from .weights import WeightsDisplay

__all__ = [
    "ConfusionDisplay",
    "HistoryDisplay",
    "Plots",
    "PredictionDisplay",
    "WeightsDisplay",
    "plot_confusion",
    "plot_history",
    "plot_predictions",
    "plot_weights",
]
