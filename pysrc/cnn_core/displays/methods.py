"""The displays as methods of estimators."""

from __future__ import annotations

from typing import Any, ClassVar

from cnn_core.displays.confusion import ConfusionDisplay
from cnn_core.displays.history import HistoryDisplay
from cnn_core.displays.predictions import PredictionDisplay

__all__ = ["Plots"]


class Plots:
    """Gives an estimator the method `plot`."""

    __slots__ = ()

    # The display for predictions.
    _of_predictions: ClassVar[type[ConfusionDisplay | PredictionDisplay]] = ConfusionDisplay

    def plot(self, X: Any = None, y: Any = None) -> Any:
        """Draw the learning curves, and with samples the predictions for them.

        Classes are shown as a confusion matrix, numbers over the true values.
        `cnn_core.plot_history`, `cnn_core.plot_confusion`, `cnn_core.plot_predictions` and
        `cnn_core.plot_weights` draw one thing each.

        Parameters
        ----------
        X : array, (n, features), optional
        y : array, (n,), optional
            Their classes, or numbers.

        Returns
        -------
        HistoryDisplay, or a pair of it and a ConfusionDisplay or PredictionDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError, ValueError
            If it is not fitted, or `X` is passed without `y`.
        """
        history = HistoryDisplay.from_estimator(self)
        if X is None and y is None:
            return history
        if X is None or y is None:
            raise ValueError("X, y: expected both or neither, found one of them")
        return history, self._of_predictions.from_estimator(self, X, y)
