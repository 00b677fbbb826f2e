"""Weights of several groups of networks in one prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.tables.tasks import Predictions, TableTask

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


def shares_for(
    task: TableTask,
    candidates: list[Predictions],
    y: npt.NDArray[Any],
    weights: npt.NDArray[np.float64] | None,
    *,
    calibrate: bool,
) -> npt.NDArray[np.float64]:
    """Return the weight of each view; their sum is 1.

    If probabilities are calibrated, views are compared at the best temperature of each. Otherwise
    a less certain view would be chosen to calibrate the others.

    Parameters
    ----------
    task : TableTask
    candidates : list of (n, k) arrays
        Out-of-fold means of each view.
    y : (n,) array
        Targets.
    weights : (n,) array or None
        Sample weights.
    calibrate : bool
    """
    temperatures = np.ones(len(candidates))
    if calibrate and len(candidates) > 1:
        temperatures[:] = [task.calibrated(one, y, weights).temperature for one in candidates]
    shares = greedy_shares(
        [one / own for one, own in zip(candidates, temperatures.tolist(), strict=True)],
        lambda means: task.loss(task.predictions(means), y, weights),
    )
    # The temperature of the blend divides all of them once more.
    shares /= temperatures
    found: npt.NDArray[np.float64] = shares / shares.sum()
    return found
