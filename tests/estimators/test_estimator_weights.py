"""Weights of samples and of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from installation import BACKENDS
from small_estimators import NAMES, X, Y, classifier, regressor, weights_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# Weights of samples and classes


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("make", [classifier, regressor])
def test_a_sample_with_the_weight_2_counts_like_two(make: Any, backend: str) -> None:
    y = Y if make is classifier else X[:, 0]
    twice = np.r_[np.arange(len(X)), np.arange(50)]
    weights = np.r_[np.full(50, 2.0), np.ones(len(X) - 50)]
    common = {"solver": "lbfgs", "max_iter": 15, "backend": backend}
    weighted = make(**common).fit(X, y, sample_weight=weights)
    doubled = make(**common).fit(X[twice], y[twice])
    np.testing.assert_allclose(weights_of(weighted), weights_of(doubled), rtol=1e-5, atol=1e-6)


def test_samples_with_the_weight_0_are_as_if_they_were_not_there() -> None:
    weights = (np.arange(len(X)) < 100).astype(float)
    common = {"solver": "sgd", "batch_size": 150, "shuffle": False}
    weighted = classifier(**common).fit(X, Y, weights)
    with pytest.warns(UserWarning, match="batch_size: found 150, more than the 100 samples"):
        fewer = classifier(**common).fit(X[:100], Y[:100])
    np.testing.assert_allclose(weights_of(weighted), weights_of(fewer), atol=1e-12)
    assert weighted.loss_ == pytest.approx(fewer.loss_)


def test_one_weight_for_all_samples_is_the_weight_of_each() -> None:
    for_all, for_each = (classifier().fit(X, Y, weight) for weight in (2.0, np.full(len(X), 2.0)))
    np.testing.assert_array_equal(weights_of(for_all), weights_of(for_each))


def test_the_weight_of_a_class_is_that_of_its_samples() -> None:
    by_class = classifier(class_weight={"beech": 3.0}).fit(X, NAMES)
    by_sample = classifier().fit(X, NAMES, sample_weight=np.where(NAMES == "beech", 3.0, 1.0))
    np.testing.assert_array_equal(weights_of(by_class), weights_of(by_sample))


def test_balanced_classes_count_alike() -> None:
    rare = np.r_[np.flatnonzero(Y == 0), np.flatnonzero(Y == 1)[:5]]
    balanced = classifier(class_weight="balanced").fit(X[rare], Y[rare])
    share = {0: 55 / (2 * 50), 1: 55 / (2 * 5)}
    np.testing.assert_allclose(
        weights_of(balanced), weights_of(classifier(class_weight=share).fit(X[rare], Y[rare]))
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), "one weight for each of the 150 samples"),
        (np.ones((150, 1)), "one weight for each of the 150 samples"),
        (np.r_[-1.0, np.ones(149)], "at least 0, found -1.0 at index 0"),
        (np.r_[np.ones(149), np.nan], "expected finite numbers"),
        (np.zeros(150), "all of them zero"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=f"sample_weight: .*{message}"):
        regressor().fit(X, Y, sample_weight=weights)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({1: 2.0}, "expected classes among .*'ash'.*, which are text, found 1"),
        ({"ash": -1.0}, "expected numbers of at least 0, found -1.0 for 'ash'"),
        ("even", "expected None, 'balanced' or a dict"),
    ],
)
def test_class_weights_that_make_no_sense_are_refused(class_weight: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"class_weight: {message}"):
        classifier(class_weight=class_weight).fit(X, NAMES)


def test_class_weights_are_not_for_several_labels_nor_balanced_for_partial_fit() -> None:
    with pytest.raises(ValueError, match="several labels per sample"):
        classifier(class_weight="balanced").fit(X, np.eye(3, dtype=int)[Y])
    with pytest.raises(ValueError, match="expected a dict or None in partial_fit"):
        classifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])
