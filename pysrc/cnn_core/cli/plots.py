"""The plots of a run, drawn by matplotlib without a display or global state.

The colours (blue, vermilion) are distinguishable for colour-blind readers, and no information is in
colour alone: a wrong prediction is red and also shows the true class.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import one_line
from cnn_core.displays.drawing import FAINT, INK, MEASURED, STYLE, TRAIN
from cnn_core.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FAINT",
    "MEASURED",
    "TRAIN",
    "as_it_is",
    "new_figure",
    "plot_confusion",
    "plot_curves",
    "plot_gallery",
    "shortened",
]

Array = npt.NDArray[Any]

WIDTH_PIXELS = 1200
_DPI = 120
_WIDTH = WIDTH_PIXELS / _DPI

_WRONG = "#C00000"

_STYLE: dict[str, Any] = {
    **STYLE,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
}

_ANNOTATED_CLASSES = 20
_LABELLED_CLASSES = 60
# Upper end of an accuracy axis: no tick above 1, but a line at 1 is visible.
_ABOVE_THE_BEST = 1.005


def plot_curves(
    path: Path,
    history: dict[str, list[float]],
    title: str,
    measured: str,
    *,
    loss: str = "loss",
    kept_epoch: int | None = None,
) -> None:
    """Draw loss and accuracy over the epochs, and a learning rate that changes below them.

    Parameters
    ----------
    path : pathlib.Path
        PNG to write, 1200 pixels wide.
    history : dict of str to list of float
        Values of each epoch; the accuracy of training may be missing.
    title : str
    measured : str
        Kind of the validation data: ``"test"`` or ``"validation"``.
    loss : str
        Title of the plot of losses.
    kept_epoch : int, optional
        Number of the epoch, from 1, whose weights were kept as the best ones; it is marked.
    """
    rates = history.get("learning_rate", [])
    changing = len(set(rates)) > 1
    layout = "AB;CC" if changing else "AB"
    with new_figure(path, height=6.4 if changing else 4.6) as figure:
        figure.suptitle(as_it_is(title), fontsize=12)
        drawn = figure.subplot_mosaic(layout, height_ratios=[3, 1] if changing else [1])
        for place, quantity in (("A", "loss"), ("B", "accuracy")):
            axes = drawn[place]
            _plot_quantity(axes, history, quantity, measured)
            axes.set_title(loss if quantity == "loss" else quantity)
            if quantity == "accuracy":
                axes.set_ylim(top=min(axes.get_ylim()[1], _ABOVE_THE_BEST))
            if kept_epoch is not None:
                axes.axvline(kept_epoch, color=FAINT, linestyle=":", label="the epoch kept")
            axes.legend(loc="best")
        if changing:
            _plot_over_epochs(drawn["C"], rates, "-", color=FAINT)
            drawn["C"].set_title("learning rate, at the end of the epoch")
        if measured == "test":
            figure.supxlabel(
                "The test data are shown, not used: nothing was selected on them.",
                fontsize=9,
                color=FAINT,
            )


def _plot_quantity(
    axes: Axes, history: dict[str, list[float]], quantity: str, measured: str
) -> None:
    lines = (
        (quantity, "training, as seen during the epoch", TRAIN, "-"),
        (f"validation_{quantity}", f"{measured}, after the epoch", MEASURED, "--"),
    )
    for key, label, colour, style in lines:
        if key in history:
            _plot_over_epochs(axes, history[key], style, color=colour, label=label)


def _plot_over_epochs(axes: Axes, values: list[float], style: str, **how: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    marker = "o" if len(values) <= 40 else ""
    axes.plot(np.arange(1, len(values) + 1), values, style, marker=marker, markersize=4, **how)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    # A margin of half an epoch, also if there is only one epoch.
    beside = max(0.5, 0.02 * len(values))
    axes.set_xlim(1 - beside, len(values) + beside)
    axes.margins(y=0.08)


def plot_confusion(path: Path, confusion: Array, class_names: tuple[str, ...], title: str) -> None:
    """Draw a confusion matrix: colours are shares of the true class, numbers are counts.

    Parameters
    ----------
    path : pathlib.Path
        PNG to write, 1200 pixels wide.
    confusion : numpy.ndarray, (classes, classes)
        Counts by true class (row) and predicted class (column).
    class_names : tuple of str
    title : str
    """
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    count = len(class_names)
    with new_figure(path, height=9.2) as figure:
        axes = figure.subplots()
        axes.grid(False)
        axes.spines[:].set_visible(False)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_title(as_it_is(title), fontsize=12)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        if count <= _LABELLED_CLASSES:
            size = 10 if count <= _ANNOTATED_CLASSES else 6
            names = [shortened(name, 16) for name in class_names]
            axes.set_xticks(
                range(count), names, rotation=40, ha="right", rotation_mode="anchor", fontsize=size
            )
            axes.set_yticks(range(count), names, fontsize=size)
        axes.tick_params(length=0)
        if count <= _ANNOTATED_CLASSES:
            _annotate(axes, confusion, shares)
        bar = figure.colorbar(image, ax=axes, shrink=0.6, label="share of the true class")
        bar.outline.set_visible(False)


def _annotate(axes: Axes, confusion: Array, shares: Array) -> None:
    """Write the counts into the cells, light on dark ones; leave zeros out."""
    size = 11 if len(confusion) <= 12 else 8
    for (row, column), number in np.ndenumerate(confusion):
        if number:
            dark = shares[row, column] > 0.5
            axes.text(
                column,
                row,
                f"{number}",
                ha="center",
                va="center",
                fontsize=size,
                color="white" if dark else INK,
                fontweight="bold" if row == column else "normal",
            )


def plot_gallery(
    path: Path,
    images: Array,
    y: Array,
    predicted: Array,
    class_names: tuple[str, ...],
    title: str,
    *,
    rows: int,
    columns: int,
) -> None:
    """Draw images in a grid, each with its predicted class; wrong ones in red, with the true one.

    A line at the bottom says so if there are wrong ones.

    Parameters
    ----------
    path : pathlib.Path
        PNG to write, 1200 pixels wide.
    images : numpy.ndarray, (n, height, width) or (n, height, width, channels)
        Three channels are red, green and blue; of other numbers of them the mean is drawn. The
        first ``rows * columns`` of them are drawn.
    y, predicted : numpy.ndarray, (n,)
        True and predicted classes, as positions in `class_names`.
    class_names : tuple of str
    title : str
    rows, columns : int
    """
    shown = images[: rows * columns]
    largest = max(float(shown.max()), 1e-12)
    if shown.ndim == 4:
        shown = shown / largest if shown.shape[3] == 3 else shown.mean(axis=3)
    aspect = min(max(images.shape[1] / images.shape[2], 0.2), 3.0)
    cell = _WIDTH / columns * 0.9 * aspect + 0.4
    with new_figure(path, height=0.75 + rows * cell) as figure:
        figure.suptitle(as_it_is(title), fontsize=12)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, image, truth, guess in zip(grid, shown, y, predicted, strict=False):
            axes.imshow(image, cmap="gray_r", vmin=0, vmax=largest)
            right = bool(truth == guess)
            lines = (class_names[guess], " " if right else f"({class_names[truth]})")
            for number, text in enumerate(lines, start=1):
                _caption(axes, text, number, right)
        if (y[: len(shown)] != predicted[: len(shown)]).any():
            figure.supxlabel("red: wrong, the true class in brackets", fontsize=9, color=FAINT)


def _caption(axes: Axes, text: str, number: int, right: bool) -> None:
    """Write one of the two lines below an image, at the same height in a row."""
    axes.annotate(
        shortened(text, 15),
        (0.5, 0.0),
        xycoords="axes fraction",
        xytext=(0, -1 - 12 * number),
        textcoords="offset points",
        ha="center",
        va="baseline",
        fontsize=10,
        color=INK if right else _WRONG,
        fontweight="normal" if right else "bold",
    )


@contextmanager
def new_figure(path: Path, height: float) -> Iterator[Figure]:
    """Yield a figure of full width, and write it at the end of the block."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        # The user's settings could make labels overlap; the context restores them.
        matplotlib.rcdefaults()
        settings: Any = matplotlib.rcParams
        settings.update(_STYLE)
        figure = Figure(figsize=(_WIDTH, height), dpi=_DPI)
        FigureCanvasAgg(figure)
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
        yield figure
        atomic_write(
            path,
            lambda stream: figure.savefig(stream, format="png", dpi=_DPI, facecolor="white"),
        )


def shortened(name: str, most: int) -> str:
    """Return a name of at most `most` characters, escaped for Matplotlib."""
    name = one_line(name)
    return as_it_is(name if len(name) <= most else f"{name[: most - 1]}…")


def as_it_is(text: str) -> str:
    """Escape a text so that Matplotlib does not parse formulas."""
    return text.replace("$", r"\$")
