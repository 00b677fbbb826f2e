"""Losses as the formulas are written: the loss of each output, and dloss/dz.

Pre-activations z, outputs y and targets t have one shape, (n, units). The formulas stand in
`cnn_core.backends.interface.Kernels`, `loss` and `output_delta`. A new loss is an entry in each of
the two tables; one with settings goes by its class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from cnn_core.backends.numpy.activations import BACKWARD
from cnn_core.network import Activation, FloatArray, Huber, Loss, Pinball

LossKey: TypeAlias = str | type


def key_of(loss: Loss) -> LossKey:
    """Return the key of a loss in the tables: its name, or the class of its settings."""
    return loss if isinstance(loss, str) else type(loss)


def _quantiles(loss: Pinball, y: FloatArray) -> FloatArray:
    return np.array(loss.quantiles(y.shape[1]), y.dtype)


def _huber(loss: Huber, z: FloatArray, y: FloatArray, t: FloatArray) -> FloatArray:
    error = np.abs(y - t)
    line = loss.delta * (error - loss.delta / 2)
    return np.where(error > loss.delta, line, error**2 / 2)


def _pinball(loss: Pinball, z: FloatArray, y: FloatArray, t: FloatArray) -> FloatArray:
    error, quantile = y - t, _quantiles(loss, y)
    return np.where(error < 0, -quantile * error, (1 - quantile) * error)


def _poisson(loss: Loss, z: FloatArray, y: FloatArray, t: FloatArray) -> FloatArray:
    # t * log(t) is 0 for t = 0; a product of 0 and an infinite z is not wanted either.
    return np.where(t == 0, y, y - t - t * (z - np.log(t)))


def _binary_cross_entropy(loss: Loss, z: FloatArray, y: FloatArray, t: FloatArray) -> FloatArray:
    # In this order the small term is added to 0, and keeps its digits.
    costs: FloatArray = np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))
    return costs


def _cross_entropy(loss: Loss, z: FloatArray, y: FloatArray, t: FloatArray) -> FloatArray:
    # With the largest z taken from all, no exp overflows and their sum is at least 1.
    shifted: FloatArray = z - z.max(axis=1, keepdims=True, initial=-np.inf)
    log_sum: FloatArray = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return t * (log_sum - shifted)


# From the loss with its settings, z, y and t to the loss of each output.
LOSS: dict[LossKey, Callable[[Any, FloatArray, FloatArray, FloatArray], FloatArray]] = {
    "squared_error": lambda loss, z, y, t: (y - t) ** 2 / 2,
    "absolute_error": lambda loss, z, y, t: np.abs(y - t),
    Huber: _huber,
    Pinball: _pinball,
    "poisson": _poisson,
    "binary_cross_entropy": _binary_cross_entropy,
    "cross_entropy": _cross_entropy,
}


def _pinball_slope(loss: Pinball, y: FloatArray, t: FloatArray) -> FloatArray:
    error, quantile = y - t, _quantiles(loss, y)
    # An error of 0 has the slope 0; one that is NaN stays NaN.
    return np.where(error < 0, -quantile, np.where(error > 0, 1 - quantile, error))


# dloss/dy of the losses that take any activation in the last layer.
_SLOPE: dict[LossKey, Callable[[Any, FloatArray, FloatArray], FloatArray]] = {
    "squared_error": lambda loss, y, t: y - t,
    "absolute_error": lambda loss, y, t: np.sign(y - t),
    Huber: lambda loss, y, t: np.clip(y - t, -loss.delta, loss.delta),
    Pinball: _pinball_slope,
}

# dloss/dz of the losses that need one particular activation.
_DELTA: dict[LossKey, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "poisson": lambda y, t: y - t,
    "binary_cross_entropy": lambda y, t: y - t,
    "cross_entropy": lambda y, t: y * t.sum(axis=1, keepdims=True) - t,
}


def delta_of(
    loss: Loss, activation: Activation, z: FloatArray, y: FloatArray, t: FloatArray
) -> FloatArray:
    """Return dloss/dz of each sample, not yet averaged."""
    key = key_of(loss)
    if key in _DELTA:
        return _DELTA[key](y, t)
    return BACKWARD[activation](z, y, _SLOPE[key](loss, y, t))
