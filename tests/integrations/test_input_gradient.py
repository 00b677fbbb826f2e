"""The gradient of an output by the inputs is that of finite differences, on both backends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnn_core import NN, Dense, EncodedDense, ImageClassifier, MLPRegressor, Model, Network
from cnn_core.network import ACTIVATIONS
from exported import with_weights
from image_networks import STACKS, image_network
from installation import BACKENDS
from small_estimators import NAMES, NUMBERS, X_NUMBERS, X, Y, classifier, regressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
STEP = 1e-6


def on(backend: str, network: Network) -> Model:
    source = with_weights(network, np.float64)
    model = Model(network, dtype=np.float64, backend=backend)
    for name, array in model.arrays().items():
        array[...] = source.arrays()[name]
    return model


def by_differences(predict: Any, x: np.ndarray, output: int) -> np.ndarray:
    """Return the slope of an output for each feature of each sample."""
    found = np.empty_like(x)
    for feature in range(x.shape[1]):
        moved = np.zeros_like(x)
        moved[:, feature] = STEP
        rise = predict(x + moved)[:, output] - predict(x - moved)[:, output]
        found[:, feature] = rise / (2 * STEP)
    return found


def assert_slopes(model: Any, x: np.ndarray, output: int) -> None:
    gradient = model.input_gradient(x, output)
    expected = by_differences(model.predict, x, output)
    np.testing.assert_allclose(gradient, expected, atol=2e-7 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_every_activation(backend: str, normalization: Any) -> None:
    for activation in ACTIVATIONS:
        hidden = activation if activation not in ("softmax", "exp") else "tanh"
        layers = (Dense(4, 6, hidden, 0.2, normalization), Dense(6, 3, activation))
        assert_slopes(on(backend, Network(layers, input_scale=-0.7)), RNG.normal(size=(7, 4)), 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", STACKS)
def test_image_networks(backend: str, name: str) -> None:
    network = image_network(name)
    assert_slopes(on(backend, network), RNG.normal(size=(2, network.n_inputs)), 2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_encoded_columns(backend: str) -> None:
    encoded = EncodedDense(("number", "pieces", "codes"), (1, 8, 3), 6, "tanh")
    model = on(backend, Network((encoded, Dense(6, 2, "sigmoid"))))
    x = np.array([[0.3, 2.4, 1.0], [-1.0, 0.6, -1.0], [0.1, 7.3, 2.0], [2.0, 8.7, 0.0]])
    gradient = model.input_gradient(x, 1)
    for column in (0, 1):
        moved = np.zeros_like(x)
        moved[:, column] = STEP
        rise = model.predict(x + moved)[:, 1] - model.predict(x - moved)[:, 1]
        np.testing.assert_allclose(gradient[:, column], rise / (2 * STEP), atol=1e-7)
    assert not gradient[:, 2].any()


def test_classes_of_a_classifier() -> None:
    model = classifier(dtype="float64").fit(X, NAMES)
    for place, name in enumerate(model.classes_):
        expected = by_differences(model.predict_proba, X[:20], place)
        np.testing.assert_allclose(model.input_gradient(X[:20], name), expected, atol=1e-7)
    own = model.input_gradient(X[:20])
    np.testing.assert_array_equal(own, model.input_gradient(X[:20], model.predict(X[:20])))
    two = classifier(dtype="float64").fit(X, Y == 1)
    for place in (False, True):
        expected = by_differences(two.predict_proba, X[:20], int(place))
        np.testing.assert_allclose(two.input_gradient(X[:20], place), expected, atol=1e-7)


def test_regressors_an_nn_and_images() -> None:
    model = regressor().fit(X_NUMBERS, NUMBERS)
    expected = by_differences(lambda x: model.predict(x).reshape(-1, 1), X_NUMBERS[:9], 0)
    np.testing.assert_allclose(model.input_gradient(X_NUMBERS[:9]), expected, atol=1e-7)
    net = NN(4, 3, 2, 0.1, 1, seed=0, dtype=np.float64)
    assert_slopes(net, X[:5], 1)
    pixels = RNG.integers(0, 256, (12, 6, 6)).astype(np.uint8)
    layers = [{"kind": "Conv2D", "channels": 3}]
    images = ImageClassifier(layers, max_iter=1, random_state=0, backend="numpy")
    images.fit(pixels, np.arange(12) % 2)
    assert images.input_gradient(pixels).shape == (12, 36)
    assert np.abs(images.input_gradient(pixels)).max() > 0


def test_blocks_and_no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier().fit(X, NAMES)
    whole = model.input_gradient(X)
    monkeypatch.setattr("cnn_core.input_gradients._VALUES_AT_ONCE", 30)
    np.testing.assert_allclose(model.input_gradient(X), whole, rtol=1e-12)


def test_an_output_that_there_is_not() -> None:
    model = classifier().fit(X, NAMES)
    for wrong in ("oak", 0, ["ash"]):
        with pytest.raises(ValueError, match="output: expected"):
            model.input_gradient(X, wrong)
    with pytest.raises(ValueError, match="not fitted"):
        MLPRegressor().input_gradient(X)
