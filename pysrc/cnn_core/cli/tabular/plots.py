"""Pictures of a regression: predictions against the truth, and what is left between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnn_core.cli.plots import FAINT, MEASURED, TRAIN, as_it_is, new_figure, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnn_core.cli.tabular.result import Array, NumberResult

__all__ = ["plot_predicted", "plot_residuals"]

# More points than these only hide each other.
_MOST_POINTS = 20_000
_ALPHA_POINTS = 2_000


def plot_predicted(path: Path, result: NumberResult, title: str, name: str) -> None:
    """Draw predictions against the truth, with the line on which they would be right.

    Parameters
    ----------
    path : pathlib.Path
        PNG to write, 1200 pixels wide.
    result : NumberResult
    title : str
    name : str
        Of the target.
    """
    with new_figure(path, height=9.2) as figure:
        figure.suptitle(as_it_is(title), fontsize=12)
        axes = figure.subplots()
        ends = _ends(np.concatenate([result.truth, result.predicted]))
        axes.plot(ends, ends, color=FAINT, linestyle="--", label="prediction = truth")
        shown = _shown(len(result.truth))
        if result.intervals is not None:
            low, high = result.intervals[shown].T
            axes.vlines(
                result.truth[shown],
                low,
                high,
                color=TRAIN,
                alpha=0.15,
                label=f"intervals of {result.coverage:.0%}",
            )
        _points(axes, result.truth[shown], result.predicted[shown])
        axes.set_xlim(*ends)
        axes.set_ylim(*ends)
        axes.set_aspect("equal")
        axes.set_xlabel(f"true {shortened(name, 40)}")
        axes.set_ylabel(f"predicted {shortened(name, 40)}")
        axes.legend(loc="upper left")


def plot_residuals(path: Path, result: NumberResult, title: str, name: str) -> None:
    """Draw how far each prediction is from the truth, and how often each distance occurs.

    Parameters
    ----------
    path : pathlib.Path
        PNG to write, 1200 pixels wide.
    result : NumberResult
    title : str
    name : str
        Of the target.
    """
    residuals = result.truth - result.predicted
    with new_figure(path, height=5.2) as figure:
        figure.suptitle(as_it_is(title), fontsize=12)
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        shown = _shown(len(residuals))
        left.axhline(0, color=FAINT, linestyle="--")
        _points(left, result.predicted[shown], residuals[shown])
        left.set_xlabel(f"predicted {shortened(name, 40)}")
        left.set_ylabel("true minus predicted")
        right.hist(residuals, bins=40, orientation="horizontal", color=TRAIN)
        right.axhline(0, color=FAINT, linestyle="--")
        right.set_xlabel("rows")


def _points(axes: Axes, x: Array, y: Array) -> None:
    many = len(x) > _ALPHA_POINTS
    axes.plot(
        x,
        y,
        "o",
        color=MEASURED,
        markersize=3 if many else 4,
        alpha=0.3 if many else 0.7,
        markeredgewidth=0,
    )


def _shown(count: int) -> Array:
    """Return the positions of the rows that are drawn: all, or evenly spread ones."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).astype(np.intp))


def _ends(values: Array) -> tuple[float, float]:
    least, most = float(values.min()), float(values.max())
    beside = 0.03 * (most - least) or 1.0
    return least - beside, most + beside
