"""partial_fit and warm starts continue with the fitted network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from installation import BACKENDS
from small_estimators import CLASSES, NAMES, X, Y, blobs, classifier, regressor, weights_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# Going on


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "adam", "batch_size": 20, "dropout": 0.2},
        {"solver": "sgd", "learning_rate": "invscaling"},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 2},
        {"solver": "adamw", "normalization": "batch", "averaging": 0.9},
    ],
    ids=lambda parameters: "-".join(map(str, parameters.values())),
)
def test_calls_of_partial_fit_learn_what_a_fit_of_as_many_epochs_learns(
    parameters: dict[str, Any], backend: str
) -> None:
    at_once = classifier(max_iter=9, backend=backend, **parameters).fit(X, NAMES)
    bit_by_bit = classifier(max_iter=9, backend=backend, **parameters)
    for _ in range(9):
        bit_by_bit.partial_fit(X, NAMES, classes=CLASSES)
    np.testing.assert_array_equal(weights_of(at_once), weights_of(bit_by_bit))
    assert at_once.loss_curve_ == bit_by_bit.loss_curve_
    assert at_once.n_iter_ == bit_by_bit.n_iter_ == 9


def test_partial_fit_stops_early_too() -> None:
    stream = classifier(early_stopping=True, n_iter_no_change=3)
    for calls in range(1, 100):  # noqa: B007
        stream.partial_fit(X, NAMES, classes=CLASSES)
        if stream.stopped_because_:
            break
    assert "did not improve" in stream.stopped_because_
    assert stream.n_iter_ == calls < 99
    assert stream.best_validation_score_ == max(stream.validation_scores_)
    at_once = classifier(early_stopping=True, n_iter_no_change=3, max_iter=99).fit(X, NAMES)
    np.testing.assert_array_equal(weights_of(stream), weights_of(at_once))


def test_partial_fit_keeps_the_best_weights_also_with_another_solver() -> None:
    other = blobs(60, seed=1)
    stream = classifier(early_stopping=True, n_iter_no_change=2, learning_rate_init=0.01)
    for _ in range(5):
        stream.partial_fit(X, Y, classes=[0, 1, 2], eval_set=other)
    best = stream.best_validation_score_
    stream.set_params(solver="sgd", learning_rate_init=50.0, clip_norm=1.0, averaging=0.5)
    for _ in range(100):
        stream.partial_fit(X, Y, eval_set=other)
        if stream.stopped_because_:
            break
    assert stream.stopped_because_
    assert stream.score(*other) == stream.best_validation_score_ >= best


def test_partial_fit_takes_classes_that_come_later_and_no_others() -> None:
    stream = classifier()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        stream.partial_fit(X, NAMES)
    stream.partial_fit(X[:1], NAMES[:1], classes=CLASSES[::-1])
    assert stream.classes_.tolist() == CLASSES
    stream.partial_fit(X, NAMES)
    with pytest.raises(ValueError, match="expected classes among"):
        stream.partial_fit(X[:1], ["oak"])
    with pytest.raises(ValueError, match="expected those of the first call"):
        stream.partial_fit(X, NAMES, classes=["ash", "oak"])


def test_partial_fit_does_not_know_how_long_a_schedule_would_be() -> None:
    for parameters in ({"schedule": "cosine"}, {"time_budget": 1.0}):
        with pytest.raises(ValueError, match="expected None in partial_fit"):
            regressor(**parameters).partial_fit(X, Y)
    assert not hasattr(regressor(solver="lbfgs"), "partial_fit")


def test_settings_may_change_between_calls_of_partial_fit() -> None:
    stream = regressor().partial_fit(X, Y)
    before = weights_of(stream)
    stream.set_params(learning_rate_init=1e-12, alpha=0.5).partial_fit(X, Y)
    np.testing.assert_allclose(weights_of(stream), before, atol=1e-9)
    with pytest.raises(ValueError, match="expected the layers of the fit before"):
        stream.set_params(hidden_layer_sizes=(3,)).partial_fit(X, Y)


def test_a_warm_start_continues_and_a_cold_one_starts_again() -> None:
    warm = regressor(warm_start=True, max_iter=5).fit(X, Y)
    first = warm.loss_
    assert warm.fit(X, Y).loss_curve_[5] < first
    assert len(warm.loss_curve_) == 10
    assert warm.n_iter_ == 5
    assert warm.t_ == 10 * len(X)
    cold = regressor(max_iter=5).fit(X, Y)
    assert cold.fit(X, Y).loss_ == first


def test_a_warm_start_never_ends_worse_than_the_best_weights_before() -> None:
    other = blobs(60, seed=1)
    warm = classifier(warm_start=True, early_stopping=True).fit(X, Y, eval_set=other)
    best, weights = warm.best_validation_score_, weights_of(warm)
    warm.set_params(learning_rate_init=50.0, solver="sgd", max_iter=3, clip_norm=1.0)
    warm.fit(X, Y, eval_set=other)
    assert warm.score(*other) == warm.best_validation_score_ >= best
    if warm.best_validation_score_ == best:
        np.testing.assert_array_equal(weights_of(warm), weights)
