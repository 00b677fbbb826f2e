"""MLPClassifier and MLPRegressor: what they do as scikit-learn's do it, and what they do beyond."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import cnn_core
from cnn_core import MLPRegressor
from installation import BACKENDS
from small_estimators import (
    NAMES,
    NUMBERS,
    X_NUMBERS,
    X,
    Y,
    classifier,
    curve,
    regressor,
    weights_of,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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


def test_a_warning_says_that_the_epochs_were_not_enough() -> None:
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
