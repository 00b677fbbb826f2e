"""Sparse samples give the bits of the same samples with their zeros, in the memory of the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import networks
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam
from cnn_core.sparse import SparseRows
from cnn_core.training import Recipe, Validation
from memory_peak import peak_of


def sparse_rows(rng, samples, features, density, dtype):
    """Sparse rows, and the same with their zeros; a row and a column have none at all."""
    dense = rng.normal(size=(samples, features)) * (rng.random((samples, features)) < density)
    dense[samples // 2] = 0
    dense[:, features // 3] = 0
    dense = dense.astype(dtype)
    rows, columns = np.nonzero(dense)
    indptr = np.zeros(samples + 1, np.intp)
    np.cumsum(np.bincount(rows, minlength=samples), out=indptr[1:])
    return SparseRows(dense[rows, columns], columns.astype(np.int32), indptr, features), dense


def network(units, normalization=None, **settings):
    head = ("softmax", "cross_entropy")
    return networks.network(units, "relu", *head, normalization=normalization, **settings)


def problem(rng, net, samples, dtype, density=0.1):
    x, dense = sparse_rows(rng, samples, net.n_inputs, density, dtype)
    t = rng.random((samples, net.n_outputs)).astype(dtype)
    return x, dense, t, networks.parameters_for(rng, net, dtype)


SETTINGS = {
    "adam": {"optimizer": Adam()},
    "plain": {"optimizer": SGD()},
    "momentum, l2": {"optimizer": SGD(momentum=0.9), "l2": 0.3},
    "clipped": {"optimizer": Adam(), "clip_norm": 0.1, "l2": 0.1},
    "clipped values": {"optimizer": SGD(), "clip_value": 0.01},
    "averaged": {"optimizer": Adam(), "averaging": 0.9},
    "batch": {"optimizer": Adam(), "normalization": "batch"},
    "layer": {"optimizer": Adam(), "normalization": "layer"},
    "scaled": {"optimizer": Adam(), "input_scale": 1 / 255},
}


class TestSparseRows:
    def test_are_written_out_with_their_zeros(self, rng):
        x, dense = sparse_rows(rng, 12, 9, 0.3, np.float64)
        np.testing.assert_array_equal(x.dense(np.float64), dense)
        assert (x.shape, len(x), x.dtype) == ((12, 9), 12, np.float64)

    @pytest.mark.parametrize(
        "part", [slice(2, 7), slice(0, 0), slice(9, 99), np.array([5, 5, 0, 11]), np.zeros(0, int)]
    )
    def test_a_part_of_them_is_that_part(self, rng, part):
        x, dense = sparse_rows(rng, 12, 9, 0.3, np.float64)
        np.testing.assert_array_equal(x[part].dense(np.float64), dense[part])
        if isinstance(part, slice):
            np.testing.assert_array_equal(x[2:10][part].dense(np.float64), dense[2:10][part])


class TestEngine:
    @pytest.mark.covering
    @pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
    @pytest.mark.parametrize(
        ("units", "samples", "batch_size"),
        [([7, 5, 3], 30, 7), ([1700, 40, 5], 300, 128), ([90, 300, 3], 600, 600), ([500, 3], 9, 1)],
    )
    def test_they_train_with_the_bits_of_dense_ones(
        self, backend, dtype, rng, units, samples, batch_size, settings
    ):
        net = network(units, **settings)
        x, dense, t, first = problem(rng, net, samples, dtype)
        order = rng.permutation(samples).astype(np.intp)
        weights = rng.random(samples).astype(dtype)
        ways = []
        for data in (x, dense):
            parameters, gradient, outputs = first.copy(), np.empty_like(first), np.empty_like(t)
            engine = backend.engine(net, parameters)
            result = (
                engine.train_epoch(data, t, order, batch_size, 0.01, weights),
                engine.train_epoch(data, t, None, batch_size, 0.01),
                engine.gradient(data, t, gradient, weights),
                engine.predict(data, outputs),
            )
            ways.append((result, parameters.tobytes(), gradient.tobytes(), outputs.tobytes()))
        assert ways[0] == ways[1]

    @pytest.mark.parametrize("batch_size", [1, 3, 8])
    def test_so_they_do_in_small_steps_of_plain_descent(self, backend, dtype, rng, batch_size):
        net = network([120, 50, 5], optimizer=SGD())
        x, dense, t, first = problem(rng, net, 53, dtype)
        ways = []
        for data in (x, dense):
            parameters = first.copy()
            result = backend.engine(net, parameters).train_epoch(data, t, None, batch_size, 0.1)
            ways.append((result, parameters.tobytes()))
        assert ways[0] == ways[1]

    def test_the_articles_rule_takes_them(self, backend, dtype, rng):
        net = Network((Dense(9, 4), Dense(4, 2)), rule="article")
        x, dense = sparse_rows(rng, 8, 9, 0.3, dtype)
        t = rng.random((8, 2)).astype(dtype)
        ways = []
        for data in (x, dense):
            parameters = (np.random.default_rng(1).normal(size=net.n_parameters(8))).astype(dtype)
            result = backend.engine(net, parameters).train_epoch(data, t, None, 8, 0.1)
            ways.append((result, parameters.tobytes()))
        assert ways[0] == ways[1]

    @pytest.mark.parametrize("density", [0.0, 1.0])
    def test_with_no_value_at_all_and_with_all(self, backend, dtype, rng, density):
        net = network([40, 6, 3], optimizer=Adam())
        x, dense, t, first = problem(rng, net, 20, dtype, density)
        ways = []
        for data in (x, dense):
            parameters = first.copy()
            result = backend.engine(net, parameters).train_epoch(data, t, None, 7, 0.1)
            ways.append((result, parameters.tobytes()))
        assert ways[0] == ways[1]

    def test_threads_change_no_bit(self, rng):
        from cnn_core import backends

        if "cython" not in backends.available():
            return
        net = network([3000, 60, 5], optimizer=Adam())
        x, _, t, first = problem(rng, net, 500, np.float32, 0.02)
        ways = []
        for threads in (1, 2, 3):
            parameters, outputs = first.copy(), np.empty_like(t)
            engine = backends.get("cython").engine(net, parameters, threads=threads)
            result = engine.train_epoch(x, t, None, 200, 0.01)
            engine.predict(x, outputs)
            ways.append((result, parameters.tobytes(), outputs.tobytes()))
        assert ways[0] == ways[1] == ways[2]

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_a_prediction_tells_whether_all_values_are_finite(self, backend, dtype, rng, value):
        net = network([40, 6, 3])
        x, _, t, parameters = problem(rng, net, 20, dtype)
        engine, outputs = backend.engine(net, parameters), np.empty_like(t)
        assert engine.predict(x, outputs)
        x.data[7] = value
        assert not engine.predict(x, outputs)
        assert engine.predict(x[15:], outputs[15:])

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"n_features": 5}, ValueError),
            ({"indices": np.array([0, 4, 2], np.int32)}, ValueError),
            ({"indices": np.array([0, -1, 2], np.int32)}, ValueError),
            ({"indices": np.array([2, 1, 2], np.int32)}, ValueError),
            ({"indices": np.array([1, 1, 2], np.int32)}, ValueError),
            ({"indices": np.array([0, 1], np.int32)}, ValueError),
            ({"indices": np.array([0, 1, 2])}, ValueError),
            ({"indices": [0, 1, 2]}, TypeError),
            ({"indices": None}, TypeError),
            ({"indptr": np.array([0, 2, 9])}, ValueError),
            ({"indptr": np.array([0, 3, 2])}, ValueError),
            ({"indptr": np.array([-1, 2, 3])}, ValueError),
            ({"indptr": np.array([0, 3])}, ValueError),
            ({"indptr": np.zeros(0, np.intp)}, ValueError),
            ({"indptr": np.array([0, 2, 3], np.int32)}, ValueError),
            ({"data": np.ones(3, np.int64)}, ValueError),
            ({"data": np.ones(6)[::2]}, ValueError),
            ({"data": np.ones((3, 1))}, ValueError),
            ({"data": None}, TypeError),
        ],
        ids=str,
    )
    def test_rows_that_contradict_themselves_are_refused(self, backend, change, error):
        net = network([4, 3])
        engine = backend.engine(net, np.zeros(net.n_parameters()))
        good = SparseRows(
            np.ones(3), np.array([0, 2, 1], np.int32), np.array([0, 2, 3], np.intp), 4
        )
        t, out = np.zeros((2, 3)), np.zeros(net.n_parameters())
        engine.train_epoch(good, t, None, 1, 0.1)
        bad = replace(good, **change)
        with pytest.raises(error):
            engine.train_epoch(bad, t, None, 1, 0.1)
        with pytest.raises(error):
            engine.gradient(bad, t, out)
        with pytest.raises(error):
            engine.predict(bad, t)


class TestModel:
    def test_trains_and_measures_with_the_bits_of_dense_samples(self, name, rng):
        ways = []
        net = network([60, 8, 3], optimizer=Adam())
        x, dense, t, first = problem(rng, net, 90, np.float32)
        for data in (x, dense):
            model = Model(net, backend=name, seed=2)
            model.parameters[:] = first
            validation = Validation(data[:30], t[:30], score=lambda y: float(y.mean()))
            state = model.train(data, t, Recipe(3, 16, 0.02), validation=validation)
            history = {key: v for key, v in state.history.items() if key != "seconds"}
            outputs = model.predict(data)
            ways.append((history, model.parameters.tobytes(), outputs.tobytes()))
        assert ways[0] == ways[1]

    def test_a_value_that_is_not_finite_is_named(self, name, rng):
        model = Model(network([60, 3]), backend=name)
        x, _ = sparse_rows(rng, 30, 60, 0.2, np.float32)
        x.data[50] = np.nan
        row, column = np.argwhere(np.isnan(x.dense(np.float32)))[0]
        with pytest.raises(ValueError, match=f"nan .* at row {row}, column {column}$"):
            model.predict(x)

    def test_takes_no_memory_for_zeros(self, name, rng):
        samples, features = 4000, 4000
        net = network([features, 4, 3])
        indptr = np.arange(0, 10 * samples + 1, 10)
        indices = np.sort(rng.integers(0, features // 10, (samples, 10)) + np.arange(10) * 400)
        x = SparseRows(
            np.ones(10 * samples, np.float32), indices.ravel().astype(np.int32), indptr, features
        )
        t = np.zeros((samples, 3), np.float32)
        model = Model(net, backend=name)
        peak = peak_of(lambda: model.train(x, t, Recipe(1, 100, 0.1)))
        assert peak < samples * features * 4 / 4
        assert peak_of(lambda: model.predict(x)) < samples * features * 4 / 1.5
