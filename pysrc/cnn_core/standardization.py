"""Mean and standard deviation of features; constant columns are recognized."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["is_constant", "offset_and_scale"]

# Values of one column that lie within so many machine epsilons of each other (relative to the
# largest of them) differ by rounding alone.
_ROUNDINGS = 4
# Values converted to float64 together.
_AT_ONCE = 2**20


def is_constant(
    least: npt.NDArray[Any], largest: npt.NDArray[Any], dtype: npt.DTypeLike
) -> npt.NDArray[np.bool_]:
    """Tell for each column whether all its values are equal, up to rounding.

    Parameters
    ----------
    least, largest : (n_features,) arrays
        The extremes of each column, finite.
    dtype : dtype
        Of the values: how finely they are rounded. Whole numbers are exact.
    """
    dtype = np.dtype(dtype)
    epsilon = float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0
    # Halves, because the difference of two finite numbers can overflow.
    low, high = np.asarray(least, np.float64) / 2, np.asarray(largest, np.float64) / 2
    tolerance = _ROUNDINGS * epsilon * np.maximum(np.abs(low), np.abs(high))
    constant: npt.NDArray[np.bool_] = high - low <= tolerance
    return constant


def offset_and_scale(
    rows: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return offset and scale that standardize each feature: ``(x - offset) / scale``.

    The offset is the mean and the scale the standard deviation (divided by the number of samples).
    A constant column, also one that is constant up to rounding, has the scale 1: its deviation is
    only rounding error, and dividing by it would blow up the least change at prediction.

    Parameters
    ----------
    rows : (n, n_features) array of finite real numbers
        At least one sample. Values up to the largest float64 do not overflow.

    Returns
    -------
    offset, scale : (n_features,) float64 arrays
        Every scale is above 0.
    """
    n_features = rows.shape[1]
    offset, scale = np.empty(n_features), np.empty(n_features)
    step = max(1, _AT_ONCE // len(rows))
    for start in range(0, n_features, step):
        columns = slice(start, start + step)
        offset[columns], scale[columns] = _of_block(rows[:, columns])
    return offset, scale


def _of_block(
    values: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    least = values.min(axis=0).astype(np.float64)
    largest = values.max(axis=0).astype(np.float64)
    # By a power of two, which rounds nothing, the squares come neither to infinity nor to 0.
    _, exponent = np.frexp(np.maximum(np.abs(least), np.abs(largest)))
    block = np.ldexp(values.astype(np.float64), -exponent)
    mean = block.mean(axis=0)
    block -= mean
    _, spread = np.frexp(np.abs(block).max(axis=0))
    deviation = np.sqrt((np.ldexp(block, -spread) ** 2).mean(axis=0))
    constant = is_constant(least, largest, values.dtype)
    scale = np.where(constant, 1.0, np.ldexp(deviation, exponent + spread))
    # A deviation among the subnormal numbers may round to 0.
    return np.where(constant, least, np.ldexp(mean, exponent)), np.where(scale > 0, scale, 1.0)
