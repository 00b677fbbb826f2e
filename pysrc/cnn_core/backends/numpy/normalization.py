"""Normalization as the formulas are written, in float64 between what goes in and what comes out.

Pre-activations and their derivatives have the shape (n, units). The formulas stand in
`cnn_core.backends.interface.Kernels`, `normalize` and `normalize_backward`.
"""

from __future__ import annotations

import numpy as np

from cnn_core.network import EPSILON, FloatArray, Normalization

# Of the values that share a mean and a variance.
AXIS: dict[Normalization, int] = {"batch": 0, "layer": 1}


def normalized(normalization: Normalization, u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``(u - mean) * spread``, and the spread with two dimensions."""
    axis = AXIS[normalization]
    centred = u - u.mean(axis=axis, keepdims=True, dtype=np.float64)
    spread = 1 / np.sqrt((centred**2).mean(axis=axis, keepdims=True) + EPSILON)
    return centred * spread, spread


def normalized_backward(
    normalization: Normalization, normal: FloatArray, spread: FloatArray, grad: FloatArray
) -> FloatArray:
    """Return dloss/du from what `normalized` returned and dloss/dnormal."""
    axis = AXIS[normalization]
    spread = np.expand_dims(spread, axis)
    mean = grad.mean(axis=axis, keepdims=True, dtype=np.float64)
    product = (grad * normal).mean(axis=axis, keepdims=True, dtype=np.float64)
    out: FloatArray = spread * (grad - mean - normal * product)
    return out
