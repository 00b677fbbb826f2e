"""Pictures of what a network learned, as scikit-learn's displays; matplotlib draws them.

Matplotlib is imported when something is drawn, and not before.
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
