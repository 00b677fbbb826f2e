"""Mean and standard deviation of features; constant columns are recognized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Moments", "is_constant", "offset_and_scale"]

# Values of one column that lie within this many machine epsilons of each other (relative to the
# largest of them) differ by rounding alone.
_ROUNDINGS = 4
# Values converted to float64 at a time.
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
        Dtype of the values, for their rounding error. Integers are exact.
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
    A column that is constant up to rounding has the scale 1. Its deviation is only rounding error,
    and dividing by it would amplify tiny changes in predictions.

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
    # Scaling by a power of two is exact, and keeps the squares from overflow and underflow.
    _, exponent = np.frexp(np.maximum(np.abs(least), np.abs(largest)))
    block = np.ldexp(values.astype(np.float64), -exponent)
    mean = block.mean(axis=0)
    block -= mean
    _, spread = np.frexp(np.abs(block).max(axis=0))
    deviation = np.sqrt((np.ldexp(block, -spread) ** 2).mean(axis=0))
    constant = is_constant(least, largest, values.dtype)
    scale = np.where(constant, 1.0, np.ldexp(deviation, exponent + spread))
    # A subnormal deviation may round to 0.
    return np.where(constant, least, np.ldexp(mean, exponent)), np.where(scale > 0, scale, 1.0)


@dataclass(frozen=True, eq=False)
class Moments:
    """Running moments, to compute offset and scale from rows that arrive in parts.

    Attributes
    ----------
    count : int
        Rows so far, at least 1.
    mean, squares : (n_features,) float64 arrays
        The mean, and the sum of the squared deviations from it.
    least, largest : (n_features,) float64 arrays
    dtype : numpy.dtype
        Of the values: how finely they are rounded.
    """

    count: int
    mean: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    least: npt.NDArray[np.float64]
    largest: npt.NDArray[np.float64]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, rows: npt.NDArray[Any]) -> Moments:
        """Return the moments of some rows, (n, n_features) of finite numbers."""
        values = rows.astype(np.float64)
        mean = values.mean(axis=0)
        least, largest = values.min(axis=0), values.max(axis=0)
        # Overflow is handled in `offset_and_scale`.
        with np.errstate(over="ignore"):
            squares = ((values - mean) ** 2).sum(axis=0)
        return cls(len(rows), mean, squares, least, largest, rows.dtype)

    def joined(self, other: Moments) -> Moments:
        """Return the moments of the rows of both (Chan, Golub and LeVeque, 1979)."""
        count = self.count + other.count
        with np.errstate(over="ignore"):
            apart = other.mean - self.mean
            mean = self.mean + apart * (other.count / count)
            between = apart**2 * (self.count * (other.count / count))
            squares = self.squares + other.squares + between
        return Moments(
            count,
            mean,
            squares,
            np.minimum(self.least, other.least),
            np.maximum(self.largest, other.largest),
            max(self.dtype, other.dtype, key=lambda one: one.itemsize),
        )

    def offset_and_scale(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the same as the function `offset_and_scale` for all rows, up to rounding.

        A feature whose squares overflow is divided by its largest magnitude.
        """
        constant = is_constant(self.least, self.largest, self.dtype)
        deviation = np.sqrt(self.squares / self.count)
        farthest = np.maximum(np.abs(self.least), np.abs(self.largest))
        scale = np.where(np.isfinite(deviation), deviation, farthest)
        scale = np.where(constant | (scale <= 0), 1.0, scale)
        mean = np.where(np.isfinite(self.mean), self.mean, self.least / 2 + self.largest / 2)
        return np.where(constant, self.least, mean), scale
