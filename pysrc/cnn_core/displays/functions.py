"""The displays as functions."""

from __future__ import annotations

from typing import Any

from cnn_core.displays.confusion import ConfusionDisplay
from cnn_core.displays.history import HistoryDisplay
from cnn_core.displays.predictions import PredictionDisplay
from cnn_core.displays.weights import WeightsDisplay

__all__ = ["plot_confusion", "plot_history", "plot_predictions", "plot_weights"]


def plot_history(estimator: Any, *, ax: Any = None) -> HistoryDisplay:
    """Draw loss and score over the epochs; see `HistoryDisplay.from_estimator`.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import numpy as np
    >>> from cnn_core import NN, plot_history
    >>> X, labels = np.eye(4), np.array([0, 1, 0, 1])
    >>> len(plot_history(NN(4, 8, 2, 1.0, 3, seed=0).fit(X, labels)).ax_)  # loss and accuracy
    2
    """
    return HistoryDisplay.from_estimator(estimator, ax=ax)


def plot_confusion(
    estimator: Any, X: Any, y: Any, *, display_labels: Any = None, ax: Any = None
) -> ConfusionDisplay:
    """Draw the confusion matrix on samples; see `ConfusionDisplay.from_estimator`.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import numpy as np
    >>> from cnn_core import NN, plot_confusion
    >>> X, labels = np.eye(4), np.array([0, 1, 0, 1])
    >>> net = NN(4, 8, 2, 5.0, 200, batch_size=4, seed=0).fit(X, labels)
    >>> plot_confusion(net, X, labels).confusion
    array([[2, 0],
           [0, 2]])
    """
    return ConfusionDisplay.from_estimator(estimator, X, y, display_labels=display_labels, ax=ax)


def plot_predictions(estimator: Any, X: Any, y: Any, *, ax: Any = None) -> PredictionDisplay:
    """Draw predicted numbers beside true ones; see `PredictionDisplay.from_estimator`.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import numpy as np
    >>> from cnn_core import MLPRegressor, plot_predictions
    >>> X = np.linspace(-1, 1, 50)[:, np.newaxis]
    >>> model = MLPRegressor(schedule="one_cycle", max_iter=5, random_state=0).fit(X, X[:, 0])
    >>> len(plot_predictions(model, X, X[:, 0]).ax_)
    2
    """
    return PredictionDisplay.from_estimator(estimator, X, y, ax=ax)


def plot_weights(
    estimator: Any, *, image_shape: tuple[int, ...] | None = None, n_units: int = 32
) -> WeightsDisplay:
    """Draw the weights of the first layer as images; see `WeightsDisplay.from_estimator`.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> from cnn_core import NN, plot_weights
    >>> len(plot_weights(NN(64, 10, 2, 1.0, 1, seed=0)).ax_)
    10
    """
    return WeightsDisplay.from_estimator(estimator, image_shape=image_shape, n_units=n_units)
