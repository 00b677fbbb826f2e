"""What others compute from ``coefs_`` and ``intercepts_`` is what the estimator predicts."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from cnn_core import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (200, 5)).astype(np.uint8)
Y = X[:, 0] // 86
ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
}


def computed_by_others(estimator: Any, x: np.ndarray) -> np.ndarray:
    """Return the outputs as emlearn and skl2onnx have them, from the same attributes."""
    a = x.astype(np.float64)
    for layer in range(estimator.n_layers_ - 1):
        a = a @ estimator.coefs_[layer] + estimator.intercepts_[layer]
        last = layer == estimator.n_layers_ - 2
        a = ACTIVATIONS[estimator.out_activation_ if last else estimator.activation](a)
    return a


def fitted(kind: Any = MLPClassifier, y: Any = Y, **parameters: Any) -> Any:
    usual = {"hidden_layer_sizes": (8, 6), "max_iter": 8, "random_state": 0}
    return kind(**{**usual, "learning_rate_init": 0.01, **parameters}).fit(X, y)


SETTINGS: list[dict[str, Any]] = [
    {"normalization": "batch"},
    {"input_scale": 1 / 255},
    {"input_scale": 1 / 255, "normalization": ["batch", None], "activation": "tanh"},
    {"input_scale": -0.01, "normalization": "batch", "averaging": 0.9, "dropout": 0.2},
    {"input_scale": 1 / 255, "dtype": "float64"},
    {"averaging": 0.9},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_they_say_all_that_a_prediction_does(settings: dict[str, Any]) -> None:
    classifier = fitted(**settings)
    np.testing.assert_allclose(
        computed_by_others(classifier, X), classifier.predict_proba(X), atol=2e-5
    )
    regressor = fitted(MLPRegressor, Y / 2.0, **settings)
    outputs = computed_by_others(regressor, X)[:, 0]
    np.testing.assert_allclose(outputs, regressor.predict(X), rtol=1e-4, atol=1e-4)


def test_what_they_cannot_say_is_refused() -> None:
    for normalization in ("layer", ["batch", "layer"]):
        classifier = fitted(normalization=normalization)
        for name in ("coefs_", "intercepts_"):
            assert not hasattr(classifier, name)
            with pytest.raises(AttributeError, match=r"normalization='layer'.*model_\.layers"):
                getattr(classifier, name)


def test_folded_copies_take_no_writing_in_silence() -> None:
    classifier = fitted(normalization="batch", input_scale=1 / 255)
    before = classifier.predict_proba(X)
    with pytest.raises(ValueError, match="read-only"):
        classifier.coefs_[0][...] = 0
    with pytest.raises(ValueError, match="layer 0: expected views to write to"):
        classifier.coefs_[0] = np.zeros((5, 8))
    with pytest.raises(ValueError, match="layers: expected views to write to"):
        classifier.intercepts_[:] = classifier.intercepts_
    assert np.array_equal(classifier.predict_proba(X), before)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_all_layers_can_be_assigned(settings: dict[str, Any]) -> None:
    one, other = fitted(**settings), fitted(random_state=7, **settings)
    expected = one.predict_proba(X)
    other.coefs_, other.intercepts_ = one.coefs_, one.intercepts_
    np.testing.assert_allclose(other.predict_proba(X), expected, atol=2e-5)
    for mine, given in zip(
        other.coefs_ + other.intercepts_, one.coefs_ + one.intercepts_, strict=True
    ):
        np.testing.assert_allclose(mine, given, rtol=1e-5, atol=1e-7)


def test_first_weights_are_weights_of_the_samples_as_they_are_passed() -> None:
    known = fitted(input_scale=1 / 255)
    begun = MLPClassifier(
        (8, 6), max_iter=1, random_state=0, input_scale=1 / 255, learning_rate_init=1e-12
    )
    begun.coefs_, begun.intercepts_ = known.coefs_, known.intercepts_
    np.testing.assert_allclose(begun.fit(X, Y).predict_proba(X), known.predict_proba(X), atol=1e-4)


def test_a_gain_of_0_hides_the_weights() -> None:
    classifier = fitted(normalization="batch")
    classifier.model_.layers[0].gain[2] = 0
    with pytest.raises(ValueError, match="gain of 0, which hides the weights of unit 2"):
        classifier.coefs_ = classifier.coefs_


def test_copies_of_the_lists_are_plain() -> None:
    for settings in ({}, {"normalization": "batch"}):
        copied = pickle.loads(pickle.dumps(fitted(**settings).coefs_))
        assert type(copied) is list
        assert all(array.flags.writeable for array in copied)
