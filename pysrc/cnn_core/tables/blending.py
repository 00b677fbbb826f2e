"""Weights of several groups of networks in one prediction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Predictions = npt.NDArray[np.float64]
# Steps of the greedy search: weights are multiples of 1 / 20.
_ROUNDS = 20


def greedy_shares(
    candidates: list[Predictions], loss: Callable[[Predictions], float]
) -> npt.NDArray[np.float64]:
    """Return the weight of each candidate; their sum is 1.

    Each round adds the candidate, possibly again, that improves the mean most (Caruana et al.,
    "Ensemble selection from libraries of models", 2004).

    Parameters
    ----------
    candidates : list of (n, k) arrays
        Out-of-fold predictions.
    loss : callable
        Returns the loss of predictions (n, k).
    """
    counts = np.zeros(len(candidates))
    if len(candidates) == 1 or not len(candidates[0]):
        return np.full(len(candidates), 1 / len(candidates))
    total = np.zeros_like(candidates[0])
    for done in range(_ROUNDS):
        losses = [loss((total + one) / (done + 1)) for one in candidates]
        best = int(np.argmin(losses))
        counts[best] += 1
        total += candidates[best]
    shares: npt.NDArray[np.float64] = counts / _ROUNDS
    return shares
