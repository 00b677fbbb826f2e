"""MLPClassifier and MLPRegressor: what they do as scikit-learn's do it, and what they do beyond."""

from __future__ import annotations

import copy
import math
import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cnn_core
from cnn_core import MLPClassifier, MLPRegressor
from cnn_core.callbacks import Callback
from cnn_core.callbacks import ProgressBar as OurProgressBar
from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from cnn_core.schedules import StepDecay, WarmUp
from installation import BACKENDS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CLASSES = ["ash", "beech", "cedar"]


def blobs(n: int = 150, n_classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Samples around one point for each class, and the numbers of the classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    centres = 2 * np.random.default_rng(7).normal(size=(n_classes, 4))
    return centres[y] + rng.normal(size=(n, 4)), y


def curve(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, 3))
    return X, np.sin(3 * X[:, 0]) + X[:, 1] ** 2 + 0.1 * rng.normal(size=n)


X, Y = blobs()
NAMES = np.array(CLASSES)[Y]
X_NUMBERS, NUMBERS = curve()


def classifier(**parameters: Any) -> MLPClassifier:
    usual = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}
    return MLPClassifier(**{**usual, "learning_rate_init": 0.02, **parameters})


def regressor(**parameters: Any) -> MLPRegressor:
    usual = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}
    return MLPRegressor(**{**usual, "learning_rate_init": 0.02, **parameters})


def weights_of(estimator: Any) -> np.ndarray:
    return np.concatenate([array.ravel() for array in estimator.coefs_ + estimator.intercepts_])


# As scikit-learn


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "sgd"},
        {"solver": "sgd", "nesterovs_momentum": False},
        # With momentum theirs keeps the rates of the steps before in the velocity.
        {"solver": "sgd", "learning_rate": "invscaling", "momentum": 0.0},
        {
            "solver": "sgd",
            "learning_rate": "adaptive",
            "momentum": 0.0,
            "tol": 0.05,
            "n_iter_no_change": 2,
        },
        {"solver": "sgd", "batch_size": 32, "alpha": 0.0},
        {"solver": "sgd", "alpha": 3.0, "activation": "tanh"},
        {"solver": "adam", "activation": "logistic"},
        {"solver": "lbfgs", "activation": "tanh", "alpha": 0.1},
    ],
    ids=lambda parameters: "-".join(map(str, parameters.values())),
)
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_it_learns_what_scikit_learn_learns_step_by_step(
    kind: str, parameters: dict[str, Any], backend: str
) -> None:
    data = (X, NAMES) if kind == "MLPClassifier" else curve(150)
    common = {"hidden_layer_sizes": (6, 5), "max_iter": 12, "random_state": 3, "shuffle": False}
    ours = getattr(cnn_core, kind)(**common, **parameters, backend=backend).fit(*data)
    theirs = getattr(sklearn.neural_network, kind)(**common, **parameters).fit(*data)

    # Adam's epsilon stands elsewhere in theirs.
    atol = 1e-3 if parameters["solver"] == "adam" else 1e-6
    np.testing.assert_allclose(weights_of(ours), weights_of(theirs), rtol=1e-4, atol=atol)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-5)
    assert (ours.n_iter_, ours.n_layers_, ours.n_outputs_) == (
        theirs.n_iter_,
        theirs.n_layers_,
        theirs.n_outputs_,
    )
    assert ours.out_activation_ == theirs.out_activation_
    if parameters["solver"] != "lbfgs":
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)
        assert ours.best_loss_ == pytest.approx(theirs.best_loss_, rel=1e-5)
        assert ours.t_ == theirs.t_


def test_the_loss_has_the_term_of_alpha_of_every_batch() -> None:
    common = {"solver": "sgd", "batch_size": 10, "alpha": 2.0, "max_iter": 5, "shuffle": False}
    ours = classifier(**common).fit(X, Y)
    theirs = sklearn.neural_network.MLPClassifier(
        (8,), learning_rate_init=0.02, random_state=0, **common
    ).fit(X, Y)
    # The squares of the weights between first and last batch are estimated.
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=0.02)


def test_the_loss_of_several_numbers_is_their_mean_as_in_scikit_learn() -> None:
    targets = np.column_stack([NUMBERS, -NUMBERS, 2 * NUMBERS])
    common = {"solver": "sgd", "max_iter": 5, "shuffle": False, "random_state": 0}
    ours = MLPRegressor(**common).fit(X_NUMBERS, targets)
    theirs = sklearn.neural_network.MLPRegressor(**common).fit(X_NUMBERS, targets)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)


def test_every_parameter_of_scikit_learns_is_there_with_its_default() -> None:
    for kind in ("MLPClassifier", "MLPRegressor"):
        theirs = getattr(sklearn.neural_network, kind)().get_params()
        ours = getattr(cnn_core, kind)().get_params()
        assert {name: ours[name] for name in theirs} == theirs


def test_a_warning_tells_that_the_epochs_were_not_enough() -> None:
    with pytest.warns(ConvergenceWarning, match="maximum of 2 iterations"):
        classifier(max_iter=2).fit(X, Y)
    with pytest.warns(ConvergenceWarning, match="lbfgs has not converged"):
        classifier(max_iter=2, solver="lbfgs").fit(X, Y)


@pytest.mark.parametrize("parameters", [{"schedule": "cosine"}, {"time_budget": 0.02}])
def test_a_training_that_was_to_end_there_brings_no_such_warning(
    parameters: dict[str, Any],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier(max_iter=3, **parameters).fit(X, Y)


# Samples


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.float16, np.float32),
        (np.uint8, np.float32),
        (np.int64, np.float64),
        (bool, np.float64),
    ],
)
def test_weights_are_of_the_dtype_that_suits_the_samples(given: Any, expected: Any) -> None:
    samples = np.abs(10 * X).astype(given)
    fitted = regressor(max_iter=1).fit(samples, Y)
    assert {array.dtype for array in fitted.coefs_ + fitted.intercepts_} == {np.dtype(expected)}
    assert fitted.predict(samples).dtype == expected


def test_the_dtype_can_be_chosen() -> None:
    assert classifier(dtype="float32").fit(X, Y).predict_proba(X).dtype == np.float32
    with pytest.raises(ValueError, match="dtype: expected float32 or float64, found 'int8'"):
        classifier(dtype="int8").fit(X, Y)


@pytest.mark.parametrize("backend", BACKENDS)
def test_bytes_are_learned_from_like_the_numbers_that_they_are(backend: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, size=(60, 20), dtype=np.uint8)
    labels = images[:, 0] > 127
    common = {"input_scale": 1 / 255, "dtype": "float32", "backend": backend}
    by_bytes = classifier(**common).fit(images, labels)
    by_floats = classifier(**common).fit(images.astype(np.float32), labels)
    np.testing.assert_array_equal(by_bytes.predict_proba(images), by_floats.predict_proba(images))


@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "lil"])
def test_sparse_samples_are_learned_from_like_dense_ones(layout: str) -> None:
    dense = np.where(X > 0.5, X, 0)
    sparse = scipy.sparse.csr_array(dense).asformat(layout)
    fitted = classifier().fit(sparse, Y)
    np.testing.assert_array_equal(
        fitted.predict_proba(sparse), classifier().fit(dense, Y).predict_proba(dense)
    )


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        (["b", "a", "c", "d"], ValueError, "must be in the same order as they were in fit"),
        (["a", "b", "c", "e"], ValueError, "(?s)unseen at fit time:\n- e\n.*now missing:\n- d"),
        (["a", "b", "c", 4], TypeError, "found int, str; pass X with X.columns"),
    ],
)
def test_a_table_with_other_columns_is_refused_by_their_names(
    columns: list[Any], error: type[Exception], message: str
) -> None:
    pandas = pytest.importorskip("pandas")
    fitted = classifier().fit(pandas.DataFrame(X, columns=list("abcd")), Y)
    with pytest.raises(error, match=message):
        fitted.predict(pandas.DataFrame(X, columns=columns))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_names_of_features_are_kept_and_asked_for(library: str) -> None:
    frames = pytest.importorskip(library)
    frame = frames.DataFrame({name: X[:, place] for place, name in enumerate("abcd")})
    labels = frames.Series(NAMES.tolist())
    # Whatever is measured on the way, nothing warns about names.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = classifier(early_stopping=True, scoring="f1_macro").fit(frame, labels)
        fitted.score(frame, labels)
    assert fitted.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted.predict(frame[["d", "c", "b", "a"]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        fitted.predict(X)
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        classifier().fit(X, Y).predict(frame)


def test_nothing_that_was_passed_is_changed() -> None:
    samples, labels, weights = X.copy(), NAMES.copy(), np.ones(len(X))
    for array in (samples, labels, weights):
        array.flags.writeable = False
    classifier().fit(samples, labels, weights, eval_set=(samples, labels)).predict(samples)
    np.testing.assert_array_equal(samples, X)


@pytest.mark.parametrize(
    ("samples", "labels", "error", "message"),
    [
        (X[0], Y[:1], ValueError, "Reshape your data"),
        (X.reshape(50, 3, 4), Y[:50], ValueError, "flatten each sample"),
        (X[:0], Y[:0], ValueError, r"0 sample\(s\)"),
        (np.full_like(X, np.nan), Y, ValueError, "NaN"),
        (X.astype(str).astype(object) + "x", Y, ValueError, "expected real numbers"),
        (X * 1j, Y, ValueError, "Complex data not supported"),
        (X, Y[:-1], ValueError, "one for each of the 150 samples, found 149"),
        (X, None, ValueError, "requires y to be passed"),
        (X, X[:, 0], ValueError, "Unknown label type: continuous"),
        (X, np.column_stack([Y, Y]), ValueError, "fit one estimator for each column"),
        (X, [None, *NAMES[1:]], ValueError, r"y: .* found a missing one \(None\) at index 0"),
        ([[1.0, 2.0], [3.0]], Y[:2], ValueError, "X: expected rows of equal length"),
        (X.astype("M8[s]"), Y, TypeError, "X: expected real numbers, found datetime64"),
        (X, [[0], *[[0, 1]] * 149], ValueError, "y: expected rows of equal length"),
        (X, Y * 1j, ValueError, "y: Complex data not supported"),
        (X, np.zeros(150, "i4, i4"), TypeError, "y: expected classes or real numbers"),
        (X, Y.reshape(150, 1, 1), ValueError, r"y: .*\(samples, outputs\), found \(150, 1, 1\)"),
        (X, np.array([1, *NAMES[1:]], object), ValueError, "text alone or whole numbers alone"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(
    samples: Any, labels: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        classifier().fit(samples, labels)


# Classes


@pytest.mark.parametrize(
    "labels",
    [
        NAMES,
        NAMES.astype(object),
        NAMES.tolist(),
        Y + 10,
        Y.astype(float),
        Y.astype(object),
        Y > 0,
        np.where(Y > 0, "yes", "no"),
        np.full(len(Y), "all"),
    ],
    ids=["text", "object", "list", "int", "float", "numbers as objects", "bool", "two", "one"],
)
def test_classes_may_be_called_anything(labels: Any) -> None:
    fitted = classifier(max_iter=60).fit(X, labels)
    known = np.unique(labels)
    assert fitted.classes_.tolist() == known.tolist()
    assert fitted.score(X, labels) > 0.9
    assert set(fitted.predict(X)) <= set(known.tolist())
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (len(X), len(known))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(fitted.predict_log_proba(X), np.log(probabilities))


def test_a_sample_may_have_several_labels() -> None:
    labels = np.column_stack([Y == 0, Y > 0, X[:, 0] > 0]).astype(int)
    for given in (labels, scipy.sparse.csr_array(labels), labels.tolist()):
        fitted = classifier(max_iter=200).fit(X, given)
        assert fitted.out_activation_ == "logistic"
        assert fitted.predict(X).shape == labels.shape
        assert fitted.score(X, labels) == np.mean((fitted.predict(X) == labels).all(axis=1)) > 0.8
    assert classifier(early_stopping=True).fit(X, labels).validation_scores_


def test_smoothed_labels_keep_probabilities_from_the_extremes() -> None:
    sharp = classifier(max_iter=300).fit(X, Y).predict_proba(X)
    smooth = classifier(max_iter=300, label_smoothing=0.3).fit(X, Y).predict_proba(X)
    assert sharp.max() > 0.99
    # The best that can be said is 1 - 0.3 + 0.3 / 3.
    assert smooth.max() < 0.95
    assert classifier(label_smoothing=0.3).fit(X, Y > 0).score(X, Y > 0) > 0.8


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


def test_a_score_of_samples_without_weight_is_no_number() -> None:
    # A class of one sample is trained on.
    labels = np.r_[3, Y[1:]]
    only_that = np.r_[1.0, np.zeros(len(Y) - 1)]
    fitted = classifier(early_stopping=True, max_iter=3).fit(X, labels, sample_weight=only_that)
    assert np.isnan(fitted.validation_scores_).all()
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]


def test_too_few_samples_to_validate_on_are_refused() -> None:
    with pytest.raises(ValueError, match="The validation set is too small"):
        regressor(early_stopping=True, validation_fraction=0.001).fit(X, Y)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_best_weights_are_put_back(backend: str) -> None:
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


def test_a_warm_start_goes_on_where_a_cold_one_begins_anew() -> None:
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


class Interrupting(Callback):
    def on_epoch_end(self, state: Any) -> None:
        if state.epoch == 3:
            raise KeyboardInterrupt


def test_ctrl_c_ends_the_training_and_leaves_what_was_learned() -> None:
    with pytest.warns(UserWarning, match="interrupted"):
        fitted = classifier(callbacks=[Interrupting()]).fit(X, Y)
    assert fitted.n_iter_ == 3
    np.testing.assert_array_equal(weights_of(fitted), weights_of(classifier(max_iter=3).fit(X, Y)))


def test_a_refused_fit_leaves_the_estimator_as_it_was() -> None:
    fitted = classifier().fit(X, NAMES)
    before = pickle.dumps(fitted)
    for samples, labels, more in (
        (X[:, :2], np.full(len(X), np.nan), {}),
        (X[:, :2], NAMES, {"sample_weight": -np.ones(len(X))}),
        (X[:, :2], NAMES, {"eval_set": (X, NAMES)}),
    ):
        with pytest.raises(ValueError, match="expect"):
            fitted.fit(samples, labels, **more)
        assert pickle.dumps(fitted) == before
    fresh = classifier(activation="sine")
    with pytest.raises(ValueError, match="activation"):
        fresh.fit(X, NAMES)
    assert not hasattr(fresh, "classes_")
    with pytest.raises(NotFittedError, match="call fit"):
        fresh.predict(X)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"hidden_layer_sizes": (8, 0)}, ValueError, "hidden_layer_sizes must be > 0"),
        ({"hidden_layer_sizes": (8.5,)}, TypeError, "hidden_layer_sizes: expected whole numbers"),
        ({"activation": "softmax"}, ValueError, "activation: expected one of 'logistic'"),
        ({"activation": ["relu", "tanh"]}, ValueError, "activation: expected one, or 1"),
        ({"dropout": [0.1, 0.2]}, ValueError, "dropout: expected one, or 1"),
        ({"dropout": 1.0}, ValueError, "dropout: expected 0 up to below 1"),
        ({"normalization": "group"}, ValueError, "normalization: expected None or one of"),
        ({"solver": "newton"}, ValueError, "solver: expected one of 'sgd'"),
        ({"solver": "lbfgs", "dropout": 0.1}, ValueError, "L-BFGS .* no dropout"),
        ({"solver": "lbfgs", "clip_norm": 1.0}, ValueError, "L-BFGS .* no clip_norm"),
        ({"solver": "adam", "weight_decay": 0.1}, ValueError, "weight_decay: expected None"),
        ({"solver": cnn_core.SGD(), "weight_decay": 0.1}, ValueError, "say it to the optimizer"),
        ({"alpha": -1}, ValueError, "alpha: expected at least 0"),
        ({"batch_size": "all"}, ValueError, "batch_size: expected 'auto'"),
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1"),
        ({"learning_rate": 0.1}, ValueError, "the number is learning_rate_init"),
        ({"learning_rate_init": 0}, ValueError, "learning_rate_init: expected a finite"),
        ({"max_iter": 0}, ValueError, "max_iter: expected at least 1"),
        ({"n_iter_no_change": 0.5}, TypeError, "n_iter_no_change: expected a whole number"),
        ({"validation_fraction": 1}, ValueError, "validation_fraction: expected 0 up to below 1"),
        ({"shuffle": 1}, TypeError, "shuffle: expected True or False"),
        ({"random_state": -1}, ValueError, "random_state: expected at least 0"),
        ({"momentum": 1.5, "solver": "sgd"}, ValueError, "momentum: expected 0 up to below 1"),
        ({"schedule": "zigzag"}, ValueError, "schedule: expected one of"),
        ({"initializer": "random"}, ValueError, "initializer: expected one of"),
        ({"time_budget": 0}, ValueError, "time_budget: expected a finite number above 0"),
        ({"input_scale": 0}, ValueError, "input_scale: expected"),
        ({"averaging": 1}, ValueError, "averaging: expected 0 up to below 1"),
        ({"backend": "fortran"}, ValueError, "backend: expected"),
        ({"n_threads": 0}, ValueError, "n_threads: expected at least 1"),
        ({"clip_norm": 1.0, "clip_value": 1.0}, ValueError, "at most one of them"),
        ({"callbacks": [print]}, TypeError, "callbacks: expected objects that derive from"),
    ],
)
def test_a_parameter_outside_its_range_is_named(
    parameters: dict[str, Any], error: type[Exception], message: str
) -> None:
    # Not before the fit: scikit-learn's tools set parameters as they please.
    for make in (classifier, regressor):
        estimator = make(**parameters)
        with pytest.raises(error, match=message):
            estimator.fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": "poisson", "out_activation": "identity"}, "needs 'exp' in the last layer"),
        ({"loss": "hinge"}, "loss: expected one of 'squared_error'"),
        ({"loss": "huber", "huber_delta": 0.0}, "delta: expected a number above 0"),
        ({"loss": "pinball", "quantile": 1.0}, "quantile: expected numbers above 0 and below 1"),
        ({"out_activation": "softmax"}, "out_activation: expected one of"),
    ],
)
def test_a_parameter_of_the_regressor_outside_its_range_is_named(
    parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        regressor(**parameters).fit(X, Y)


def test_counts_are_at_least_0() -> None:
    with pytest.raises(ValueError, match=r"loss 'poisson', found -1\.0 at index 1"):
        regressor(loss="poisson").fit(X, -Y)


# Networks and trainings


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "parameters",
    [
        *({"solver": name} for name in ("sgd", "adamw", "nadam", "rmsprop", "lion", "rprop")),
        {"solver": "lbfgs"},
        {"solver": cnn_core.RMSprop(rho=0.9, momentum=0.5)},
        *(
            {"activation": name}
            for name in ("identity", "sigmoid", "tanh", "leaky_relu", "elu", "selu", "gelu")
        ),
        {"activation": "silu"},
        {"activation": "softplus"},
        {"normalization": "batch"},
        {"normalization": "layer"},
        {"dropout": 0.1},
        {"averaging": 0.9},
        {"clip_norm": 1.0},
        {"clip_value": 0.5},
        {"initializer": "he_normal"},
        {"schedule": "one_cycle"},
        {"schedule": WarmUp(epochs=2, then=StepDecay(10))},
        {
            "hidden_layer_sizes": (10, 6),
            "activation": ["relu", "tanh"],
            "dropout": [0.1, 0.0],
            "normalization": [None, "layer"],
            "initializer": ["he_uniform", "glorot_normal", "lecun_normal"],
        },
        {"hidden_layer_sizes": ()},
    ],
    ids=lambda parameters: "-".join(map(str, parameters.values())),
)
def test_it_learns_with_any_setting_and_comes_back_from_a_file(
    parameters: dict[str, Any], backend: str, tmp_path: Path
) -> None:
    fitted = classifier(**{"max_iter": 40, "batch_size": 25, "backend": backend, **parameters})
    assert fitted.fit(X, NAMES).score(X, NAMES) > 0.9
    assert fitted.predict(X).tolist() == [
        CLASSES[place] for place in fitted.predict_proba(X).argmax(axis=1)
    ]

    fitted.save(tmp_path / "model")
    loaded = cnn_core.load(tmp_path / "model", backend=backend)
    assert isinstance(loaded, MLPClassifier)
    assert repr(loaded) == repr(fitted)
    for copied in (loaded, pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(copied.predict_proba(X), fitted.predict_proba(X))
        assert copied.loss_curve_ == fitted.loss_curve_


@pytest.mark.parametrize("backend", BACKENDS)
def test_quantiles_are_predicted_all_at_once(backend: str, tmp_path: Path) -> None:
    several = MLPRegressor(
        "pinball",
        (20,),
        quantile=[0.1, 0.5, 0.9],
        max_iter=300,
        learning_rate_init=0.01,
        random_state=0,
        backend=backend,
    ).fit(X_NUMBERS, NUMBERS)
    predicted = several.predict(X_NUMBERS)
    assert predicted.shape == (len(X_NUMBERS), 3)
    below = (NUMBERS[:, None] < predicted).mean(axis=0)
    np.testing.assert_allclose(below, [0.1, 0.5, 0.9], atol=0.1)
    assert several.score(X_NUMBERS, NUMBERS) > 0.8
    several.save(tmp_path / "model")
    loaded = cnn_core.load(tmp_path / "model", backend=backend)
    np.testing.assert_array_equal(loaded.predict(X_NUMBERS), predicted)
    with pytest.raises(ValueError, match="several quantiles are for one target"):
        several.fit(X_NUMBERS, np.column_stack([NUMBERS, NUMBERS]))


def test_losses_differ_in_what_they_make_of_outliers() -> None:
    y = np.full(200, 1.0)
    y[:40] = 101.0
    samples = np.ones((200, 1))
    common = {"hidden_layer_sizes": (), "alpha": 0.0, "tol": 1e-9}
    mean = regressor(**common, solver="lbfgs", max_iter=200).fit(samples, y)
    huber = regressor(**common, solver="lbfgs", loss="huber", max_iter=200).fit(samples, y)
    median = regressor(
        **common, loss="absolute_error", max_iter=300, schedule="cosine", n_iter_no_change=math.inf
    ).fit(samples, y)
    assert mean.predict(samples)[0] == pytest.approx(21.0, abs=0.01)
    # Where the slopes of both sides are in balance: 160 * (p - 1) = 40.
    assert huber.predict(samples)[0] == pytest.approx(1.25, abs=0.01)
    assert median.predict(samples)[0] == pytest.approx(1.0, abs=0.05)


def test_an_activation_of_the_last_layer_keeps_numbers_in_its_range() -> None:
    assert (regressor(out_activation="softplus").fit(X, Y).predict(10 * X) > 0).all()
    bounded = regressor(out_activation="logistic").fit(X, Y / 2).predict(10 * X)
    assert bounded.min() >= 0
    assert bounded.max() <= 1
    assert regressor(loss="poisson").fit(X, Y).out_activation_ == "exp"


def test_the_same_random_state_gives_the_same_and_another_one_something_else() -> None:
    same = [weights_of(classifier(random_state=5, dropout=0.1).fit(X, Y)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    generator = np.random.RandomState(5)
    drawn = [weights_of(classifier(random_state=generator).fit(X, Y)) for _ in range(2)]
    assert not np.array_equal(*drawn)
    np.random.seed(5)
    np.testing.assert_array_equal(weights_of(classifier(random_state=None).fit(X, Y)), drawn[0])


@pytest.mark.compiled
def test_threads_change_no_bit() -> None:
    wide = {"hidden_layer_sizes": (200,), "batch_size": 150, "backend": "cython"}
    one, two = (classifier(**wide, n_threads=n).fit(X, Y) for n in (1, 2))
    np.testing.assert_array_equal(weights_of(one), weights_of(two))


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_verbose_prints_a_line_for_each_epoch(
    solver: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = classifier(verbose=True, solver=solver, max_iter=6).fit(X, Y, eval_set=(X, Y))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == fitted.n_iter_
    assert lines[-1] == (
        f"Iteration {fitted.n_iter_}, loss = {fitted.loss_:.8f}, "
        f"validation loss = {fitted.validation_loss_curve_[-1]:.8f}, "
        f"validation score = {fitted.validation_scores_[-1]:.6f}"
    )


# Callbacks


class Recorder(Callback):
    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def on_epoch_end(self, state: Any) -> None:
        self.seen.append((state.face.n_iter_, state.face.loss_))
        if len(self.seen) == 4:
            state.stop("enough")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_see_the_estimator_as_it_stands_and_can_stop_it(solver: str) -> None:
    recorder = Recorder()
    fitted = classifier(solver=solver, callbacks=[recorder]).fit(X, Y)
    assert recorder.seen == list(enumerate(fitted.loss_curve_, start=1))
    assert fitted.stopped_because_ == "enough"
    assert fitted.n_iter_ == 4


class Refitting(Callback):
    def on_epoch_end(self, state: Any) -> None:
        state.face.fit(X, Y)


def test_a_fit_within_a_fit_is_refused() -> None:
    with pytest.raises(RuntimeError, match="being fitted already"):
        classifier(callbacks=[Refitting()]).fit(X, Y)


def test_a_progress_bar_is_a_callback(capsys: pytest.CaptureFixture[str]) -> None:
    classifier(callbacks=[OurProgressBar()], max_iter=3).fit(X, Y)
    assert "epoch 3/3" in capsys.readouterr().err


def test_a_checkpoint_holds_the_estimator(tmp_path: Path) -> None:
    checkpoint = cnn_core.callbacks.SaveModel(tmp_path / "at-{epoch}", every=2)
    classifier(callbacks=[checkpoint], max_iter=5).fit(X, NAMES)
    loaded = cnn_core.load(tmp_path / "at-4")
    np.testing.assert_array_equal(
        loaded.predict_proba(X), classifier(max_iter=4).fit(X, NAMES).predict_proba(X)
    )
    assert loaded.get_params()["callbacks"] is None
    assert not (tmp_path / "at-5").exists()


class Protocol:
    """A callback of scikit-learn's protocol that has a training stop after three epochs."""

    def __init__(self) -> None:
        self.hooks: list[str] = []
        self.losses: list[float] = []

    def setup(self, estimator: Any, context: Any) -> None:
        self.hooks.append("setup")

    def on_fit_task_begin(self, estimator: Any, context: Any, *, X: Any) -> None:
        self.hooks.append(f"begin {context.task_name}")

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any, y: Any, fitted_estimator: Any
    ) -> bool:
        self.hooks.append(f"end {context.task_name}")
        self.losses.append(fitted_estimator.score(X, y))
        return len(self.losses) == 3

    def teardown(self, estimator: Any, context: Any) -> None:
        self.hooks.append("teardown")


def test_callbacks_of_scikit_learns_protocol_are_called_and_obeyed() -> None:
    pytest.importorskip("sklearn.callback")
    callback = Protocol()
    fitted = classifier().set_callbacks(callback).fit(X, Y)
    epoch = ["begin epoch", "end epoch"]
    assert callback.hooks == ["setup", "begin fit", *3 * epoch, "end fit", "teardown"]
    assert fitted.n_iter_ == 3
    # Each saw the estimator as it would have been, had the fit ended there.
    for epochs, score in enumerate(callback.losses[:3], start=1):
        assert classifier(max_iter=epochs).fit(X, Y).score(X, Y) == score


def test_scikit_learns_own_callbacks_work(capsys: pytest.CaptureFixture[str]) -> None:
    callbacks = pytest.importorskip("sklearn.callback")
    monitor = callbacks.ScoringMonitor(scoring="accuracy")
    fitted = classifier(max_iter=4).set_callbacks(monitor, callbacks.ProgressBar())
    fitted.fit(X, Y)
    assert "MLPClassifier - fit" in capsys.readouterr().out
    search = GridSearchCV(classifier(max_iter=2), {"alpha": [0.0, 1.0]}, cv=2)
    search.set_callbacks(callbacks.ProgressBar()).fit(X, Y)
    assert search.best_score_ > 0.3


def test_a_callback_of_scikit_learns_in_the_wrong_place_is_told_the_right_one() -> None:
    with pytest.raises(TypeError, match="is for set_callbacks"):
        classifier(callbacks=[Protocol()]).fit(X, Y)


# Looking inside


@pytest.mark.parametrize("averaging", [0.0, 0.9])
@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_are_views_that_can_be_written_to(backend: str, averaging: float) -> None:
    fitted = classifier(backend=backend, averaging=averaging).fit(X, Y)
    assert [array.shape for array in fitted.coefs_] == [(4, 8), (8, 3)]
    assert [array.shape for array in fitted.intercepts_] == [(8,), (3,)]
    fitted.coefs_[1][...] = 0
    fitted.intercepts_[1] = np.log([0.5, 0.25, 0.25])
    np.testing.assert_allclose(fitted.predict_proba(X[:1]), [[0.5, 0.25, 0.25]], rtol=1e-6)
    with pytest.raises(ValueError, match=r"expected the shape \(8,\), found \(3,\)"):
        fitted.intercepts_[0] = np.zeros(3)
    other = classifier(backend=backend).fit(X, Y)
    fitted.coefs_, fitted.intercepts_ = other.coefs_, other.intercepts_
    np.testing.assert_array_equal(fitted.predict_proba(X), other.predict_proba(X))
    fitted.coefs_[:] = [np.zeros_like(array) for array in fitted.coefs_]
    assert not any(array.any() for array in fitted.coefs_)


def test_weights_set_before_the_first_fit_are_its_first_weights() -> None:
    known = regressor(max_iter=5).fit(X, Y)
    fresh = regressor(learning_rate_init=1e-12, max_iter=1)
    assert not hasattr(fresh, "coefs_")
    fresh.coefs_, fresh.intercepts_ = known.coefs_, known.intercepts_
    np.testing.assert_allclose(fresh.fit(X, Y).predict(X), known.predict(X), atol=1e-9)
    fresh = regressor()
    fresh.coefs_ = [np.zeros((2, 2))]
    with pytest.raises(ValueError, match="coefs_: expected 2 arrays, found 1"):
        fresh.fit(X, Y)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_predictor_gives_the_outputs_of_one_row_after_the_other(backend: str) -> None:
    fitted = classifier(backend=backend).fit(X, NAMES)
    predict = fitted.predictor()
    for row, probabilities in zip(X[:5], fitted.predict_proba(X[:5]), strict=True):
        np.testing.assert_allclose(predict(row)[0], probabilities, rtol=1e-12)


def test_a_summary_shows_the_layers() -> None:
    text = classifier(dropout=0.5, normalization="layer").fit(X, NAMES).summary()
    assert text.splitlines()[1].split() == ["1", "4", "8", "relu", "layer", "0.5", "48"]
    assert text.splitlines()[-1].split() == ["total", "75"]
    with pytest.raises(NotFittedError):
        classifier().summary()


def test_a_learning_rate_can_be_found_for_it() -> None:
    for fresh, y in ((classifier(), NAMES), (regressor(), Y)):
        found = cnn_core.find_learning_rate(fresh, X, y, most=10.0)
        assert 1e-5 < found.suggestion < 10
        assert len(found.rates) == len(found.losses)
        assert not hasattr(fresh, "model_")


# Files


def test_an_estimator_comes_back_from_a_file_with_all_that_it_knows(tmp_path: Path) -> None:
    fitted = classifier(
        early_stopping=True,
        class_weight={"ash": 2.0},
        n_iter_no_change=math.inf,
        hidden_layer_sizes=np.array([8]),
        dtype=np.float64,
    )
    fitted.fit(X, NAMES, eval_set=[(X[:50], NAMES[:50]), (X[50:], NAMES[50:])])
    fitted.feature_names_in_ = np.array(["a", "b", "c", "d"], object)
    fitted.save(tmp_path / "model")
    loaded = cnn_core.load(tmp_path / "model")
    for name in [
        "loss_",
        "loss_curve_",
        "validation_scores_",
        "validation_loss_curve_",
        "best_validation_score_",
        "best_loss_",
        "evals_result_",
        "n_iter_",
        "t_",
        "n_layers_",
        "n_outputs_",
        "out_activation_",
        "n_features_in_",
        "stopped_because_",
    ]:
        assert getattr(loaded, name) == getattr(fitted, name), name
    assert loaded.classes_.tolist() == CLASSES
    assert loaded.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert loaded.class_weight == {"ash": 2.0}
    assert loaded.n_iter_no_change == math.inf


def test_a_loaded_estimator_goes_on_as_the_saved_one_does(tmp_path: Path) -> None:
    fitted = classifier(batch_size=20, dropout=0.2)
    fitted.partial_fit(X, NAMES, classes=CLASSES).save(tmp_path / "model")
    loaded = cnn_core.load(tmp_path / "model")
    for one in (fitted, loaded):
        one.partial_fit(X, NAMES)
    np.testing.assert_array_equal(weights_of(fitted), weights_of(loaded))
    assert loaded.loss_curve_ == fitted.loss_curve_


def test_several_labels_numbers_and_a_single_class_come_back_too(tmp_path: Path) -> None:
    for estimator, y in (
        (classifier(), np.eye(3, dtype=int)[Y]),
        (classifier(), np.full(len(X), "all", object)),
        (classifier(), Y > 0),
        (regressor(), np.column_stack([Y, Y])),
        (regressor(loss="huber", huber_delta=2.0), Y),
    ):
        estimator.fit(X, y).save(tmp_path / "model")
        loaded = cnn_core.load(tmp_path / "model")
        np.testing.assert_array_equal(loaded.predict(X), estimator.predict(X))
        assert loaded.predict(X).dtype == estimator.predict(X).dtype


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"kind": "multiclass"', '"kind": "binary"'),
        ('"ash"', "17"),
        ('"cedar"', '"beech"'),
        ('"feature_names": null', '"feature_names": ["a"]'),
        ('"activation": "relu"', '"activatoin": "relu"'),
        ('"task"', '"tusk"'),
        ("<U5", "|V5"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(old: str, new: str, tmp_path: Path) -> None:
    classifier().fit(X, NAMES).save(tmp_path / "model")
    tensors, metadata = read_tensors(tmp_path / "model")
    assert old in metadata["extra"]
    metadata["extra"] = metadata["extra"].replace(old, new)
    write_tensors(tmp_path / "model", tensors, metadata)
    with pytest.raises(ModelFileError, match="expected the settings and weights"):
        cnn_core.load(tmp_path / "model")


def test_an_object_that_a_file_cannot_hold_is_named(tmp_path: Path) -> None:
    fitted = classifier().fit(X, Y)
    fitted.batch_size = object()
    with pytest.raises(TypeError, match="batch_size: a file cannot hold"):
        fitted.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    with pytest.raises(NotFittedError):
        classifier().save(tmp_path / "model")


# Presets


@pytest.mark.parametrize("name", ["fast", "balanced", "best"])
def test_presets_are_for_bytes_and_can_be_changed(name: str) -> None:
    preset = MLPClassifier.preset(name, max_iter=2, random_state=0)
    images = np.random.default_rng(0).integers(0, 256, size=(600, 784), dtype=np.uint8)
    labels = images[:, :392].mean(axis=1) > images[:, 392:].mean(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        preset.fit(images, labels)
    assert preset.n_iter_ == 2
    assert preset.coefs_[0].dtype == np.float32


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="preset: expected one of 'fast', 'balanced', 'best'"):
        MLPClassifier.preset("fastest")


# With scikit-learn's tools, and without scikit-learn


def test_it_works_in_pipelines_searches_and_calibration() -> None:
    pipeline = make_pipeline(StandardScaler(), classifier(max_iter=60))
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1e-3]}, cv=3)
    assert search.fit(X, NAMES).score(X, NAMES) > 0.9
    assert CalibratedClassifierCV(classifier(max_iter=60), cv=3).fit(X, NAMES).score(X, NAMES) > 0.9
    assert cross_val_score(regressor(max_iter=200), X_NUMBERS, NUMBERS, cv=3).min() > 0.7
    cloned = sklearn.base.clone(classifier(callbacks=[Recorder()], schedule=StepDecay(5)))
    assert cloned.get_params()["schedule"] == StepDecay(5)


def test_weights_of_samples_are_routed() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        weighted = classifier().set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), weighted)
        weights = np.where(Y == 0, 1.0, 0.0)
        pipeline.fit(X, NAMES, sample_weight=weights)
    scaled = StandardScaler().fit_transform(X)
    by_hand = classifier().fit(scaled, NAMES, sample_weight=weights)
    np.testing.assert_array_equal(pipeline.predict_proba(X), by_hand.predict_proba(scaled))


def in_a_new_process(code: str) -> str:
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        # Chosen, so that an installation without the compiled backend does not warn.
        env={**os.environ, "CNN_CORE_BACKEND": cnn_core.backend_info()["backend"]},
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_importing_the_library_imports_no_scikit_learn() -> None:
    loaded = in_a_new_process("import cnn_core, sys; print(*sys.modules)").split()
    assert not {"sklearn", "scipy", "pandas", "joblib", "matplotlib"} & set(loaded)
    assert "cnn_core.model" in loaded
    assert {"MLPClassifier", "MLPRegressor"} <= set(dir(cnn_core))


def test_the_estimators_work_without_scikit_learn() -> None:
    code = """
import sys
for name in ("sklearn", "scipy", "pandas", "joblib"):
    sys.modules[name] = None
import copy, os, pickle, tempfile
import numpy as np
import cnn_core
rng = np.random.default_rng(0)
X = rng.normal(size=(200, 4))
y = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")
classifier = cnn_core.MLPClassifier((8,), random_state=0, max_iter=40, schedule="cosine",
                                    learning_rate_init=0.05, early_stopping=True)
assert repr(classifier) == ("MLPClassifier(early_stopping=True, hidden_layer_sizes=(8,), "
                            "learning_rate_init=0.05, max_iter=40, random_state=0, "
                            "schedule='cosine')"), classifier
try:
    classifier.predict(X)
except AttributeError as error:
    assert "call fit" in str(error)
assert classifier.fit(X, y).score(X, y) > 0.9
copies = [copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))]
with tempfile.TemporaryDirectory() as folder:
    classifier.save(os.path.join(folder, "model"))
    copies.append(cnn_core.load(os.path.join(folder, "model")))
for one in copies:
    assert (one.predict_proba(X) == classifier.predict_proba(X)).all()
assert classifier.set_params(alpha=0.5).get_params()["alpha"] == 0.5
for wrong in (lambda: classifier.set_params(aplha=1), lambda:
              cnn_core.MLPClassifier(scoring="f1").fit(X, y)):
    try:
        wrong()
    except ValueError as error:
        assert "expected" in str(error)
    else:
        raise AssertionError
assert not hasattr(cnn_core.MLPRegressor(solver="lbfgs"), "partial_fit")
regressor = cnn_core.MLPRegressor(hidden_layer_sizes=8, random_state=0, max_iter=60,
                                  schedule="cosine", learning_rate_init=0.05)
assert regressor.fit(X, X[:, 0]).score(X, X[:, 0]) > 0.9
print("done")
"""
    assert in_a_new_process(code) == "done\n"


def test_of_two_fits_at_once_one_is_refused() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Waiting(Callback):
        def on_epoch_begin(self, state: Any) -> None:
            begun.set()
            go_on.wait(timeout=60)

    shared = classifier(callbacks=[Waiting()])
    first = threading.Thread(target=shared.fit, args=(X, Y))
    first.start()
    begun.wait(timeout=60)
    with pytest.raises(RuntimeError, match="being fitted already"):
        shared.fit(X, Y)
    go_on.set()
    first.join()
    assert shared.n_iter_ == shared.max_iter


def test_lbfgs_keeps_a_time_budget() -> None:
    fitted = regressor(solver="lbfgs", time_budget=1e-9, max_iter=500, tol=0.0).fit(X, X[:, 0])
    assert fitted.n_iter_ == 1
    assert "budget" in fitted.stopped_because_


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("callbacks", Recorder()), ("initializer", 3)],
    ids=["callbacks", "initializer"],
)
def test_what_is_no_list_is_said_to_be_none(parameter: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"{parameter}: expected"):
        classifier(**{parameter: value}).fit(X, Y)


def test_classes_that_a_file_cannot_hold_are_named(tmp_path: Path) -> None:
    fitted = classifier(max_iter=2).fit(X, np.array([b"a", b"b", b"c"])[Y])
    with pytest.raises(TypeError, match=r"numbers and text, found \|S1"):
        fitted.save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_batch_normalization_refuses_batches_of_one_sample() -> None:
    with pytest.raises(ValueError, match="at least 2 samples in a batch"):
        classifier(normalization="batch", batch_size=1).fit(X, Y)


def test_a_last_batch_of_one_sample_does_not_spoil_batch_normalization() -> None:
    """Counted with its variance of 0 it would bring the score down to 0.8."""
    samples = 3 * np.random.RandomState(0).normal(size=(120, 5))
    fitted = regressor(
        hidden_layer_sizes=(20,),
        normalization="batch",
        batch_size=119,
        max_iter=400,
        learning_rate_init=0.01,
        n_iter_no_change=10**6,
    )
    with pytest.warns(ConvergenceWarning):
        fitted.fit(samples, samples[:, 0])
    assert fitted.score(samples, samples[:, 0]) > 0.99
