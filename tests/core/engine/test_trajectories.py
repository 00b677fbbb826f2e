"""Both backends train alike, step after step."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.network import NORMALIZATIONS, Dense, Network
from corpus import HEADS, OPTIMIZERS, SIGN_OPTIMIZERS
from networks import HIDDEN, PAIRS, away_from_kinks, data, network, parameters_for
from tolerances import NORMALIZED_EPS, STEP_EPS, TRAJECTORY_EPS

pytestmark = pytest.mark.covering

# Units of each layer, samples, batch size: single, off every tile's edges, several layers, a batch
# larger than the data, a long sum, wider than a panel.
TRAJECTORIES = [
    ([1, 1, 1], 5, 1),
    ([3, 2, 2], 7, 3),
    ([20, 17, 4], 101, 16),
    ([20, 30, 17, 4], 101, 32),
    ([65, 130, 10], 64, 64),
    ([784, 128, 10], 50, 7),
    ([9, 33], 40, 40),
    ([300, 5, 70], 300, 1000),
]

# Likewise for the combinations of everything, each of which takes one; with the share dropped.
SIZES = [
    ([5, 17, 3], 24, 3, 0.0),
    ([19, 33, 5], 48, 7, 0.0),
    ([7, 5, 10], 20, 1, 0.4),
    ([33, 18, 4], 40, 16, 0.25),
    ([21, 35, 7, 3], 64, 64, 0.0),
    ([3, 9, 2], 13, 2, 0.0),
    ([67, 20, 11], 70, 1000, 0.5),
    ([6, 7, 6, 5], 30, 16, 0.3),
    ([13, 40, 17], 34, 7, 0.0),
]

# What a step can have in addition.
ADDITIONS = [
    {},
    {"l2": 0.3},
    {"clip_value": 0.02},
    {"clip_norm": 0.1, "l2": 0.3},
    {"averaging": 0.9},
]

COMBINATIONS = [
    (
        HIDDEN[number % 10],
        *HEADS[(number + number // 60) % 12],
        OPTIMIZERS[(number + number // 8) % 8],
        SIZES[number % 9],
        (None, "batch", "layer")[number // 2 % 3],
        ADDITIONS[number // 3 % 5],
    )
    for number in range(120)
]


class TestTrajectories:
    @pytest.mark.compiled
    @pytest.mark.parametrize(("units", "samples", "batch_size"), TRAJECTORIES)
    def test_both_backends_train_alike(self, dtype, rng, units, samples, batch_size):
        net = network(units)
        x, t = data(rng, units, samples, dtype)
        start = parameters_for(rng, net, dtype)
        orders = [rng.permutation(samples).astype(np.intp) for _ in range(3)]
        results = []
        for name in ("cython", "numpy"):
            parameters = start.copy()
            engine = backends.get(name).engine(net, parameters)
            epochs = [engine.train_epoch(x, t, order, batch_size, 0.5) for order in orders]
            outputs = np.empty_like(t)
            engine.predict(x, outputs)
            results.append((parameters, outputs, epochs))
        (own, outputs, epochs), (reference, expected, expected_epochs) = results
        tolerance = TRAJECTORY_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(own, reference, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(outputs, expected, rtol=tolerance, atol=tolerance)
        for (loss, hits), (expected_loss, expected_hits) in zip(
            epochs, expected_epochs, strict=True
        ):
            assert loss == pytest.approx(expected_loss, rel=tolerance)
            assert hits == expected_hits

    @pytest.mark.compiled
    @pytest.mark.parametrize(
        ("hidden", "output", "loss", "optimizer", "size", "normalization", "additions"),
        COMBINATIONS,
        ids=["-".join(map(str, combination)) for combination in COMBINATIONS],
    )
    def test_they_do_with_every_activation_loss_and_optimizer(
        self, dtype, rng, hidden, output, loss, optimizer, size, normalization, additions
    ):
        units, samples, batch_size, dropout = size
        net = network(
            units,
            hidden,
            output,
            loss,
            dropout,
            normalization,
            optimizer=optimizer,
            **additions,
        )
        self.compare(dtype, rng, net, samples, batch_size)

    @pytest.mark.compiled
    @pytest.mark.parametrize("optimizer", SIGN_OPTIMIZERS, ids=str)
    @pytest.mark.parametrize("size", SIZES[:5], ids=str)
    def test_they_do_with_the_optimizers_that_go_by_the_sign(self, rng, optimizer, size):
        # In float64 alone: no gradient comes so near 0 that its sign were a matter of rounding.
        units, samples, batch_size, dropout = size
        head = ("softmax", "cross_entropy")
        net = network(units, "tanh", *head, dropout, l2=0.1, optimizer=optimizer)
        self.compare(np.dtype(np.float64), rng, net, samples, batch_size)

    def compare(self, dtype, rng, net, samples, batch_size):
        """Train by both backends: as the samples stand, and weighted with a rate for each step."""
        x, t, start = away_from_kinks(rng, net, samples, dtype)
        order = rng.permutation(samples).astype(np.intp)
        weights = (rng.random(samples) * 2).astype(dtype)
        rates = rng.random(-(-samples // batch_size)) * 0.02
        results = []
        for name in ("cython", "numpy"):
            parameters = start.copy()
            engine = backends.get(name).engine(net, parameters, seed=11)
            losses = [
                engine.train_epoch(x, t, None, batch_size, 0.01)[0],
                engine.train_epoch(x, t, order, batch_size, rates, weights)[0],
            ]
            outputs = np.empty_like(t)
            engine.predict(x, outputs)
            average = parameters if engine.average is None else engine.average
            state = (parameters, average, engine.moments, engine.statistics)
            results.append((*state, outputs, losses, engine.steps))
        normalized = any(layer.normalization for layer in net.layers)
        tolerance = NORMALIZED_EPS if normalized else TRAJECTORY_EPS
        tolerance *= float(np.finfo(dtype).eps)
        for own, reference in zip(*results, strict=True):
            np.testing.assert_allclose(own, reference, rtol=tolerance, atol=tolerance)
        assert np.isfinite(results[1][0]).all()
        assert not np.array_equal(results[1][0], start)

    @pytest.mark.parametrize("optimizer", OPTIMIZERS + SIGN_OPTIMIZERS, ids=str)
    @pytest.mark.parametrize("normalization", [None, *NORMALIZATIONS])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_a_step_is_the_optimizers_update_with_the_gradient(
        self, backend, dtype, rng, optimizer, normalization, weighted
    ):
        units = [9, 19, 3]
        head = ("softmax", "cross_entropy")
        net = network(units, "tanh", *head, 0.2, normalization, optimizer=optimizer, l2=0.1)
        x, t = data(rng, units, 12, dtype)
        weights = rng.random(12).astype(dtype) if weighted else None
        parameters = parameters_for(rng, net, dtype)
        moments = rng.random((optimizer.n_moments, parameters.size)).astype(dtype)
        expected, expected_moments = parameters.copy(), moments.copy()
        engine = backend.engine(net, parameters, moments=moments, seed=3)
        engine.steps = 6
        gradient = np.empty_like(parameters)
        loss = engine.gradient(x, t, gradient, weights)
        squares = sum((layer.weights.astype(float) ** 2).sum() for layer in net.unflatten(expected))
        total = 12 if weights is None else weights.sum(dtype=float)
        kernels = backend.kernels(dtype)
        kernels.update(optimizer, expected, gradient, expected_moments, 0.1, 7)
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        found = engine.train_epoch(x, t, None, 12, 0.1, weights)[0]
        assert found == pytest.approx(loss - 0.1 / 2 / total * squares, rel=tolerance)
        np.testing.assert_allclose(parameters, expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(moments, expected_moments, rtol=tolerance, atol=tolerance)

    def test_an_epoch_is_its_batches_one_after_the_other(self, backend, dtype, rng):
        units = [7, 9, 3]
        net = network(units)
        x, t = data(rng, units, 10, dtype)
        together = parameters_for(rng, net, dtype)
        apart = together.copy()
        order = rng.permutation(10).astype(np.intp)
        loss, hits = backend.engine(net, together).train_epoch(x, t, order, 4, 0.7)
        engine = backend.engine(net, apart)
        parts = [engine.train_epoch(x, t, order[i : i + 4], 4, 0.7) for i in (0, 4, 8)]
        assert np.array_equal(together, apart)
        sizes = (4, 4, 2)
        mean = sum(part[0] * size for part, size in zip(parts, sizes, strict=True)) / 10
        assert loss == pytest.approx(mean, rel=1e-14)
        assert hits == sum(part[1] for part in parts)

    def test_no_order_is_the_order_of_the_samples(self, backend, dtype, rng):
        units = [7, 9, 3]
        net = network(units)
        x, t = data(rng, units, 10, dtype)
        start = parameters_for(rng, net, dtype)
        ways = []
        for order in (None, np.arange(10, dtype=np.intp)):
            parameters = start.copy()
            result = backend.engine(net, parameters).train_epoch(x, t, order, 3, 0.7)
            ways.append((parameters.tolist(), result))
        assert ways[0] == ways[1]

    def test_a_thousand_layers_work(self, backend, dtype, rng):
        net = Network((Dense(1, 1),) * 1000)
        engine = backend.engine(net, parameters_for(rng, net, dtype))
        x, t = data(rng, [1, 1], 3, dtype)
        assert engine.train_epoch(x, t, None, 2, 0.1)[0] > 0

    def test_the_same_run_gives_the_same_bits(self, backend, dtype, rng):
        units = [30, 40, 5]
        net = network(units)
        x, t = data(rng, units, 60, dtype)
        start = parameters_for(rng, net, dtype)
        order = rng.permutation(60).astype(np.intp)
        ways = []
        for _ in range(2):
            parameters = start.copy()
            backend.engine(net, parameters).train_epoch(x, t, order, 16, 0.5)
            ways.append(parameters)
        assert np.array_equal(*ways)

    def test_the_loss_falls(self, backend, dtype, rng):
        units = [8, 16, 2]
        net = network(units)
        x = rng.normal(size=(200, 8)).astype(dtype)
        t = np.eye(2, dtype=dtype)[(x[:, 0] * x[:, 1] > 0).astype(int)]
        engine = backend.engine(net, parameters_for(rng, net, dtype))
        losses = [engine.train_epoch(x, t, None, 10, 2.0)[0] for _ in range(60)]
        assert losses[-1] < losses[0] / 3

    @pytest.mark.parametrize(("hidden", "output", "loss"), PAIRS, ids=str)
    def test_a_training_that_diverges_says_so_in_its_loss_and_warns_of_nothing(
        self, backend, dtype, rng, hidden, output, loss
    ):
        units = [5, 18, 3]
        net = network(units, hidden, output, loss)
        x, t = data(rng, units, 20, dtype)
        start = parameters_for(rng, net, dtype)
        start[0] = np.nan
        engine = backend.engine(net, start)
        with np.errstate(all="raise"):
            assert np.isnan(engine.train_epoch(x, t, None, 20, 1e30)[0])
            assert np.isnan(engine.train_epoch(x, t, None, 20, 1e30)[0])
            engine.predict(x, t)
        assert np.isnan(t).any()

    def test_hits_count_the_first_of_equal_outputs(self, backend, dtype):
        net = network([1, 3])
        engine = backend.engine(net, np.zeros(net.n_parameters(), dtype))
        x, t = np.zeros((3, 1), dtype), np.eye(3, dtype=dtype)[[0, 0, 2]]
        assert engine.train_epoch(x, t, None, 3, 1e-9)[1] == 2

    def test_an_epoch_over_nothing_changes_nothing(self, backend, dtype, rng):
        net = network([4, 3])
        parameters = parameters_for(rng, net, dtype)
        before = parameters.copy()
        x, t = np.empty((0, 4), dtype), np.empty((0, 3), dtype)
        assert backend.engine(net, parameters).train_epoch(x, t, None, 5, 0.1) == (0.0, 0)
        assert np.array_equal(parameters, before)

    def test_the_gradient_of_no_samples_is_0(self, backend, dtype, rng):
        net = network([4, 3])
        x, t = np.empty((0, 4), dtype), np.empty((0, 3), dtype)
        gradient = np.ones(net.n_parameters(), dtype)
        engine = backend.engine(net, parameters_for(rng, net, dtype))
        assert engine.gradient(x, t, gradient) == 0.0
        assert not gradient.any()

    def test_data_and_order_are_left_as_they_are_and_may_be_read_only(self, backend, dtype, rng):
        units = [5, 6, 2]
        net = network(units)
        x, t = data(rng, units, 9, dtype)
        order = rng.permutation(9).astype(np.intp)
        before = [a.copy() for a in (x, t, order)]
        for array in (x, t, order):
            array.flags.writeable = False
        engine = backend.engine(net, parameters_for(rng, net, dtype))
        engine.train_epoch(x, t, order, 4, 0.5)
        engine.train_epoch(x, t, None, 4, 0.5)
        for array, copy in zip((x, t, order), before, strict=True):
            assert np.array_equal(array, copy)
