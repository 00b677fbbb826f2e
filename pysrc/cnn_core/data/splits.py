"""Splits of samples into parts in which every class has its share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["shuffled_by_class"]

_SEED = 0


def shuffled_by_class(y: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the positions of samples class by class, shuffled within each, the same way each time.

    Taking every k-th of them takes the same share of each class.

    Parameters
    ----------
    y : (n,) array of int
        The class of each sample.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([1, 0, 1, 0, 1])
    >>> y[shuffled_by_class(y)]
    array([0, 0, 1, 1, 1])
    """
    # RandomState, unlike Generator, promises the same numbers in every version of NumPy.
    shuffled = np.random.RandomState(_SEED).permutation(len(y))
    positions: npt.NDArray[np.intp] = shuffled[np.argsort(y[shuffled], kind="stable")]
    return positions
