"""A dense layer on encoded columns is a dense layer on the matrix of their features."""

from __future__ import annotations

import numpy as np
import pytest

import cnn_core
from cnn_core import backends
from cnn_core.backends.alignment import aligned
from cnn_core.network import Dense, EncodedDense, Network
from cnn_core.optimizers import OPTIMIZERS, SGD, Adam
from cnn_core.tolerances import TRAJECTORY_EPS
from networks import assert_finite_differences

ENCODINGS = ("pieces", "number", "codes", "pieces", "number", "codes")
SIZES = (5, 1, 3, 32, 1, 700)
# Number of units of the layer: less than a vector, several vectors and a rest.
UNITS = (3, 45)


def layer_of(units=45, **settings):
    return EncodedDense(ENCODINGS, SIZES, units, **{"activation": "tanh", **settings})


def network_of(units=45, settings=None, **network):
    return Network((layer_of(units, **(settings or {})), Dense(units, 2, "identity")), **network)


def samples(rng, n, dtype):
    x = rng.standard_normal((n, 6))
    x[:, 0], x[:, 3] = rng.uniform(-1, 6, n), rng.uniform(0, 32, n)
    x[:, 2], x[:, 5] = rng.integers(-1, 3, n), rng.integers(-1, 700, n)
    x[: n // 3, 3] = rng.integers(0, 33, n // 3)
    return x.astype(dtype), rng.standard_normal((n, 2)).astype(dtype)


def parameters_of(network, rng, dtype):
    return aligned((0.1 * rng.standard_normal(network.n_parameters())).astype(dtype))


def dense_twin(network):
    """The same network with a dense layer on the features."""
    first, *others = network.layers
    rows, units = first.weights_shape
    kept = {name: getattr(first, name) for name in ("activation", "dropout", "normalization")}
    settings = {
        name: getattr(network, name)
        for name in ("loss", "optimizer", "l2", "clip_value", "clip_norm", "averaging")
    }
    return Network((Dense(rows, units, **kept), *others), **settings)


def test_the_features_are_those_of_the_definition():
    x = np.array([[1.25, 7.0, 2, -3, 0.5, -1], [9, -1, -1, 31.5, 0, 699]])
    first, second = layer_of().encode(x)
    assert first[:5].tolist() == [0.5, -0.25, -0.5, -0.5, -0.5]
    assert first[5:9].tolist() == [7, 0, 0, 1]
    assert (first[9:41] == -0.5).all()
    assert first[41] == 0.5
    assert not first[42:].any()
    assert (second[:5] == 0.5).all()
    assert not second[6:9].any()
    assert second[9:41].tolist() == [*31 * [0.5], 0]
    assert np.flatnonzero(second[42:]).tolist() == [699]


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize(
    "settings",
    [{}, {"dropout": 0.3}, {"normalization": "batch"}, {"normalization": "layer"}],
    ids=["plain", "dropout", "batch", "layer"],
)
def test_it_learns_what_a_dense_layer_on_the_features_learns(name, units, settings, rng):
    network = network_of(units, settings, optimizer=Adam(epsilon=0.01), l2=0.1, clip_norm=1.0)
    x, t = samples(rng, 150, np.float64)
    first = parameters_of(network, rng, np.float64)
    order = rng.permutation(150).astype(np.intp)
    found = []
    for one, inputs in ((network, x), (dense_twin(network), layer_of(units).encode(x))):
        parameters, outputs = first.copy(), np.empty_like(t)
        engine = backends.get(name).engine(one, parameters, seed=3)
        for batch_size in (1, 7, 64) if "normalization" not in settings else (16, 64):
            engine.train_epoch(inputs, t, order, batch_size, 0.01)
        engine.predict(inputs, outputs)
        found.append((parameters, outputs))
    for ours, theirs in zip(*found, strict=True):
        assert np.allclose(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("settings", [{}, {"normalization": "layer"}], ids=["plain", "layer"])
def test_the_gradient_is_that_of_finite_differences(backend, settings, rng):
    network = network_of(9, settings, l2=0.1)
    x, t = samples(rng, 12, np.float64)
    parameters = parameters_of(network, rng, np.float64)
    engine = backend.engine(network, parameters)
    code = 9 * (42 + int(max(x[0, 5], 0)))
    numbers = (*range(0, 42 * 9, 5), code, code + 5, len(parameters) - 1)
    assert_finite_differences(engine, parameters, x, t, numbers)


@pytest.mark.compiled
@pytest.mark.parametrize(
    "optimizer", [SGD(momentum=0.5), *(kind() for kind in OPTIMIZERS)], ids=repr
)
def test_both_backends_learn_the_same(optimizer, rng):
    if isinstance(optimizer, Adam):
        optimizer = Adam(epsilon=0.01, weight_decay=0.1)
    network = network_of(optimizer=optimizer, l2=0.01, averaging=0.9, clip_value=0.5)
    x, t = samples(rng, 300, np.float64)
    first = parameters_of(network, rng, np.float64)
    found = []
    for name in backends.available():
        parameters = first.copy()
        engine = backends.get(name).engine(network, parameters)
        for batch_size, count in ((1, 20), (7, 300), (300, 300)):
            engine.train_epoch(x[:count], t[:count], None, batch_size, 0.001)
        found.append(parameters)
    allowed = TRAJECTORY_EPS * np.finfo(float).eps * (1 + np.abs(found[0]))
    assert (np.abs(found[0] - found[1]) <= allowed).all()


@pytest.mark.compiled
def test_threads_change_no_bit(rng, dtype):
    network = network_of(300, {"normalization": "batch"}, optimizer=Adam(), clip_norm=1.0)
    x, t = samples(rng, 700, dtype)
    first = parameters_of(network, rng, dtype)
    found = set()
    for threads in (1, 2, 3):
        parameters, outputs = first.copy(), np.empty_like(t)
        engine = backends.get("cython").engine(network, parameters, threads=threads)
        engine.train_epoch(x, t, None, 350, 0.01)
        engine.predict(x, outputs)
        found.add(parameters.tobytes() + outputs.tobytes())
    assert len(found) == 1


def test_a_sample_has_the_same_outputs_alone_and_in_a_batch(backend, rng, dtype):
    network = network_of()
    x, t = samples(rng, 70, dtype)
    engine = backend.engine(network, parameters_of(network, rng, dtype))
    outputs, one = np.empty_like(t), np.empty_like(t[:1])
    engine.predict(x, outputs)
    predict = engine.predictor(1)
    for number in (0, 33, 69):
        engine.predict(x[number : number + 1], one)
        np.testing.assert_allclose(one[0], outputs[number], rtol=1e-5)
        np.testing.assert_allclose(predict(x[number])[0], outputs[number], rtol=1e-5)


def test_parameters_that_are_set_from_outside_are_used_at_once(backend, rng, dtype):
    network = network_of()
    x, t = samples(rng, 20, dtype)
    parameters = parameters_of(network, rng, dtype)
    engine = backend.engine(network, parameters)
    engine.train_epoch(x, t, None, 5, 0.01)
    parameters[:] = parameters_of(network, rng, dtype)
    found, expected = np.empty_like(t), np.empty_like(t)
    engine.predict(x, found)
    backend.engine(network, parameters.copy()).predict(x, expected)
    assert found.tobytes() == expected.tobytes()
    changed, fresh = np.empty_like(parameters), np.empty_like(parameters)
    parameters[:] = parameters_of(network, rng, dtype)
    assert engine.gradient(x, t, changed) == backend.engine(network, parameters.copy()).gradient(
        x, t, fresh
    )
    assert changed.tobytes() == fresh.tobytes()


def test_values_outside_the_pieces_are_those_of_their_ends(backend, rng, dtype):
    network = network_of()
    x, t = samples(rng, 4, dtype)
    engine = backend.engine(network, parameters_of(network, rng, dtype))
    for value, end in ((-1e30, 0), (-0.0, 0), (32.5, 32), (1e30, 32)):
        far, near = x.copy(), x.copy()
        far[:, 3], near[:, 3] = value, end
        found, expected = np.empty_like(t), np.empty_like(t)
        engine.predict(far, found)
        engine.predict(near, expected)
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("code", [3, -2, -0.5, 2.5, np.nan, np.inf, -np.inf, 2**31, -(2**31)])
def test_what_is_no_code_is_refused_with_its_place(backend, rng, dtype, code):
    network = network_of()
    x, t = samples(rng, 9, dtype)
    x[7, 2] = code
    engine = backend.engine(network, parameters_of(network, rng, dtype))
    match = r"codes from 0 to 2, or -1, in column 2, found .* in row 7"
    with pytest.raises(ValueError, match=match):
        engine.train_epoch(x, t, None, 3, 0.1)
    with pytest.raises(ValueError, match="column 2"):
        engine.predict(x, np.empty_like(t))


def test_nan_in_pieces_is_refused_with_its_place(backend, rng, dtype):
    network = network_of()
    x, t = samples(rng, 9, dtype)
    x[5, 3] = np.nan
    engine = backend.engine(network, parameters_of(network, rng, dtype))
    with pytest.raises(ValueError, match="a number from 0 to 32 in column 3, found nan in row 5"):
        engine.gradient(x, t, np.empty(network.n_parameters(), dtype))


def test_bytes_are_codes_and_pieces_too(backend, rng, dtype):
    network = network_of()
    x, _ = samples(rng, 40, np.float64)
    x = np.abs(x).astype(np.uint8)
    parameters = parameters_of(network, rng, dtype)
    outputs = [np.empty((40, 2), dtype) for _ in range(2)]
    for inputs, out in zip((x, x.astype(dtype)), outputs, strict=True):
        backend.engine(network, parameters).predict(inputs, out)
    assert outputs[0].tobytes() == outputs[1].tobytes()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (((), (), 2), "encodings: expected one for each column"),
        ((("number",), (1, 2), 2), "as many of each, found 1 and 2"),
        ((("number",), (2,), 2), "sizes: expected at most 1 for 'number', found 2 for column 0"),
        ((("codes",), (0,), 2), "sizes: expected a whole number of at least 1"),
        ((("codes",), (2**24 + 1,), 2), "sizes: expected at most 16777216"),
        ((("bins",), (2,), 2), "encodings: expected 'number', 'pieces', 'codes', found 'bins'"),
        ((("codes",), (2,), 0), "fan_out: expected a whole number"),
        ((("codes",), (2,), 2, "step"), "activation: expected 'identity'"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        EncodedDense(*arguments)


def test_it_is_the_first_layer_and_takes_no_scale():
    with pytest.raises(ValueError, match="layer 1: expected EncodedDense as the first layer alone"):
        Network((Dense(3, 6), layer_of(), Dense(45, 2)))
    with pytest.raises(ValueError, match="input_scale: expected 1"):
        network_of(input_scale=0.5)
    assert Network((layer_of(),)).n_outputs == 45


def test_first_weights_have_the_scale_that_gives_the_sums_a_variance_near_1(rng):
    layer = EncodedDense(("pieces", "codes", "number"), (32, 40, 1), 500, "relu")
    model = cnn_core.Model(Network((layer,))).initialize("lecun_normal", np.random.RandomState(1))
    x = np.column_stack(
        [rng.uniform(0, 32, 200), rng.integers(0, 40, 200), rng.standard_normal(200)]
    )
    sums = layer.encode(x) @ model.layers[0].weights
    assert 0.7 < sums.std() < 1.3


def test_a_saved_model_trains_on_with_the_same_bits(name, rng, tmp_path):
    network = network_of(settings={"normalization": "batch"}, optimizer=Adam())
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
