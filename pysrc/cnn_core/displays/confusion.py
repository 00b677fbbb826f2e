"""The confusion matrix of a classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.displays.drawing import INK, new_axes, styled

__all__ = ["ConfusionDisplay"]

_WITH_NUMBERS = 20
_WITH_NAMES = 60


class ConfusionDisplay:
    """A confusion matrix: colours are shares of the true class, numbers are counts.

    Made by `from_estimator` or `from_predictions`, which draw it; `plot` draws it again.

    Parameters
    ----------
    confusion : array, (classes, classes)
        Counts by true class (row) and predicted class (column).
    display_labels : sequence of str
        The names of the classes.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    im_ : matplotlib.image.AxesImage

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> from cnn_core import ConfusionDisplay
    >>> shown = ConfusionDisplay.from_predictions(["a", "a", "b"], ["a", "b", "b"])
    >>> shown.confusion
    array([[1, 1],
           [0, 1]])
    """

    def __init__(self, confusion: npt.NDArray[np.intp], display_labels: Any) -> None:
        self.confusion = confusion
        self.display_labels = [str(label) for label in display_labels]

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, display_labels: Any = None, ax: Any = None
    ) -> ConfusionDisplay:
        """Draw the confusion matrix of a fitted classifier on samples with known classes.

        Parameters
        ----------
        estimator : object
            Has `predict`. For `NN` and `Model` the class is the index of the largest output.
        X : array, (n, features)
        y : array, (n,)
        display_labels : sequence of str, optional
        ax : matplotlib.axes.Axes, optional

        Raises
        ------
        ValueError
            As for `from_predictions`.
        """
        predicted = np.asarray(estimator.predict(X))
        if predicted.ndim == 2:
            predicted = predicted.argmax(axis=1)
        return cls.from_predictions(y, predicted, display_labels=display_labels, ax=ax)

    @classmethod
    def from_predictions(
        cls, y_true: Any, y_pred: Any, *, display_labels: Any = None, ax: Any = None
    ) -> ConfusionDisplay:
        """Draw the confusion matrix of predictions.

        Parameters
        ----------
        y_true, y_pred : array, (n,)
        display_labels : sequence of str, optional
            The names of the classes in their order; by default the classes themselves.
        ax : matplotlib.axes.Axes, optional

        Raises
        ------
        ValueError
            If the lengths differ, there are no samples, or the numbers of names and classes differ.
        """
        truth, predicted = np.asarray(y_true), np.asarray(y_pred)
        if truth.ndim != 1 or truth.shape != predicted.shape or not truth.size:
            raise ValueError(
                "y_true, y_pred: expected as many classes of each, at least one, found the shapes "
                f"{truth.shape} and {predicted.shape}"
            )
        classes, numbers = np.unique(np.concatenate([truth, predicted]), return_inverse=True)
        rows, columns = numbers[: len(truth)], numbers[len(truth) :]
        if display_labels is not None and len(display_labels) != len(classes):
            raise ValueError(
                f"display_labels: expected {len(classes)} names, found {len(display_labels)}"
            )
        confusion = np.zeros((len(classes), len(classes)), np.intp)
        np.add.at(confusion, (rows, columns), 1)
        return cls(confusion, classes if display_labels is None else display_labels).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> ConfusionDisplay:
        """Draw it, and return it.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
        """
        count = len(self.confusion)
        shares = self.confusion / np.maximum(self.confusion.sum(axis=1, keepdims=True), 1)
        size = min(max(3.2, 1.6 + 0.5 * count), 9.0)
        with styled() as pyplot:
            (self.ax_,) = new_axes(pyplot, ax, 1, (size, size))
            self.im_ = self.ax_.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            self.ax_.grid(False)
            self.ax_.spines[:].set_visible(False)
            self.ax_.tick_params(length=0)
            self.ax_.set(xlabel="predicted", ylabel="true")
            if count <= _WITH_NAMES:
                turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
                is_short = max(map(len, self.display_labels)) <= 2
                self.ax_.set_xticks(
                    range(count), self.display_labels, **({} if is_short else turned)
                )
                self.ax_.set_yticks(range(count), self.display_labels)
            if count <= _WITH_NUMBERS:
                self._annotate(shares)
            self.figure_ = self.ax_.figure
        return self

    def _annotate(self, shares: npt.NDArray[np.float64]) -> None:
        """Write the counts into the cells, light on dark ones; leave zeros out."""
        for (row, column), number in np.ndenumerate(self.confusion):
            if number:
                self.ax_.text(
                    column,
                    row,
                    str(number),
                    ha="center",
                    va="center",
                    fontsize=9 if len(self.confusion) <= 12 else 7,
                    color="white" if shares[row, column] > 0.5 else INK,
                    fontweight="bold" if row == column else "normal",
                )
