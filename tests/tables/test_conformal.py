"""Probabilities, shares, intervals and sets that come from rows held out."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.tables.blending import greedy_shares
from cnn_core.tables.calibration import best_temperature, log_loss, logarithms_of, probabilities_of
from cnn_core.tables.conformal import ErrorQuantiles, probable_sets, set_threshold


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_applied_is_found(rng, temperature: float) -> None:
    true = probabilities_of(rng.normal(size=(20_000, 3)))
    labels = (true.cumsum(axis=1) < rng.random((len(true), 1))).sum(axis=1).clip(max=2)
    spoilt = logarithms_of(probabilities_of(np.log(true), 1 / temperature))
    found = best_temperature(spoilt, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    assert log_loss(probabilities_of(spoilt, found), labels) <= log_loss(true, labels) + 1e-6
    np.testing.assert_allclose(probabilities_of(spoilt, temperature), true, rtol=1e-4)


def test_certain_probabilities_stay_finite() -> None:
    certain = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert np.isfinite(log_loss(certain, np.array([1, 1])))
    assert np.isfinite(probabilities_of(logarithms_of(certain), 0.1)).all()
    assert best_temperature(np.zeros((3, 1)), np.zeros(3, int)) == 1


def test_the_blend_is_better_than_its_best_part(rng) -> None:
    truth = rng.normal(size=(500, 1))
    parts = [truth + rng.normal(size=truth.shape) * scale for scale in (0.5, 0.5, 5.0)]

    def loss(predictions: np.ndarray) -> float:
        return float(((predictions - truth) ** 2).mean())

    shares = greedy_shares(parts, loss)
    assert shares.sum() == pytest.approx(1)
    assert shares[2] <= 0.05
    assert loss(sum(share * part for share, part in zip(shares, parts, strict=True))) < loss(
        parts[0]
    )
    assert greedy_shares(parts[:1], loss).tolist() == [1]
    # Nothing was held out: all alike.
    assert greedy_shares([part[:0] for part in parts[:2]], loss).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_intervals_cover_as_many_new_rows_as_they_say(rng, coverage: float) -> None:
    def sample(n: int) -> tuple[np.ndarray, np.ndarray]:
        predictions = rng.uniform(0, 10, n)
        # Skewed errors that grow with the prediction.
        return predictions, predictions + (rng.exponential(size=n) - 1) * (0.1 + predictions)

    predictions, targets = sample(2000)
    errors = ErrorQuantiles.of(targets, predictions)
    new, true = sample(20_000)
    ends = errors.interval(new, coverage)
    covered = ((ends[:, 0] <= true) & (true <= ends[:, 1])).mean()
    # Three deviations of the 2,000 errors, and of the 20,000 new rows.
    slack = 3 * np.sqrt(coverage * (1 - coverage) * (1 / 2000 + 1 / 20_000))
    assert coverage - slack < covered < coverage + slack


def test_errors_that_grow_make_intervals_that_grow(rng) -> None:
    predictions = rng.uniform(0, 10, 1000)
    targets = predictions + rng.normal(size=1000) * predictions
    grown = ErrorQuantiles.of(targets, predictions).interval(np.array([1.0, 9.0]), 0.9)
    widths = grown[:, 1] - grown[:, 0]
    assert widths[1] > 3 * widths[0]
    even = ErrorQuantiles.of(predictions + rng.normal(size=1000), predictions)
    assert len(even.scale.sizes) == 1


def test_quantiles_rise_and_are_those_of_the_errors(rng) -> None:
    predictions = np.zeros(999)
    errors = ErrorQuantiles.of(rng.permutation(np.arange(999.0)), predictions)
    found = errors.quantiles(np.zeros(1), np.array([0.001, 0.25, 0.5, 0.999]))
    assert found[0].tolist() == pytest.approx([0, 249, 499, 998])
    assert errors.interval(np.zeros(1), 0.5)[0].tolist() == [249, 749]


def test_too_few_errors_for_a_coverage_are_said() -> None:
    few = ErrorQuantiles.of(np.arange(10.0), np.zeros(10))
    with pytest.raises(ValueError, match=r"at most 0.818 with 10 rows .* it takes 19"):
        few.interval(np.zeros(1), 0.9)
    with pytest.raises(ValueError, match="found none"):
        ErrorQuantiles.of(np.zeros(0), np.zeros(0)).interval(np.zeros(1), 0.9)
    with pytest.raises(ValueError, match=r"coverage: expected above 0 and below 1, found 1\.0"):
        few.interval(np.zeros(1), 1.0)


@pytest.mark.parametrize("coverage", [0.6, 0.9, 0.99])
def test_sets_of_classes_cover_as_many_new_rows_as_they_say(rng, coverage: float) -> None:
    def sample(n: int) -> tuple[np.ndarray, np.ndarray]:
        true = probabilities_of(rng.normal(size=(n, 4)) * 2)
        labels = (true.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=3)
        # Far too sure.
        return probabilities_of(np.log(true), 0.3), labels

    probabilities, labels = sample(2000)
    scores = np.sort(1 - probabilities[np.arange(2000), labels])
    new, true = sample(20_000)
    sets = probable_sets(new, set_threshold(scores, coverage))
    covered = sets[np.arange(20_000), true].mean()
    slack = 3 * np.sqrt(coverage * (1 - coverage) * (1 / 2000 + 1 / 20_000))
    assert covered > coverage - slack
    assert sets.any(axis=1).all()


def test_without_rows_held_out_every_class_may_be() -> None:
    assert probable_sets(np.array([[0.9, 0.1]]), set_threshold(np.zeros(0), 0.9)).all()
