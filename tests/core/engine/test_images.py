"""Convolution and pooling: gradients, trajectories, threads and files, on both backends."""

from __future__ import annotations

import json

import numpy as np
import pytest

import cnn_core
from cnn_core import backends
from cnn_core.backends.alignment import aligned
from cnn_core.layers import LAYERS
from cnn_core.network import Conv2D, Dense, MaxPool2D, Network
from cnn_core.optimizers import SGD, Adam
from cnn_core.sparse import SparseRows
from image_networks import STACKS, image_network, samples_for
from networks import assert_finite_differences, parameters_for
from paths import GOLDEN
from tolerances import NORMALIZED_EPS

AUTOGRAD = json.loads((GOLDEN / "images.json").read_text())


def golden_network(golden):
    stack = cnn_core.Stack(tuple(golden["input_shape"]))
    for kind, settings in golden["layers"]:
        stack.add(LAYERS[kind], **settings)
    return Network(stack.layers, "cross_entropy", SGD())


@pytest.mark.parametrize("case", AUTOGRAD["cases"])
def test_gradient_training_and_prediction_are_autograds(backend, case):
    golden = AUTOGRAD["cases"][case]
    network = golden_network(golden)
    parameters, x, t = (np.array(golden[name]) for name in ("parameters", "x", "t"))
    engine = backend.engine(network, parameters)
    gradient, outputs = np.empty_like(parameters), np.empty_like(t)
    assert engine.gradient(x, t, gradient) == pytest.approx(golden["loss"], rel=1e-13)
    np.testing.assert_allclose(gradient, golden["gradient"], rtol=1e-11, atol=1e-14)
    for _ in range(AUTOGRAD["epochs"]):
        engine.train_epoch(x, t, None, AUTOGRAD["batch_size"], AUTOGRAD["learning_rate"])
    engine.predict(x, outputs)
    np.testing.assert_allclose(parameters, golden["trained_parameters"], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(engine.statistics, golden["statistics"], rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(outputs, golden["outputs"], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", STACKS)
def test_the_gradient_is_that_of_finite_differences(backend, rng, name):
    network = image_network(name, l2=0.1)
    x, t = samples_for(rng, network, 5, np.float64)
    parameters = parameters_for(rng, network, np.float64)
    engine = backend.engine(network, parameters, seed=3)
    numbers = rng.choice(parameters.size, 15, replace=False)
    assert_finite_differences(engine, parameters, x, t, numbers)


@pytest.mark.compiled
@pytest.mark.parametrize("optimizer", [SGD(momentum=0.5), Adam(epsilon=0.01)], ids=["sgd", "adam"])
@pytest.mark.parametrize("name", STACKS)
def test_both_backends_learn_the_same(rng, dtype, name, optimizer):
    network = image_network(name, optimizer=optimizer, l2=0.01, averaging=0.9, clip_norm=1.0)
    x, t = samples_for(rng, network, 40, dtype)
    weights = rng.uniform(0.5, 2, 40).astype(dtype)
    first = parameters_for(rng, network, dtype)
    found = []
    for backend in map(backends.get, backends.available()):
        parameters, outputs = first.copy(), np.empty_like(t)
        engine = backend.engine(network, parameters, seed=5)
        for batch_size in (4, 7, 40):
            engine.train_epoch(x, t, None, batch_size, 0.01, weights)
        engine.predict(x, outputs)
        found.append((parameters, engine.statistics.copy(), outputs))
    for one, other in zip(*found, strict=True):
        allowed = NORMALIZED_EPS * np.finfo(dtype).eps
        np.testing.assert_allclose(one, other, rtol=allowed, atol=allowed)


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["same, stride 2", "batch"])
def test_a_batch_with_more_samples_than_there_is_room_for_is_one_step(rng, name):
    network = image_network(name, optimizer=Adam(epsilon=0.01), clip_norm=0.5)
    x, t = samples_for(rng, network, 600, np.float64)
    first = parameters_for(rng, network, np.float64)
    found = []
    for backend in map(backends.get, backends.available()):
        parameters, gradient = first.copy(), np.empty_like(first)
        engine = backend.engine(network, parameters, seed=5)
        engine.gradient(x, t, gradient)
        engine.train_epoch(x, t, None, 600, 0.01)
        found.append((parameters, gradient))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.compiled
@pytest.mark.parametrize(
    "name",
    [
        "colour, kernel 5",
        "same, stride 2",
        "batch",
        "layer",
        "pool first",
        "pool within",
        "pools of 3 within",
    ],
)
def test_threads_change_no_bit(rng, dtype, name):
    network = image_network(name)
    x, t = samples_for(rng, network, 300, dtype)
    first = parameters_for(rng, network, dtype)
    found = set()
    for threads in (1, 2, 3):
        parameters, outputs = aligned(first.copy()), np.empty_like(t)
        engine = backends.get("cython").engine(network, parameters, threads=threads, seed=2)
        for batch_size in (70, 300):
            engine.train_epoch(x, t, None, batch_size, 0.001)
        engine.predict(x, outputs)
        found.add((parameters.tobytes(), engine.statistics.tobytes(), outputs.tobytes()))
    assert len(found) == 1


def test_a_sample_alone_has_the_bits_that_it_has_among_others(backend, rng, dtype):
    network = image_network("batch")
    x, t = samples_for(rng, network, 30, dtype)
    engine = backend.engine(network, parameters_for(rng, network, dtype))
    together, alone = np.empty_like(t), np.empty_like(t)
    engine.predict(x, together)
    for number in range(len(x)):
        engine.predict(x[number : number + 1], alone[number : number + 1])
    if backend.name == "cython":
        assert together.tobytes() == alone.tobytes()
    np.testing.assert_allclose(together, alone, rtol=1e3 * np.finfo(dtype).eps)


def test_bytes_and_sparse_rows_give_the_bits_of_the_same_numbers(backend, rng, dtype):
    network = Network((Conv2D((6, 5, 1), 4), Dense(120, 2, "identity")), input_scale=1 / 255)
    x, t = rng.integers(0, 3, (20, 30)).astype(np.uint8), rng.random((20, 2)).astype(dtype)
    rows, columns = np.nonzero(x)
    starts = np.searchsorted(rows, np.arange(21))
    sparse = SparseRows(x[rows, columns].astype(dtype), columns.astype(np.int32), starts, 30)
    first = parameters_for(rng, network, dtype)
    found = []
    for samples in (x, x.astype(dtype), sparse):
        parameters = first.copy()
        backend.engine(network, parameters).train_epoch(samples, t, None, 8, 0.1)
        found.append(parameters.tobytes())
    assert found[0] == found[1] == found[2]


def test_equal_values_leave_the_gradient_of_a_window_to_the_first(backend):
    network = Network((MaxPool2D((2, 3, 1), 2, 1), Dense(2, 1, "identity")))
    network = Network((Conv2D((2, 3, 1), 1, 1, activation="identity"), *network.layers))
    parameters = np.array([1.0, 0, 1, 10, 0])
    gradient = np.empty(5)
    # Both windows hold 5 twice; the delta of the loss is 1 + 10 times the weights.
    x = np.array([[1.0, 5, 5, 5, 5, 1]])
    backend.engine(network, parameters).gradient(x, np.array([[54.0]]), gradient)
    assert gradient.tolist() == [55, 11, 5, 5, 1]


def test_a_saved_model_trains_on_with_the_same_bits(name, rng, tmp_path):
    network = image_network("batch", optimizer=Adam(), averaging=0.9)
    x, t = samples_for(rng, network, 40, np.float32)
    model = cnn_core.Model(network, backend=name, seed=4).initialize(
        "he_normal", np.random.RandomState(1)
    )
    recipe = cnn_core.Recipe(epochs=2, batch_size=16, learning_rate=0.01)
    model.train(x, t, recipe)
    model.save(tmp_path / "model.safetensors")
    other = cnn_core.load(tmp_path / "model.safetensors", backend=name)
    assert other.network == network
    for one in (model, other):
        one.train(x, t, recipe)
    assert model.parameters.tobytes() == other.parameters.tobytes()
    assert model.predict(x).tobytes() == other.predict(x).tobytes()
