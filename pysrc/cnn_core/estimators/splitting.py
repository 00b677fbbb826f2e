"""Split off a validation set."""

from __future__ import annotations

import math

import numpy as np

from cnn_core.network import IndexArray


def set_aside(
    n_samples: int,
    fraction: float,
    random: np.random.RandomState,
    positions: IndexArray | None = None,
) -> tuple[IndexArray, IndexArray]:
    """Return the indices for training and for validation, both sorted.

    Parameters
    ----------
    n_samples : int
    fraction : float
        Share of the samples to set aside, from 0 to below 1.
    random : RandomState
    positions : (n_samples,) array of int, optional
        The class of each sample, from 0. The split is then stratified (by largest remainders), with
        at least one training sample of each class.

    Raises
    ------
    ValueError
        If fewer than two samples would be set aside, or none left; if there are several classes and
        all but one are too small.
    """
    aside = math.ceil(fraction * n_samples)
    if aside < 2 or aside >= n_samples:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            f"dataset: {fraction} of {n_samples} samples that count are {aside}, expected at least "
            "2, and others to train on; or pass eval_set"
        )
    if positions is None:
        chosen = random.permutation(n_samples)[:aside]
    else:
        chosen = _of_each_class(positions, aside, random)
    kept = np.ones(n_samples, bool)
    kept[chosen] = False
    return np.flatnonzero(kept), np.flatnonzero(~kept)


def too_small(positions: IndexArray) -> IndexArray:
    """Return the classes with a single sample, if there is at most one other class."""
    counts = np.bincount(positions)
    present: IndexArray = np.flatnonzero(counts)
    single: IndexArray = present[counts[present] == 1]
    if len(present) > 1 and len(present) - len(single) < 2:
        return single
    return single[:0]


def _of_each_class(positions: IndexArray, aside: int, random: np.random.RandomState) -> IndexArray:
    counts = np.bincount(positions)
    shares = counts * (aside / len(positions))
    most = np.maximum(counts - 1, 0)
    numbers = np.minimum(shares.astype(np.intp), most)
    # Add one to those that were rounded down most.
    while numbers.sum() < aside and (numbers < most).any():
        numbers[np.where(numbers < most, shares - numbers, -np.inf).argmax()] += 1
    return np.concatenate(
        [
            random.permutation(np.flatnonzero(positions == number))[:wanted]
            for number, wanted in enumerate(numbers)
        ]
    )
