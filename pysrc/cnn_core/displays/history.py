"""The learning curves of a training."""

from __future__ import annotations

from typing import Any

from cnn_core.displays.drawing import FAINT, MEASURED, TRAIN, network_of, new_axes, styled

__all__ = ["HistoryDisplay"]

_DOTS = 40


class HistoryDisplay:
    """Loss and score over the epochs.

    Made by `from_estimator` or `from_history`, which draw it; `plot` draws it again.

    Parameters
    ----------
    history : dict of str to list of float
        ``loss`` and, if they were measured, ``accuracy``, ``validation_loss``,
        ``validation_accuracy`` or ``validation_score``: a value for each epoch.

    Attributes
    ----------
    ax_ : list of matplotlib.axes.Axes
        The loss, and the score if there is one.
    figure_ : matplotlib.figure.Figure
    lines_ : list of matplotlib.lines.Line2D

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> from cnn_core import HistoryDisplay
    >>> shown = HistoryDisplay.from_history({"loss": [2.0, 1.0], "validation_loss": [2.1, 1.5]})
    >>> [line.get_label() for line in shown.lines_]
    ['training', 'validation']
    """

    def __init__(self, history: dict[str, list[float]]) -> None:
        self.history = history

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> HistoryDisplay:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : MLPClassifier, MLPRegressor, NN or Model
        ax : matplotlib.axes.Axes or list of them, optional
            Where to draw: one for the loss, and one for the score if there is one.

        Raises
        ------
        TypeError
            For anything without a history.
        ValueError
            If nothing was trained, or for another number of axes.
        """
        history = dict(network_of(estimator).history)
        # The default score of a classifier is its accuracy.
        is_accuracy = hasattr(estimator, "classes_") and getattr(estimator, "scoring", "") is None
        if is_accuracy and "validation_score" in history:
            history["validation_accuracy"] = history.pop("validation_score")
        return cls.from_history(history, ax=ax)

    @classmethod
    def from_history(cls, history: dict[str, list[float]], *, ax: Any = None) -> HistoryDisplay:
        """Draw a history.

        Parameters
        ----------
        history : dict of str to list of float
        ax : matplotlib.axes.Axes or list of them, optional

        Raises
        ------
        ValueError
            If it has no epoch, or for another number of axes.
        """
        return cls(history).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> HistoryDisplay:
        """Draw it, and return it.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or list of them, optional
        """
        if not self.history.get("loss"):
            raise ValueError("history: expected at least one epoch with a loss, found none")
        quantities = [("loss", "loss")]
        if any(name.endswith("accuracy") and self.history[name] for name in self.history):
            quantities.append(("accuracy", "accuracy"))
        elif self.history.get("validation_score"):
            quantities.append(("score", "score"))
        with styled() as pyplot:
            size = (4.4 * len(quantities), 3.2)
            self.ax_ = new_axes(pyplot, ax, len(quantities), size)
            self.lines_: list[Any] = []
            for axes, (quantity, title) in zip(self.ax_, quantities, strict=True):
                self._draw(axes, quantity)
                axes.set_title(title)
            self.figure_ = self.ax_[0].figure
        return self

    def _draw(self, axes: Any, quantity: str) -> None:
        from matplotlib.ticker import MaxNLocator

        lines = (
            (quantity, "training", TRAIN, "-"),
            (f"validation_{quantity}", "validation", MEASURED, "--"),
        )
        for key, label, colour, style in lines:
            values = self.history.get(key)
            if values:
                marker = "o" if len(values) <= _DOTS else ""
                self.lines_ += axes.plot(
                    range(1, len(values) + 1),
                    values,
                    style,
                    marker=marker,
                    markersize=3.5,
                    color=colour,
                    label=label,
                )
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.tick_params(colors=FAINT, labelcolor="black")
        axes.legend()
