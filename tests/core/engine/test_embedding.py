"""An embedding: vectors for columns of codes, learned like weights."""

from __future__ import annotations

import numpy as np
import pytest

import cnn_core
from cnn_core import backends
from cnn_core.backends.alignment import aligned
from cnn_core.network import Dense, Embedding, Network
from cnn_core.optimizers import SGD, Adam
from networks import assert_finite_differences

EMBEDDING = Embedding(4, columns=(2, 0), codes=(5, 700), dimensions=(3, 40))
LAYERS = (EMBEDDING, Dense(45, 9, "tanh"), Dense(9, 2, "identity"))


def samples(rng, n, dtype):
    x = rng.standard_normal((n, 4))
    x[:, 0] = rng.integers(0, 700, n)
    x[:, 2] = rng.integers(0, 5, n)
    return x.astype(dtype), rng.standard_normal((n, 2)).astype(dtype)


def parameters_of(network, rng, dtype):
    return aligned((0.3 * rng.standard_normal(network.n_parameters())).astype(dtype))


def test_the_outputs_are_the_vectors_of_the_codes_and_the_numbers(backend, rng, dtype):
    network = Network((EMBEDDING, Dense(45, 45, "identity")))
    x, _ = samples(rng, 30, dtype)
    parameters = parameters_of(network, rng, dtype)
    embedding, dense = network.unflatten(parameters)
    dense.weights[...], dense.bias[...] = np.eye(45), 0
    out = np.empty((30, 45), dtype)
    backend.engine(network, parameters).predict(x, out)
    five, many = EMBEDDING.tables(embedding.weights)
    codes = x.astype(int)
    expected = np.hstack([five[codes[:, 2]], many[codes[:, 0]], x[:, [1, 3]]])
    assert out.tobytes() == np.ascontiguousarray(expected).tobytes()


def test_the_gradient_is_that_of_finite_differences(backend, rng):
    network = Network(LAYERS, l2=0.1)
    x, t = samples(rng, 12, np.float64)
    parameters = parameters_of(network, rng, np.float64)
    engine = backend.engine(network, parameters)
    start = int(x[0, 0]) * 40 + 15
    numbers = (*range(15), *range(start, start + 5), len(parameters) - 1)
    assert_finite_differences(engine, parameters, x, t, numbers)


@pytest.mark.compiled
@pytest.mark.parametrize("optimizer", [SGD(momentum=0.5), Adam()], ids=["sgd", "adam"])
def test_both_backends_learn_the_same(optimizer, rng):
    network = Network(LAYERS, optimizer=optimizer, l2=0.01, averaging=0.9)
    x, t = samples(rng, 600, np.float64)
    first = parameters_of(network, rng, np.float64)
    found = []
    for name in backends.available():
        parameters = first.copy()
        engine = backends.get(name).engine(network, parameters)
        for batch_size in (1, 7, 600):
            engine.train_epoch(
                x[:60] if batch_size == 1 else x,
                t[:60] if batch_size == 1 else t,
                None,
                batch_size,
                0.01,
            )
        found.append(parameters)
    assert np.allclose(found[0], found[1], rtol=1e-9, atol=1e-11)


@pytest.mark.compiled
def test_threads_change_no_bit(rng, dtype):
    network = Network((EMBEDDING, Dense(45, 300, "tanh"), Dense(300, 2, "identity")))
    x, t = samples(rng, 500, dtype)
    first = parameters_of(network, rng, dtype)
    found = set()
    for threads in (1, 2, 3):
        parameters = first.copy()
        engine = backends.get("cython").engine(network, parameters, threads=threads)
        engine.train_epoch(x, t, None, 250, 0.01)
        found.add(parameters.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("code", [5, -1, 2.5, np.nan, np.inf])
def test_what_is_no_code_is_refused_with_its_place(backend, rng, dtype, code):
    network = Network(LAYERS)
    x, t = samples(rng, 9, dtype)
    x[7, 2] = code
    engine = backend.engine(network, parameters_of(network, rng, dtype))
    with pytest.raises(ValueError, match=r"codes from 0 to 4 in column 2, found .* in row 7"):
        engine.train_epoch(x, t, None, 3, 0.1)
    with pytest.raises(ValueError, match="column 2"):
        engine.predict(x, np.empty_like(t))


@pytest.mark.parametrize(
    ("layers", "match"),
    [
        ((EMBEDDING, Dense(44, 2)), "layer 1 expects 44 inputs, but layer 0 has 45"),
        ((EMBEDDING,), "layer 0: expected another layer above Embedding"),
        (
            (Dense(3, 4), EMBEDDING, Dense(45, 2)),
            "layer 1: expected Embedding as the first layer alone",
        ),
    ],
)
def test_shapes_are_checked_when_the_network_is_described(layers, match):
    with pytest.raises(ValueError, match=match):
        Network(layers)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((4, (0, 4), (2, 2), (1, 1)), "columns: expected different ones from 0 to 3"),
        ((4, (1, 1), (2, 2), (1, 1)), "columns: expected different ones"),
        ((4, (0,), (2, 2), (1,)), "as many of each"),
        ((4, (0,), (0,), (1,)), "codes: expected a whole number of at least 1"),
        ((4, (), (), ()), "columns: expected whole numbers"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        Embedding(*arguments)


def test_a_saved_model_trains_on_with_the_same_bits(name, rng, tmp_path):
    network = Network(LAYERS, optimizer=Adam())
    x, t = samples(rng, 80, np.float32)
    model = cnn_core.Model(network, backend=name).initialize("auto", np.random.RandomState(1))
    recipe = cnn_core.Recipe(epochs=2, batch_size=16, learning_rate=0.01)
    model.train(x, t, recipe)
    model.save(tmp_path / "model.safetensors")
    again = cnn_core.load(tmp_path / "model.safetensors", backend=name)
    assert again.network == network
    for one in (model, again):
        one.train(x, t, recipe)
    assert model.parameters.tobytes() == again.parameters.tobytes()
