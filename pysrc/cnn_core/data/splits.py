"""Stratified splits of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["shuffled_by_class"]

_SEED = 0


def shuffled_by_class(y: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return indices of samples class by class, shuffled within each with a fixed seed.

    Every k-th of them is a stratified sample.

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
    # RandomState, unlike Generator, gives the same numbers in every version of NumPy.
    shuffled = np.random.RandomState(_SEED).permutation(len(y))
    positions: npt.NDArray[np.intp] = shuffled[np.argsort(y[shuffled], kind="stable")]
    return positions
