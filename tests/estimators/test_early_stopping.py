"""Validation, early stopping and the best weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import cnn_core
from installation import BACKENDS
from small_estimators import CLASSES, NAMES, X, Y, blobs, classifier, regressor, weights_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# Validation


def test_samples_are_set_aside_by_class_for_any_number_of_classes() -> None:
    seen: list[np.ndarray] = []

    def scorer(_: Any, __: np.ndarray, y: np.ndarray) -> float:
        seen.append(np.bincount(y, minlength=5))
        return 0.0

    labels = np.repeat(np.arange(5), [60, 40, 30, 19, 1])
    classifier(early_stopping=True, validation_fraction=0.2, scoring=scorer).fit(X, labels)
    # The one sample of the last class is trained on.
    assert seen[0].tolist() == [12, 8, 6, 4, 0]


def test_a_class_of_two_that_is_too_small_to_be_split_is_named() -> None:
    labels = np.where(np.arange(len(X)) == 5, "rare", "usual")
    with pytest.raises(ValueError, match=r"only 1 member.*too few members are: \['rare'\]"):
        classifier(early_stopping=True).fit(X, labels)


def test_too_few_samples_to_validate_on_are_refused() -> None:
    with pytest.raises(ValueError, match="The validation set is too small"):
        regressor(early_stopping=True, validation_fraction=0.001).fit(X, Y)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_best_weights_are_restored(backend: str) -> None:
    other = blobs(60, seed=1)
    fitted = classifier(
        early_stopping=True, learning_rate_init=0.3, max_iter=40, tol=0.5, backend=backend
    ).fit(X, Y, eval_set=other)
    assert fitted.best_validation_score_ == max(fitted.validation_scores_)
    assert fitted.score(*other) == fitted.best_validation_score_
    assert fitted.n_iter_ == len(fitted.validation_scores_) == 12
    assert "Validation score did not improve" in fitted.stopped_because_
    assert fitted.best_loss_ is None


def test_ones_own_samples_are_validated_on() -> None:
    other = blobs(60, seed=1)
    fitted = classifier().fit(X, NAMES, eval_set=(other[0], np.array(CLASSES)[other[1]]))
    plain = classifier().fit(X, NAMES)
    # All of the samples were trained on, and looking on changed nothing.
    np.testing.assert_array_equal(weights_of(fitted), weights_of(plain))
    assert plain.validation_scores_ is None
    assert fitted.validation_scores_[-1] == fitted.score(other[0], np.array(CLASSES)[other[1]])
    assert len(fitted.validation_loss_curve_) == fitted.n_iter_
    probabilities = fitted.predict_proba(other[0])[np.arange(60), other[1]]
    assert fitted.validation_loss_curve_[-1] == pytest.approx(-np.log(probabilities).mean())


def test_several_sets_are_measured_and_the_last_one_decides() -> None:
    first, last = blobs(60, seed=1), (X[:30], Y[:30], np.arange(30.0))
    fitted = classifier(early_stopping=True).fit(X, Y, eval_set=[first, last])
    assert set(fitted.evals_result_) == {"eval_0", "eval_1"}
    assert fitted.evals_result_["eval_1"]["score"] == fitted.validation_scores_
    assert fitted.evals_result_["eval_1"]["loss"] == fitted.validation_loss_curve_
    assert fitted.score(*last) == fitted.best_validation_score_
    assert len(fitted.evals_result_["eval_0"]["loss"]) == fitted.n_iter_


@pytest.mark.parametrize(
    ("eval_set", "error", "message"),
    [
        ([X, Y], TypeError, r"eval_set\[0\]: expected a tuple"),
        ((X,), TypeError, "eval_set: expected a tuple"),
        ((X[:, :2], NAMES), ValueError, r"eval_set\[0\] has 2 features"),
        ((X, Y), ValueError, r"eval_set\[1\]: expected classes among"),
        ((X, NAMES[:3]), ValueError, r"eval_set\[1\]: expected one for each"),
        ((np.full_like(X, np.inf), NAMES), ValueError, r"eval_set\[0\]: expected finite"),
    ],
)
def test_sets_that_do_not_fit_are_refused(
    eval_set: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        classifier().fit(X, NAMES, eval_set=eval_set)


def test_the_score_that_decides_can_be_chosen() -> None:
    other = blobs(60, seed=1)

    def pessimist(estimator: Any, samples: np.ndarray, labels: np.ndarray) -> float:
        return -float(np.mean(estimator.predict(samples) == labels))

    by_name = classifier(scoring="neg_log_loss").fit(X, Y, eval_set=other)
    by_loss = classifier(scoring="loss").fit(X, Y, eval_set=other)
    by_function = classifier(scoring=pessimist).fit(X, Y, eval_set=other)
    by_default = classifier().fit(X, Y, eval_set=other)
    np.testing.assert_allclose(by_name.validation_scores_, by_loss.validation_scores_)
    assert by_loss.validation_scores_ == [-loss for loss in by_loss.validation_loss_curve_]
    assert by_function.validation_scores_ == [-score for score in by_default.validation_scores_]
    for scoring in ("no such score", 3):
        with pytest.raises((ValueError, TypeError), match="scoring: "):
            classifier(scoring=scoring).fit(X, Y)


# What goes wrong


@pytest.mark.parametrize("backend", BACKENDS)
def test_divergence_is_an_error_and_the_last_good_weights_are_kept(backend: str) -> None:
    bad = regressor(
        solver="sgd", activation="identity", learning_rate_init=1e3, backend=backend, max_iter=50
    )
    with pytest.raises(ValueError, match=r"epoch \d+.*lower learning rate") as raised:
        bad.fit(100 * X, Y)
    assert isinstance(raised.value, cnn_core.DivergenceError)
    assert isinstance(raised.value, FloatingPointError)
    assert np.isfinite(weights_of(bad)).all()
    assert np.isfinite(bad.predict(X)).all()


def test_divergence_with_early_stopping_is_a_warning_and_the_best_weights_are_kept() -> None:
    bad = regressor(
        solver="sgd", activation="identity", learning_rate_init=1e3, early_stopping=True
    )
    with pytest.warns(ConvergenceWarning, match="best weights before were kept"):
        bad.fit(100 * X, Y)
    assert math.isnan(bad.validation_scores_[-1])
    assert len(bad.validation_scores_) == bad.n_iter_ < 20
    assert np.isfinite(bad.predict(X)).all()
