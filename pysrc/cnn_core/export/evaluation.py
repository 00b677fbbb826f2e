"""Evaluate a network's operations in NumPy, as the reference for exported files."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core import backends
from cnn_core.export.operations import (
    Activate,
    Affine,
    Convolve,
    Embed,
    Encode,
    Normalize,
    Operation,
    Pool,
    ScaleShift,
    Standardize,
    Walk,
)
from cnn_core.layers import EPSILON

Array = npt.NDArray[Any]


def evaluated(operations: tuple[Operation, ...], x: Array) -> Array:
    """Return the outputs of a network for samples (n, n_inputs), in their own dtype."""
    outputs: Array = Evaluation(x.dtype).through(operations, x)
    return outputs


class Evaluation(Walk):
    """Evaluates operations for samples (n, values)."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._kernels = backends.get("numpy").kernels(dtype)

    def standardize(self, operation: Standardize, x: Array) -> Array:
        """Return the standardized values."""
        found: Array = ((x - operation.offset) / operation.scale).astype(self._dtype)
        return found

    def encode(self, operation: Encode, x: Array) -> Array:
        """Return the features of columns."""
        return operation.features(x)

    def embed(self, operation: Embed, x: Array) -> Array:
        """Return vectors and numbers."""
        return operation.vectors(x)

    def affine(self, operation: Affine, x: Array) -> Array:
        """Return weighted sums."""
        u = x @ operation.weights.astype(self._dtype)
        biased: Array = u if operation.bias is None else u + operation.bias.astype(self._dtype)
        return biased

    def convolve(self, operation: Convolve, x: Array) -> Array:
        """Return the convolution."""
        u: Array = np.empty((len(x), operation.n_outputs), self._dtype)
        weights = operation.weights.astype(self._dtype)
        self._kernels.convolve(operation.layer, np.ascontiguousarray(x), weights, u)
        if operation.bias is not None:
            pixels = u.reshape(-1, operation.layer.channels)
            pixels += operation.bias.astype(self._dtype)
        return u

    def pool(self, operation: Pool, x: Array) -> Array:
        """Return the pooled values."""
        u = np.empty((len(x), operation.n_outputs), self._dtype)
        layer: Any = operation.layer
        self._kernels.pool(layer, np.ascontiguousarray(x), u)
        return u

    def scale_shift(self, operation: ScaleShift, x: Array) -> Array:
        """Return the scaled channels."""
        pixels = x.reshape(-1, len(operation.scale))
        found: Array = pixels * operation.scale.astype(self._dtype)
        found += operation.shift.astype(self._dtype)
        return found.reshape(x.shape)

    def normalize(self, operation: Normalize, x: Array) -> Array:
        """Return the normalized channels."""
        pixels = x.reshape(-1, len(operation.gain))
        mean = pixels.mean(axis=1, keepdims=True)
        spread = np.sqrt(pixels.var(axis=1, keepdims=True) + self._dtype.type(EPSILON))
        found: Array = (pixels - mean) / spread * operation.gain.astype(self._dtype)
        found += operation.bias.astype(self._dtype)
        return found.reshape(x.shape)

    def activate(self, operation: Activate, x: Array) -> Array:
        """Return the activation."""
        z = np.ascontiguousarray(x)
        a = np.empty_like(z)
        self._kernels.activate(operation.activation, z, a)
        return a
