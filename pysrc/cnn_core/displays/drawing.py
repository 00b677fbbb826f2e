"""Shared helpers of the displays: colours, figures, and the network of an estimator."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["FAINT", "INK", "MEASURED", "STYLE", "TRAIN", "network_of", "new_axes", "styled"]

# Distinguishable for colour-blind readers; no information is in colour alone.
TRAIN, MEASURED = "#0072B2", "#D55E00"
INK, FAINT = "#222222", "#777777"

STYLE: dict[str, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "axes.axisbelow": True,
    "legend.frameon": False,
    # Dollar signs in a class name are not mathematics.
    "text.parse_math": False,
}


@contextmanager
def styled() -> Iterator[Any]:
    """Yield ``matplotlib.pyplot``, with the style of the displays inside the block.

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message says how to install it.
    """
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ImportError(
            'drawing needs matplotlib, which is not installed: pip install "cnn-core[app]"'
        ) from error
    # Not an rc_context, which would undo settings that a notebook makes with its first figure.
    settings: Any = pyplot.rcParams
    before = {name: settings[name] for name in STYLE}
    settings.update(STYLE)
    try:
        yield pyplot
    finally:
        settings.update(before)


def new_axes(pyplot: Any, ax: Any, count: int, size: tuple[float, float]) -> list[Any]:
    """Return `count` axes: the given ones, or those of a new figure side by side.

    Raises
    ------
    ValueError
        If another number of axes was given.
    """
    if ax is None:
        _, drawn = pyplot.subplots(1, count, figsize=size, layout="constrained", squeeze=False)
        return list(drawn[0])
    given = list(ax) if hasattr(ax, "__iter__") else [ax]
    if len(given) != count:
        raise ValueError(f"ax: expected {count} of matplotlib's axes, found {len(given)}")
    return given


def network_of(estimator: Any) -> Any:
    """Return the `cnn_core.Model` of an estimator that has one.

    Raises
    ------
    TypeError
        For anything else, and an estimator that is not fitted.
    """
    owned = (getattr(estimator, name, None) for name in ("model_", "model"))
    for candidate in (estimator, *owned):
        if hasattr(candidate, "predicting_layers") and hasattr(candidate, "history"):
            return candidate
    raise TypeError(
        "estimator: expected a fitted one with a network, such as MLPClassifier, NN or Model, "
        f"found {type(estimator).__name__}"
    )
