"""Plot predicted numbers over true values."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.displays.drawing import FAINT, TRAIN, new_axes, styled

__all__ = ["PredictionDisplay"]

Array = npt.NDArray[Any]


class PredictionDisplay:
    """Predictions of a regression over the truth, and the residuals over the predictions.

    Made by `from_estimator` or `from_predictions`, which draw it; `plot` draws it again.

    Parameters
    ----------
    y_true, y_pred : array, (n,)

    Attributes
    ----------
    ax_ : list of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> from cnn_core import PredictionDisplay
    >>> shown = PredictionDisplay.from_predictions([1.0, 2.0, 3.0], [1.1, 1.9, 3.2])
    >>> [axes.get_title() for axes in shown.ax_]
    ['predictions', 'residuals']
    """

    def __init__(self, y_true: Array, y_pred: Array) -> None:
        self.y_true = y_true
        self.y_pred = y_pred

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Any = None) -> PredictionDisplay:
        """Draw the predictions of a fitted estimator of numbers.

        Parameters
        ----------
        estimator : object
            With `predict`.
        X : array, (n, features)
        y : array, (n,)
        ax : list of two matplotlib.axes.Axes, optional

        Raises
        ------
        ValueError
            As for `from_predictions`.
        """
        return cls.from_predictions(y, estimator.predict(X), ax=ax)

    @classmethod
    def from_predictions(cls, y_true: Any, y_pred: Any, *, ax: Any = None) -> PredictionDisplay:
        """Draw predictions.

        Parameters
        ----------
        y_true, y_pred : array, (n,) or (n, 1)
        ax : list of two matplotlib.axes.Axes, optional

        Raises
        ------
        ValueError
            If the lengths differ, or there are no samples.
        """
        truth, predicted = (np.asarray(y, np.float64) for y in (y_true, y_pred))
        if truth.size != len(truth) or predicted.size != truth.size or not truth.size:
            raise ValueError(
                "y_true, y_pred: expected as many numbers of each, at least one, found the shapes "
                f"{truth.shape} and {predicted.shape}"
            )
        return cls(truth.ravel(), predicted.ravel()).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> PredictionDisplay:
        """Draw it, and return it.

        Parameters
        ----------
        ax : list of two matplotlib.axes.Axes, optional
        """
        dots: dict[str, Any] = {"s": 14, "alpha": 0.5, "linewidth": 0, "color": TRAIN}
        guide: dict[str, Any] = {"color": FAINT, "linestyle": "--", "linewidth": 1}
        with styled() as pyplot:
            self.ax_ = new_axes(pyplot, ax, 2, (8.4, 3.6))
            left, right = self.ax_
            left.scatter(self.y_true, self.y_pred, **dots)
            left.axline((self.y_true[0], self.y_true[0]), slope=1, **guide)
            left.set(xlabel="true", ylabel="predicted", title="predictions")
            right.scatter(self.y_pred, self.y_true - self.y_pred, **dots)
            right.axhline(0, **guide)
            right.set(xlabel="predicted", ylabel="true less predicted", title="residuals")
            self.figure_ = left.figure
        return self
