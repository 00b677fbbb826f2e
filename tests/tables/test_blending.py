"""Weights of the views of a table in one prediction."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.estimators.labels import Classification
from cnn_core.tables.blending import greedy_shares, shares_for
from cnn_core.tables.tasks import Classes

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 400)
# Right of 0 means class 1, with errors.
EVIDENCE = RNG.normal(2 * Y - 1, 1.0)


def logarithms(evidence):
    """Logarithms of the probabilities of two classes."""
    return -np.logaddexp(0, np.column_stack((evidence, -evidence)))


def test_the_better_of_two_predictions_has_the_larger_weight() -> None:
    y = RNG.normal(size=200)
    candidates = [(y + RNG.normal(0, spread, 200))[:, None] for spread in (0.5, 1.0)]
    first, second = greedy_shares(candidates, lambda mean: float(np.mean((mean[:, 0] - y) ** 2)))
    assert first > second > 0
    assert first + second == pytest.approx(1)


def test_a_view_is_not_chosen_for_being_less_certain() -> None:
    task = Classes(Classification(np.array([0, 1]), "binary"))
    too_certain, worse = logarithms(8 * EVIDENCE), logarithms(EVIDENCE + RNG.normal(0, 3, 400))
    calibrated = shares_for(task, [too_certain, worse], Y, None, calibrate=True)
    as_it_is = shares_for(task, [too_certain, worse], Y, None, calibrate=False)
    # In terms of the calibrated views: what each adds to the mean.
    added = calibrated * [8, 1]
    assert added[1] / added.sum() < 0.1
    assert as_it_is[1] > 0.4
