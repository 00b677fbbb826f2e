"""Permutation importance of the columns of a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.pages.contents import Importance

__all__ = ["largest", "permutation_importance"]

Array = npt.NDArray[Any]

_REPEATS = 5
_MOST_ROWS = 1_000
_MOST_COLUMNS = 200
_SHOWN = 20


def permutation_importance(
    x: Array, y: Array, names: tuple[str, ...], loss: Callable[[Array, Array], float]
) -> Importance | None:
    """Return the increase of the loss if a column is shuffled (Breiman, "Random forests", 2001).

    Parameters
    ----------
    x : numpy.ndarray, (n, columns)
        The first 1,000 rows are used.
    y : numpy.ndarray, (n,)
    names : tuple of str
    loss : callable
        Gives the loss of the predictions for `x`, given `y`.

    Returns
    -------
    Importance or None
        None for more than 200 columns.
    """
    x, y = x[:_MOST_ROWS], y[:_MOST_ROWS]
    if x.shape[1] > _MOST_COLUMNS or len(x) < 2:
        return None
    random = np.random.default_rng(0)
    usual = loss(x, y)
    rises = np.zeros((x.shape[1], _REPEATS))
    for column in range(x.shape[1]):
        shuffled = x.copy()
        for repeat in range(_REPEATS):
            shuffled[:, column] = random.permutation(x[:, column])
            rises[column, repeat] = loss(shuffled, y) - usual
    return largest(names, rises.mean(axis=1), rises.std(axis=1))


def largest(names: tuple[str, ...], means: Array, deviations: Array) -> Importance:
    """Return the most important columns, in decreasing order."""
    order = np.argsort(-means, kind="stable")[:_SHOWN].tolist()
    return Importance(
        tuple(names[column] for column in order),
        tuple(float(means[column]) for column in order),
        tuple(float(deviations[column]) for column in order),
        len(names),
    )
