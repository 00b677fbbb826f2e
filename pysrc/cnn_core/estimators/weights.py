"""Check sample weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnn_core.arrays import as_finite, as_numbers, require_weights
from cnn_core.network import FloatArray


def as_weights(
    values: Any, n_samples: int, dtype: np.dtype[Any], name: str = "sample_weight"
) -> FloatArray | None:
    """Return the weights of samples as an array (n_samples,) of `dtype`; None stays None.

    Parameters
    ----------
    values : array-like (n_samples,), number or None
    n_samples : int
    dtype : dtype of float32 or float64
    name : str
        Name of the argument, for errors.

    Raises
    ------
    TypeError
        For values that are not real numbers.
    ValueError
        For another shape, a weight below 0 or not finite, and if all of them are zero.
    """
    if values is None:
        return None
    array = as_numbers(values, name)
    if array.ndim == 0:
        array = np.full(n_samples, array)
    if array.shape != (n_samples,):
        raise ValueError(
            f"{name}: expected one weight for each of the {n_samples} samples, "
            f"({n_samples},), found the shape {array.shape}"
        )
    weights = as_finite(array, dtype, name)
    require_weights(weights, name)
    require_weight(weights, name)
    return weights


def require_weight(weights: FloatArray, name: str = "sample_weight") -> None:
    """Refuse weights that are all 0.

    Raises
    ------
    ValueError
        If they are.
    """
    if not weights.any():
        raise ValueError(f"{name}: expected at least one weight above 0, found all of them zero")
