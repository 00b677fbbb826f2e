"""Calibration of probabilities by temperature scaling."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cnn_core.types import FloatArray, IndexArray

Probabilities = npt.NDArray[np.float64]
Logarithms = npt.NDArray[np.float64]

# Smaller probabilities are raised to this, so that the log-loss is finite.
LEAST_PROBABILITY = 1e-7
_LOWEST, _HIGHEST = 0.1, 10.0
_GOLDEN = (5**0.5 - 1) / 2


def logarithms_of(probabilities: FloatArray) -> Logarithms:
    """Return the logarithms of probabilities; finite also for 0."""
    found: Logarithms = np.log(np.maximum(probabilities.astype(np.float64), LEAST_PROBABILITY))
    return found


def probabilities_of(logarithms: Logarithms, temperature: float = 1.0) -> Probabilities:
    """Return normalized probabilities from unnormalized log-probabilities.

    The logarithms are divided by a temperature first (Guo et al., "On calibration of modern neural
    networks", 2017): above 1 the probabilities become more equal.

    Parameters
    ----------
    logarithms : (n, n_classes) array
    temperature : float
        Above 0.
    """
    scaled = logarithms / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    found: Probabilities = np.exp(scaled)
    found /= found.sum(axis=1, keepdims=True)
    return found


def log_loss(
    probabilities: Probabilities, positions: IndexArray, weights: FloatArray | None = None
) -> float:
    """Return the mean negative logarithm of the probability of the true class.

    Parameters
    ----------
    probabilities : (n, n_classes) array
    positions : (n,) array of int
        The class index of each row.
    weights : (n,) array, optional
    """
    chosen = probabilities[np.arange(len(positions)), positions]
    return float(np.average(-np.log(np.maximum(chosen, LEAST_PROBABILITY)), weights=weights))


def best_temperature(
    logarithms: Logarithms, positions: IndexArray, weights: FloatArray | None = None
) -> float:
    """Return the temperature from 0.1 to 10 with the least log-loss, by golden section."""
    if logarithms.shape[1] < 2 or not len(positions):
        return 1.0
    low, high = math.log(_LOWEST), math.log(_HIGHEST)

    def loss(logarithm: float) -> float:
        return log_loss(probabilities_of(logarithms, math.exp(logarithm)), positions, weights)

    inner = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
    losses = [loss(point) for point in inner]
    while high - low > 1e-3:
        if losses[0] < losses[1]:
            high, inner, losses = inner[1], [0.0, inner[0]], [0.0, losses[0]]
            inner[0] = high - _GOLDEN * (high - low)
            losses[0] = loss(inner[0])
        else:
            low, inner, losses = inner[0], [inner[1], 0.0], [losses[1], 0.0]
            inner[1] = low + _GOLDEN * (high - low)
            losses[1] = loss(inner[1])
    return math.exp((low + high) / 2)
