"""The engine of every backend trains as the formulas say, step after step."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import signal
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.contracts import Engine
from cnn_core.network import SGD, Adam, Dense, Network
from corpus import HEADS, NOT_ARRAYS, OPTIMIZERS, REFUSED_LAYOUTS
from tolerances import FINITE_DIFFERENCE, STEP_EPS, TRAJECTORY_EPS

AUTOGRAD = json.loads((Path(__file__).parent / "golden" / "autograd.json").read_text())
GOLDEN = AUTOGRAD["cases"]
SMALL = AUTOGRAD["networks"]

HIDDEN = ("identity", "sigmoid", "tanh", "relu")

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
COMBINATIONS = [
    (hidden, *head, optimizer, SIZES[number % len(SIZES)])
    for number, (hidden, head, optimizer) in enumerate(itertools.product(HIDDEN, HEADS, OPTIMIZERS))
]


def network(
    units, hidden="sigmoid", output="sigmoid", loss="squared_error", dropout=0.0, **settings
):
    sizes = list(itertools.pairwise(units))
    layers = [Dense(m, n, hidden, dropout) for m, n in sizes[:-1]] + [Dense(*sizes[-1], output)]
    return Network(tuple(layers), loss, **settings)


def data(rng, units, samples, dtype):
    x = rng.normal(size=(samples, units[0])).astype(dtype)
    t = rng.random((samples, units[-1])).astype(dtype)
    return x, t


def parameters_for(rng, net, dtype, bias_rows=1):
    parameters = rng.normal(size=net.n_parameters(bias_rows)) * 0.3
    return parameters.astype(dtype)


def away_from_kinks(rng, net, samples, dtype):
    """Samples, targets and parameters at which no pre-activation comes near 0.

    The first feature is -1 or 1 and decides the sign in the first layer, unit by unit; in the
    layers above the bias does. A ReLU whose z is all but 0 would let a gradient through in one
    backend and not in the other.
    """
    x = rng.normal(size=(samples, net.n_inputs))
    x[:, 0] = rng.choice([-1.0, 1.0], samples)
    t = rng.random((samples, net.n_outputs))
    parameters = rng.normal(size=net.n_parameters())
    for number, (weights, bias) in enumerate(net.unflatten(parameters)):
        weights *= 0.2 / len(weights) ** 0.5
        bias[:] = np.resize([1.0, -1.0], bias.shape)
        if number == 0:
            weights[0] = bias
            bias[:] = rng.normal(size=bias.shape) * 0.1
    return x.astype(dtype), t.astype(dtype), parameters.astype(dtype)


def masks_of(backend, net, seed, step, samples, dtype):
    """What dropout multiplies each layer's activation by, from the kernel."""
    masks = []
    for number, layer in enumerate(net.layers):
        mask = np.ones((samples, layer.fan_out), dtype)
        if layer.dropout:
            backend.kernels(dtype).dropout(layer.dropout, seed, step, number, mask, mask)
        masks.append(mask)
    return masks


class TestContract:
    @pytest.mark.parametrize("method", ["train_epoch", "gradient", "predict", "predictor"])
    def test_every_engine_has_the_method_with_the_same_parameters(self, backend, dtype, method):
        net = network([2, 2])
        engine = backend.engine(net, np.zeros(net.n_parameters(), dtype))
        expected = inspect.signature(getattr(Engine, method)).parameters.values()
        found = inspect.signature(getattr(type(engine), method)).parameters.values()
        assert [(p.name, p.default) for p in found] == [(p.name, p.default) for p in expected]

    def test_every_backend_makes_engines_from_the_same_arguments(self, backend):
        parameters = inspect.signature(backend.engine).parameters.values()
        assert [(p.name, p.default, p.kind is p.KEYWORD_ONLY) for p in parameters] == [
            ("network", inspect.Parameter.empty, False),
            ("parameters", inspect.Parameter.empty, False),
            ("moments", None, True),
            ("seed", 0, True),
            ("threads", None, True),
        ]


class TestAgainstAutograd:
    @pytest.mark.parametrize("case", GOLDEN)
    def test_the_gradient_is_autograds(self, backend, case):
        golden = GOLDEN[case]
        parameters = np.array(golden["parameters"])
        engine = backend.engine(network(golden["units"]), parameters)
        gradient = np.empty_like(parameters)
        loss = engine.gradient(np.array(golden["x"]), np.array(golden["t"]), gradient)
        assert loss == pytest.approx(golden["loss"], rel=1e-13)
        np.testing.assert_allclose(gradient, golden["gradient"], rtol=1e-12, atol=1e-15)

    @pytest.mark.parametrize("case", GOLDEN)
    def test_so_is_every_step_of_a_training(self, backend, case):
        golden = GOLDEN[case]
        parameters = np.array(golden["parameters"])
        engine = backend.engine(network(golden["units"]), parameters)
        x, t = np.array(golden["x"]), np.array(golden["t"])
        for order, expected in zip(golden["orders"], golden["epoch_losses"], strict=True):
            loss, _ = engine.train_epoch(
                x, t, np.array(order, np.intp), golden["batch_size"], golden["learning_rate"]
            )
            assert loss == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(parameters, golden["trained_parameters"], rtol=1e-11, atol=1e-14)

    @pytest.mark.parametrize(
        "golden",
        SMALL["gradients"],
        ids=lambda g: f"{g['hidden']}-{g['output']}-{g['loss']}",
    )
    def test_so_is_the_gradient_of_every_activation_and_loss(self, backend, golden):
        net = network(SMALL["units"], golden["hidden"], golden["output"], golden["loss"])
        engine = backend.engine(net, np.array(SMALL["parameters"]))
        gradient = np.empty(net.n_parameters())
        loss = engine.gradient(np.array(SMALL["x"]), np.array(SMALL["t"]), gradient)
        assert loss == pytest.approx(golden["value"], rel=1e-13)
        np.testing.assert_allclose(gradient, golden["gradient"], rtol=1e-11, atol=1e-14)

    @pytest.mark.parametrize(
        "golden",
        SMALL["trajectories"],
        ids=lambda g: f"{g['hidden']}-{g['loss']}-{g['optimizer']}-{g['settings']}",
    )
    def test_so_is_the_way_of_every_optimizer(self, backend, golden):
        optimizer = {"SGD": SGD, "Adam": Adam}[golden["optimizer"]](**golden["settings"])
        net = network(
            SMALL["units"],
            golden["hidden"],
            golden["output"],
            golden["loss"],
            optimizer=optimizer,
        )
        parameters = np.array(SMALL["parameters"])
        engine = backend.engine(net, parameters)
        x, t = np.array(SMALL["x"]), np.array(SMALL["t"])
        for _ in range(SMALL["epochs"]):
            engine.train_epoch(x, t, None, SMALL["batch_size"], SMALL["learning_rate"])
        np.testing.assert_allclose(parameters, golden["trained_parameters"], rtol=1e-10, atol=1e-13)


class TestAgainstFiniteDifferences:
    @pytest.mark.parametrize("units", [[3, 4, 2], [5, 17, 6, 3], [2, 1]], ids=str)
    def test_the_gradient_is_the_slope_of_the_loss(self, backend, rng, units):
        self.compare(backend, rng, network(units))

    @pytest.mark.parametrize(("output", "loss"), HEADS)
    @pytest.mark.parametrize("hidden", HIDDEN)
    @pytest.mark.parametrize("dropout", [0.0, 0.4])
    def test_so_it_is_for_every_activation_and_loss(
        self, backend, rng, hidden, output, loss, dropout
    ):
        net = network([3, 5, 4, 3], hidden, output, loss, dropout, input_scale=-0.5)
        self.compare(backend, rng, net)

    def compare(self, backend, rng, net):
        x, t = data(rng, [net.n_inputs, net.n_outputs], 6, np.float64)
        parameters = parameters_for(rng, net, np.float64)
        engine = backend.engine(net, parameters, seed=5)
        gradient, ignored = np.empty_like(parameters), np.empty_like(parameters)
        engine.gradient(x, t, gradient)
        for index in range(parameters.size):
            value = parameters[index]
            parameters[index] = value + 1e-5
            above = engine.gradient(x, t, ignored)
            parameters[index] = value - 1e-5
            below = engine.gradient(x, t, ignored)
            parameters[index] = value
            assert gradient[index] == pytest.approx((above - below) / 2e-5, abs=FINITE_DIFFERENCE)


class TestTrajectories:
    @pytest.mark.compiled
    @pytest.mark.parametrize(("units", "samples", "batch_size"), TRAJECTORIES)
    def test_both_backends_take_the_same_way(self, dtype, rng, units, samples, batch_size):
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
        ("hidden", "output", "loss", "optimizer", "size"),
        COMBINATIONS,
        ids=["-".join(map(str, combination)) for combination in COMBINATIONS],
    )
    def test_they_do_with_every_activation_loss_and_optimizer(
        self, dtype, rng, hidden, output, loss, optimizer, size
    ):
        units, samples, batch_size, dropout = size
        net = network(units, hidden, output, loss, dropout, optimizer=optimizer)
        x, t, start = away_from_kinks(rng, net, samples, dtype)
        orders = [None, rng.permutation(samples).astype(np.intp)]
        results = []
        for name in ("cython", "numpy"):
            parameters = start.copy()
            engine = backends.get(name).engine(net, parameters, seed=11)
            losses = [engine.train_epoch(x, t, order, batch_size, 0.01)[0] for order in orders]
            outputs = np.empty_like(t)
            engine.predict(x, outputs)
            results.append((parameters, outputs, engine.moments, losses, engine.steps))
        tolerance = TRAJECTORY_EPS * float(np.finfo(dtype).eps)
        for own, reference in zip(*results, strict=True):
            np.testing.assert_allclose(own, reference, rtol=tolerance, atol=tolerance)
        assert np.isfinite(results[1][0]).all()
        assert not np.array_equal(results[1][0], start)

    @pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
    def test_a_step_is_the_optimizers_update_with_the_gradient(
        self, backend, dtype, rng, optimizer
    ):
        units = [9, 19, 3]
        net = network(units, "tanh", "softmax", "cross_entropy", 0.2, optimizer=optimizer)
        x, t = data(rng, units, 12, dtype)
        parameters = parameters_for(rng, net, dtype)
        moments = rng.random((optimizer.n_moments, parameters.size)).astype(dtype)
        expected, expected_moments = parameters.copy(), moments.copy()
        engine = backend.engine(net, parameters, moments=moments, seed=3)
        engine.steps = 6
        gradient = np.empty_like(parameters)
        loss = engine.gradient(x, t, gradient)
        kernels = backend.kernels(dtype)
        kernels.update(optimizer, expected, gradient, expected_moments, 0.1, 7)
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        assert engine.train_epoch(x, t, None, 12, 0.1)[0] == pytest.approx(loss, rel=tolerance)
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

    @pytest.mark.parametrize("hidden", HIDDEN)
    @pytest.mark.parametrize(("output", "loss"), HEADS)
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


class TestState:
    @pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
    def test_an_engine_with_copies_of_it_goes_on_with_the_same_bits(
        self, backend, dtype, rng, optimizer
    ):
        units = [9, 21, 18, 4]
        net = network(units, "relu", "softmax", "cross_entropy", 0.3, optimizer=optimizer)
        x, t = data(rng, units, 50, dtype)
        orders = [rng.permutation(50).astype(np.intp) for _ in range(4)]
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters, seed=2**64 - 1)
        for order in orders[:2]:
            engine.train_epoch(x, t, order, 7, 0.05)
        copy, moments = parameters.copy(), engine.moments.copy()
        another = backend.engine(net, copy, moments=moments, seed=2**64 - 1)
        another.steps = engine.steps
        for order in orders[2:]:
            result = engine.train_epoch(x, t, order, 7, 0.05)
            assert another.train_epoch(x, t, order, 7, 0.05) == result
        assert np.array_equal(copy, parameters)
        assert np.array_equal(moments, engine.moments)
        assert another.steps == engine.steps

    def test_steps_count_batches_and_nothing_else(self, backend, dtype, rng):
        units = [4, 5, 2]
        net = network(units, dropout=0.5)
        x, t = data(rng, units, 10, dtype)
        engine = backend.engine(net, parameters_for(rng, net, dtype))
        assert engine.steps == 0
        engine.train_epoch(x, t, None, 4, 0.1)
        assert engine.steps == 3
        engine.gradient(x, t, np.empty(net.n_parameters(), dtype))
        engine.predict(x, t)
        engine.train_epoch(x, t, np.empty(0, np.intp), 4, 0.1)
        assert engine.steps == 3
        engine.train_epoch(x, t, np.arange(5, dtype=np.intp), 100, 0.1)
        assert engine.steps == 4

    def test_moments_are_bound_like_the_parameters(self, backend, dtype, rng):
        units = [4, 5, 2]
        net = network(units, optimizer=Adam())
        x, t = data(rng, units, 10, dtype)
        moments = np.zeros((2, net.n_parameters()), dtype)
        engine = backend.engine(net, parameters_for(rng, net, dtype), moments=moments)
        engine.train_epoch(x, t, None, 4, 0.1)
        assert moments.any(axis=1).all()
        assert np.shares_memory(engine.moments, moments)

    @pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
    def test_moments_that_are_not_given_are_zeros(self, backend, dtype, optimizer):
        net = network([4, 5, 2], optimizer=optimizer)
        engine = backend.engine(net, np.ones(net.n_parameters(), dtype))
        assert engine.moments.shape == (optimizer.n_moments, net.n_parameters())
        assert engine.moments.dtype == dtype
        assert not engine.moments.any()

    @pytest.mark.parametrize("steps", [0, 5, 2**32 - 1])
    def test_steps_can_be_set(self, backend, dtype, steps):
        net = network([4, 5, 2])
        engine = backend.engine(net, np.ones(net.n_parameters(), dtype))
        engine.steps = steps
        assert engine.steps == steps


class TestBytes:
    """Samples as bytes are what the same numbers are as real ones, multiplied by the scale."""

    SCALE = 1 / 255

    def both(self, backend, dtype, rng, **settings):
        """An engine that takes bytes, one that takes real samples, and what each takes."""
        units = [35, 21, 4]
        x = rng.integers(0, 256, (45, 35), np.uint8)
        t = rng.random((45, 4)).astype(dtype)
        scaled = x.astype(dtype) * dtype.type(self.SCALE)
        engines, parameters = [], []
        for scale in (self.SCALE, 1.0):
            net = network(units, "relu", "softmax", "cross_entropy", input_scale=scale, **settings)
            parameters.append(parameters_for(np.random.default_rng(1), net, dtype))
            engines.append(backend.engine(net, parameters[-1]))
        return engines, parameters, (x, scaled), t

    @pytest.mark.parametrize("batch_size", [1, 2, 7, 16, 64])
    @pytest.mark.parametrize("ordered", [False, True])
    def test_train_with_the_same_bits(self, backend, dtype, rng, batch_size, ordered):
        engines, parameters, samples, t = self.both(backend, dtype, rng, dropout=0.2)
        order = rng.permutation(45).astype(np.intp) if ordered else None
        results = [
            engine.train_epoch(x, t, order, batch_size, 0.1)
            for engine, x in zip(engines, samples, strict=True)
        ]
        assert results[0] == results[1]
        assert np.array_equal(*parameters)

    def test_give_the_same_gradient_and_the_same_outputs(self, backend, dtype, rng):
        engines, parameters, samples, t = self.both(backend, dtype, rng)
        gradients, outputs = [], []
        for engine, x in zip(engines, samples, strict=True):
            gradients.append(np.empty_like(parameters[0]))
            outputs.append(np.empty_like(t))
            engine.gradient(x, t, gradients[-1])
            engine.predict(x, outputs[-1])
        assert np.array_equal(*gradients)
        assert np.array_equal(*outputs)

    def test_real_samples_are_scaled_as_well(self, backend, dtype, rng):
        engines, parameters, (x, scaled), t = self.both(backend, dtype, rng)
        engines[0].train_epoch(x.astype(dtype), t, None, 7, 0.1)
        engines[1].train_epoch(scaled, t, None, 7, 0.1)
        assert np.array_equal(*parameters)

    def test_need_no_scale(self, backend, dtype, rng):
        _, parameters, (x, _), t = self.both(backend, dtype, rng)
        net = network([35, 21, 4])
        outputs = [np.empty_like(t), np.empty_like(t)]
        engine = backend.engine(net, parameters[0])
        engine.predict(x, outputs[0])
        engine.predict(x.astype(dtype), outputs[1])
        assert np.array_equal(*outputs)

    def test_the_articles_rule_takes_them(self, backend, dtype, rng):
        x = rng.integers(0, 256, (9, 5), np.uint8)
        t = rng.random((9, 2)).astype(dtype)
        ways = []
        for scale, samples in ((0.25, x), (1.0, x.astype(dtype) * dtype.type(0.25))):
            net = network([5, 4, 2], rule="article", input_scale=scale)
            parameters = parameters_for(np.random.default_rng(1), net, dtype, bias_rows=9)
            outputs = np.empty_like(t)
            engine = backend.engine(net, parameters)
            result = engine.train_epoch(samples, t, None, 9, 0.1)
            engine.predict(samples, outputs)
            ways.append((result, parameters.tolist(), outputs.tolist()))
        assert ways[0] == ways[1]

    @pytest.mark.parametrize("ordered", [False, True])
    @pytest.mark.parametrize("kind", [np.uint8, np.float32])
    def test_no_samples_are_copied_as_a_whole(self, backend, rng, kind, ordered):
        samples = 20_000
        x = rng.integers(0, 2, (samples, 400)).astype(kind)
        t = np.zeros((samples, 2), np.float32)
        net = network([400, 3, 2], input_scale=1 / 255 if kind == np.uint8 else 1)
        engine = backend.engine(net, parameters_for(rng, net, np.float32))
        order = rng.permutation(samples).astype(np.intp) if ordered else None
        tracemalloc.start()
        try:
            engine.train_epoch(x, t, order, 100, 0.1)
            engine.predict(x, t)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < samples * 400 / 2


class TestDropout:
    def test_the_masks_are_those_of_the_kernel_for_seed_step_layer_and_row(
        self, backend, dtype, rng
    ):
        net = network([4, 30, 25, 3], "tanh", "identity", dropout=0.4)
        x, t = data(rng, [4, 3], 11, dtype)
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters, seed=2**33 + 7)
        engine.steps = 5
        gradient = np.empty_like(parameters)
        loss = engine.gradient(x, t, gradient)

        wide = [(w, b) for w, b in net.unflatten(parameters.astype(np.float64))]
        masks = masks_of(backend, net, 2**33 + 7, 5, 11, dtype)
        first = np.tanh(x @ wide[0][0] + wide[0][1])
        second = np.tanh(first * masks[0] @ wide[1][0] + wide[1][1])
        y = second * masks[1] @ wide[2][0] + wide[2][1]
        delta = [None, None, (y - t) / 11]
        delta[1] = delta[2] @ wide[2][0].T * masks[1] * (1 - second**2)
        delta[0] = delta[1] @ wide[1][0].T * masks[0] * (1 - first**2)
        inputs = [x, first * masks[0], second * masks[1]]
        expected = [(a.T @ d, d.sum(axis=0)) for a, d in zip(inputs, delta, strict=True)]

        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        assert loss == pytest.approx(((y - t) ** 2).sum() / 22, rel=tolerance)
        for found, layer in zip(net.unflatten(gradient), expected, strict=True):
            for own, reference in zip(found, layer, strict=True):
                np.testing.assert_allclose(own, reference, rtol=tolerance, atol=tolerance)

    def dropped(self, backend, seed, step, rate=0.3, units=4000):
        """Which units a step over one sample leaves out: their weights above learn nothing."""
        net = network([1, units, 1], output="identity", dropout=rate)
        parameters = np.ones(net.n_parameters())
        engine = backend.engine(net, parameters, seed=seed)
        engine.steps = step
        gradient = np.empty_like(parameters)
        engine.gradient(np.ones((1, 1)), np.zeros((1, 1)), gradient)
        return net.unflatten(gradient)[1][0].ravel() == 0

    @pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
    def test_the_share_that_is_dropped_is_the_rate(self, backend, rate):
        deviation = (rate * (1 - rate) / 4000) ** 0.5
        assert self.dropped(backend, 1, 0, rate).mean() == pytest.approx(rate, abs=5 * deviation)

    def test_every_step_and_every_seed_drops_others_and_the_same_again(self, backend):
        settings = [(0, 0), (0, 1), (0, 2**32 - 1), (1, 0), (2**64 - 1, 0)]
        masks = {tuple(self.dropped(backend, *setting).tolist()) for setting in settings}
        assert len(masks) == len(settings)
        again = {tuple(self.dropped(backend, *setting).tolist()) for setting in settings}
        assert again == masks

    def test_the_steps_of_a_training_are_those_of_the_masks(self, backend, dtype, rng):
        net = network([4, 30, 2], dropout=0.5)
        x, t = data(rng, [4, 2], 12, dtype)
        together = parameters_for(rng, net, dtype)
        apart = together.copy()
        backend.engine(net, together, seed=4).train_epoch(x, t, None, 4, 0.5)
        for step in range(3):
            engine = backend.engine(net, apart, seed=4)
            engine.steps = step
            rows = np.arange(4 * step, 4 * step + 4, dtype=np.intp)
            engine.train_epoch(x, t, rows, 4, 0.5)
        assert np.array_equal(together, apart)

    def test_a_prediction_drops_nothing(self, backend, dtype, rng):
        units = [6, 20, 3]
        x, _ = data(rng, units, 40, dtype)
        outputs = []
        for rate in (0.0, 0.7):
            net = network(units, "relu", dropout=rate)
            parameters = parameters_for(np.random.default_rng(1), net, dtype)
            outputs.append(np.empty((40, 3), dtype))
            backend.engine(net, parameters).predict(x, outputs[-1])
        assert np.array_equal(*outputs)

    def test_the_loss_falls_all_the_same(self, backend, dtype, rng):
        x = rng.normal(size=(200, 8)).astype(dtype)
        t = np.eye(2, dtype=dtype)[(x[:, 0] * x[:, 1] > 0).astype(int)]
        net = network([8, 64, 2], "relu", "softmax", "cross_entropy", 0.2, optimizer=Adam())
        engine = backend.engine(net, parameters_for(rng, net, dtype))
        losses = [engine.train_epoch(x, t, None, 10, 0.01)[0] for _ in range(40)]
        assert losses[-1] < losses[0] / 3


class TestPredict:
    @pytest.mark.parametrize("samples", [0, 1, 2, 127, 128, 129, 300, 1023, 1025, 2500])
    def test_gives_what_the_layers_give(self, backend, dtype, rng, samples):
        units = [12, 19, 6, 3]
        net = network(units)
        parameters = parameters_for(rng, net, dtype)
        x = rng.normal(size=(samples, 12)).astype(dtype)
        out = np.full((samples, 3), np.nan, dtype)
        backend.engine(net, parameters).predict(x, out)
        a = x.astype(np.float64)
        for weights, bias in net.unflatten(parameters.astype(np.float64)):
            a = 1 / (1 + np.exp(-(a @ weights + bias)))
        np.testing.assert_allclose(out, a, atol=50 * float(np.finfo(dtype).eps))

    def test_from_eight_threads_at_once_is_right_in_each(self, backend, rng):
        units = [50, 64, 10]
        net = network(units)
        engine = backend.engine(net, parameters_for(rng, net, np.float32))
        inputs = [rng.normal(size=(200, 50)).astype(np.float32) for _ in range(8)]
        alone = [np.empty((200, 10), np.float32) for _ in inputs]
        for x, out in zip(inputs, alone, strict=True):
            engine.predict(x, out)
        wrong = []

        def predict_often(x, expected):
            out = np.empty_like(expected)
            for _ in range(20):
                engine.predict(x, out)
                if not np.array_equal(out, expected):
                    wrong.append(out)

        threads = [
            threading.Thread(target=predict_often, args=pair)
            for pair in zip(inputs, alone, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


class TestPredictor:
    INPUTS = 90

    def engine(self, backend, dtype, **settings):
        net = network([self.INPUTS, 64, 7, 5], "tanh", dropout=0.2, **settings)
        parameters = parameters_for(np.random.default_rng(1), net, dtype)
        return backend.engine(net, parameters, threads=3), parameters

    def predicted(self, engine, x, dtype):
        out = np.empty((len(x), 5), dtype)
        engine.predict(x, out)
        return out

    # Also more than are predicted at a time, and enough for several threads.
    @pytest.mark.parametrize("rows", [1, 2, 7, 48, 255, 256, 257, 600, 1025])
    def test_gives_the_bits_of_predict(self, backend, dtype, rng, rows):
        engine, _ = self.engine(backend, dtype)
        predictor = engine.predictor(rows)
        for _ in range(2):
            x = rng.normal(size=(rows, self.INPUTS)).astype(dtype)
            found = predictor(x)
            assert (found.shape, found.dtype) == ((rows, 5), dtype)
            assert np.array_equal(found, self.predicted(engine, x, dtype))
        assert engine.steps == 0

    @pytest.mark.parametrize("rows", [1, 3])
    def test_returns_its_own_array_which_the_next_call_overwrites(self, backend, dtype, rng, rows):
        engine, _ = self.engine(backend, dtype)
        predictor = engine.predictor(rows)
        x = rng.normal(size=(2, rows, self.INPUTS)).astype(dtype)
        found = predictor(x[0])
        kept = found.copy()
        another = engine.predictor(rows)(x[1])
        assert np.array_equal(found, kept)
        assert predictor(x[1]) is found
        assert np.array_equal(found, another)
        assert not np.array_equal(found, kept)

    @pytest.mark.parametrize("kind", ["real", "bytes"])
    def test_one_row_needs_no_second_dimension(self, backend, dtype, rng, kind):
        engine, _ = self.engine(backend, dtype, input_scale=1 / 255)
        x = rng.integers(0, 256, (4, self.INPUTS), np.uint8)
        x = x if kind == "bytes" else x.astype(dtype)
        predictor = engine.predictor(1)
        for row in range(4):
            found = predictor(x[row])
            assert found.shape == (1, 5)
            assert np.array_equal(found, self.predicted(engine, x[row : row + 1], dtype))

    @pytest.mark.parametrize("rows", [1, 5, 300])
    def test_bytes_and_real_samples_can_take_turns(self, backend, dtype, rng, rows):
        engine, _ = self.engine(backend, dtype, input_scale=1 / 255)
        x = rng.integers(0, 256, (rows, self.INPUTS), np.uint8)
        predictor = engine.predictor(rows)
        expected = self.predicted(engine, x, dtype)
        unscaled, _ = self.engine(backend, dtype)
        scaled = x.astype(dtype) * dtype.type(1 / 255)
        assert np.array_equal(self.predicted(unscaled, scaled, dtype), expected)
        for samples in (x, x.astype(dtype), x):
            assert np.array_equal(predictor(samples), expected)
            predictor(np.zeros_like(samples))

    def test_sees_what_the_network_has_become(self, backend, dtype, rng):
        engine, parameters = self.engine(backend, dtype)
        x, t = data(rng, [self.INPUTS, 5], 6, dtype)
        predictor = engine.predictor(6)
        seen = {predictor(x).tobytes()}
        parameters *= 2
        assert np.array_equal(predictor(x), self.predicted(engine, x, dtype))
        seen.add(predictor(x).tobytes())
        engine.train_epoch(x, t, None, 2, 0.5)
        assert np.array_equal(predictor(x), self.predicted(engine, x, dtype))
        seen.add(predictor(x).tobytes())
        assert len(seen) == 3

    def test_needs_nobody_to_keep_the_engine(self, backend, dtype, rng):
        engine, _ = self.engine(backend, dtype)
        x, _ = data(rng, [self.INPUTS, 5], 6, dtype)
        expected = self.predicted(engine, x, dtype)
        predictor = engine.predictor(6)
        del engine
        assert np.array_equal(predictor(x), expected)

    def test_samples_are_left_as_they_are_and_may_be_read_only(self, backend, dtype, rng):
        engine, _ = self.engine(backend, dtype, input_scale=0.5)
        x, _ = data(rng, [self.INPUTS, 5], 6, dtype)
        before = x.copy()
        x.flags.writeable = False
        engine.predictor(6)(x)
        engine.predictor(1)(x[0])
        assert np.array_equal(x, before)

    def test_each_thread_with_its_own_is_right(self, backend, rng):
        engine, _ = self.engine(backend, np.float32)
        inputs = rng.normal(size=(6, 300, self.INPUTS)).astype(np.float32)
        alone = [self.predicted(engine, x, np.float32) for x in inputs]
        right = []

        def predict_often(x, expected):
            predictor = engine.predictor(len(x))
            right.extend(np.array_equal(predictor(x), expected) for _ in range(20))

        threads = [
            threading.Thread(target=predict_often, args=pair)
            for pair in zip(inputs, alone, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert right == [True] * 120

    @pytest.mark.parametrize(
        ("rows", "shape"),
        [
            (3, (2, 90)),
            (3, (4, 90)),
            (3, (0, 90)),
            (3, (3, 89)),
            (3, (90, 3)),
            (3, (90,)),
            (3, (270,)),
            (1, (89,)),
            (1, (0,)),
            (1, (180,)),
            (300, (301, 90)),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("kind", ["real", "bytes"])
    def test_refuses_shapes_that_do_not_fit_and_still_predicts(
        self, backend, dtype, rng, kind, rows, shape
    ):
        engine, _ = self.engine(backend, dtype)
        predictor = engine.predictor(rows)
        x, _ = data(rng, [self.INPUTS, 5], rows, dtype)
        expected = predictor(x).copy()
        with pytest.raises(ValueError, match=r"expected .*, found"):
            predictor(np.zeros(shape, dtype if kind == "real" else np.uint8))
        assert np.array_equal(predictor(x), expected)

    @pytest.mark.parametrize("layout", REFUSED_LAYOUTS)
    def test_refuses_a_layout_that_it_cannot_read(self, backend, dtype, layout):
        engine, _ = self.engine(backend, dtype)
        x = REFUSED_LAYOUTS[layout](np.ones((3, self.INPUTS), dtype))
        with pytest.raises(ValueError, match=r"expected|dtype|contiguous|Big-endian|byte"):
            engine.predictor(3)(x)

    def test_refuses_one_row_that_is_not_in_one_piece(self, backend, dtype):
        engine, _ = self.engine(backend, dtype)
        for kind in (dtype, np.uint8):
            with pytest.raises(ValueError, match="contiguous"):
                engine.predictor(1)(np.ones(2 * self.INPUTS, kind)[::2])

    @pytest.mark.parametrize("thing", [*NOT_ARRAYS.values(), [1.0] * 90], ids=str)
    @pytest.mark.parametrize("rows", [1, 2])
    def test_refuses_what_is_not_an_array(self, backend, dtype, rows, thing):
        engine, _ = self.engine(backend, dtype)
        with pytest.raises(TypeError, match="x: expected a NumPy array, found"):
            engine.predictor(rows)(thing)

    @pytest.mark.parametrize("rows", [0, -1, -(2**40)])
    def test_of_less_than_one_row_is_refused(self, backend, dtype, rows):
        engine, _ = self.engine(backend, dtype)
        with pytest.raises(ValueError, match=f"rows: expected .*1.*, found {rows}"):
            engine.predictor(rows)

    @pytest.mark.parametrize("rows", [1.5, "1", None])
    def test_of_rows_that_are_no_whole_number_is_refused(self, backend, dtype, rows):
        engine, _ = self.engine(backend, dtype)
        with pytest.raises(TypeError):
            engine.predictor(rows)

    def test_of_the_articles_rule_is_refused(self, backend, dtype):
        net = network([4, 5, 2], rule="article")
        engine = backend.engine(net, np.zeros(net.n_parameters(6), dtype))
        with pytest.raises(ValueError, match="the samples that it was fitted to alone"):
            engine.predictor(6)

    @pytest.mark.compiled
    def test_that_no_engine_has_made_is_refused(self, dtype):
        engine, _ = self.engine(backends.get("cython"), dtype)
        made_by_hand = type(engine.predictor(1))()
        with pytest.raises(TypeError, match=r"made by Engine\.predictor"):
            made_by_hand(np.zeros((1, self.INPUTS), dtype))


@pytest.fixture
def soon():
    """Have a function called a twentieth of a second later, in the midst of what runs then."""
    before = signal.getsignal(signal.SIGALRM)

    def call_soon(function):
        signal.signal(signal.SIGALRM, lambda number, frame: function())
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    yield call_soon
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer signals")
class TestInterruption:
    @pytest.fixture
    def training(self, backend, rng):
        """Seconds of training: network, its parameters, samples, targets and a long order."""
        units = [200, 100, 10]
        net = network(units)
        x, t = data(rng, units, 320, np.float32)
        order = np.resize(np.arange(320, dtype=np.intp), 5_000_000)
        return net, parameters_for(rng, net, np.float32), x, t, order

    def test_an_interrupt_leaves_a_whole_number_of_steps_and_a_usable_engine(
        self, backend, training, soon
    ):
        net, parameters, x, t, order = training
        replayed = parameters.copy()
        engine = backend.engine(net, parameters)

        def interrupt():
            raise KeyboardInterrupt

        soon(interrupt)
        with pytest.raises(KeyboardInterrupt):
            engine.train_epoch(x, t, order, 32, 0.1)
        steps = 0
        engine_of_replay = backend.engine(net, replayed)
        while not np.array_equal(replayed, parameters):
            rows = order[32 * steps : 32 * (steps + 1)]
            engine_of_replay.train_epoch(x, t, rows, 32, 0.1)
            steps += 1
            assert steps < 200_000
        assert engine.train_epoch(x, t, None, 32, 0.1)[0] > 0

    @pytest.mark.compiled
    def test_an_interrupt_leaves_parameters_moments_and_steps_of_one_and_the_same_step(
        self, training, soon
    ):
        _, _, x, t, order = training
        net = network([200, 100, 10], "relu", dropout=0.2, optimizer=Adam())
        start = parameters_for(np.random.default_rng(1), net, np.float32)
        parameters, replayed = start.copy(), start.copy()
        engine = backends.get("cython").engine(net, parameters, seed=9)

        def interrupt():
            raise KeyboardInterrupt

        soon(interrupt)
        with pytest.raises(KeyboardInterrupt):
            engine.train_epoch(x, t, order, 32, 0.001)
        assert 0 < engine.steps < len(order) // 32
        engine_of_replay = backends.get("cython").engine(net, replayed, seed=9)
        engine_of_replay.train_epoch(x, t, order[: 32 * engine.steps], 32, 0.001)
        assert np.array_equal(replayed, parameters)
        assert np.array_equal(engine_of_replay.moments, engine.moments)

    def test_an_order_that_is_changed_meanwhile_does_no_harm(self, backend, training, soon):
        net, parameters, x, t, order = training
        order = order[:500_000].copy()

        def change_order():
            order[:] = 2**40

        soon(change_order)
        with contextlib.suppress(IndexError):
            backend.engine(net, parameters).train_epoch(x, t, order, 32, 0.1)
        assert np.isfinite(parameters).all()

    def test_a_second_training_of_one_network_at_the_same_time_is_refused(
        self, backend, training, soon
    ):
        net, parameters, x, t, order = training
        engine = backend.engine(net, parameters)

        def train_as_well():
            engine.train_epoch(x, t, None, 32, 0.1)
            # Not refused: the long training had not begun yet.
            soon(train_as_well)

        soon(train_as_well)
        with pytest.raises(RuntimeError, match="being trained already"):
            engine.train_epoch(x, t, order, 32, 0.1)
        assert engine.train_epoch(x, t, None, 32, 0.1)[0] > 0


class TestRefusals:
    @pytest.fixture
    def engine(self, backend, dtype):
        net = network([4, 5, 2])
        return backend.engine(net, np.zeros(net.n_parameters(), dtype))

    @pytest.mark.parametrize(
        ("x_shape", "t_shape"), [((3, 5), (3, 2)), ((3, 4), (3, 3)), ((3, 4), (2, 2))], ids=str
    )
    def test_shapes_that_do_not_fit(self, engine, dtype, x_shape, t_shape):
        x, t = np.zeros(x_shape, dtype), np.zeros(t_shape, dtype)
        with pytest.raises(ValueError, match="expected"):
            engine.train_epoch(x, t, None, 2, 0.1)
        with pytest.raises(ValueError, match="expected"):
            engine.predict(x, t)
        with pytest.raises(ValueError, match="expected"):
            engine.gradient(x, t, np.zeros(37, dtype))

    @pytest.mark.parametrize("order", [[0, 3], [-1], [2**40]], ids=str)
    def test_an_index_outside_the_samples(self, engine, dtype, order):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match="indices from 0 to 2"):
            engine.train_epoch(x, t, np.array(order, np.intp), 2, 0.1)

    @pytest.mark.parametrize("batch_size", [0, -5])
    def test_a_batch_of_nothing(self, engine, dtype, batch_size):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match="batch_size: expected at least 1"):
            engine.train_epoch(x, t, None, batch_size, 0.1)

    @pytest.mark.parametrize("argument", ["x", "t"])
    @pytest.mark.parametrize("layout", REFUSED_LAYOUTS)
    def test_a_layout_that_it_cannot_read(self, engine, dtype, argument, layout):
        arrays = {"x": np.ones((3, 4), dtype), "t": np.ones((3, 2), dtype)}
        arrays[argument] = REFUSED_LAYOUTS[layout](arrays[argument])
        order = np.arange(2, dtype=np.intp)
        with pytest.raises(ValueError, match=r"dtype|dimension|contiguous|Big-endian|byte"):
            engine.train_epoch(**arrays, order=order, batch_size=2, learning_rate=0.1)
        with pytest.raises(ValueError, match=r"dtype|dimension|contiguous|Big-endian|byte"):
            engine.predict(*arrays.values())
        with pytest.raises(ValueError, match=r"dtype|dimension|contiguous|Big-endian|byte"):
            engine.gradient(**arrays, out=np.zeros(37, dtype))

    @pytest.mark.parametrize("thing", NOT_ARRAYS)
    def test_what_is_not_an_array(self, engine, dtype, thing):
        t = np.ones((3, 2), dtype)
        with pytest.raises(TypeError):
            engine.train_epoch(NOT_ARRAYS[thing], t, None, 2, 0.1)
        with pytest.raises(TypeError):
            engine.predict(NOT_ARRAYS[thing], t)

    @pytest.mark.parametrize(
        "order",
        [
            np.zeros(2, np.int32),
            np.zeros(2),
            np.zeros(2, bool),
            np.zeros((1, 2), np.intp),
            np.zeros(4, np.intp)[::2],
        ],
        ids=lambda order: f"{order.dtype} {order.shape} {order.strides}",
    )
    def test_an_order_that_it_cannot_read(self, engine, dtype, order):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match=r"dtype|dimension|contiguous"):
            engine.train_epoch(x, t, order, 2, 0.1)

    def test_an_order_that_is_no_array(self, engine, dtype):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(TypeError):
            engine.train_epoch(x, t, [0, 1], 2, 0.1)

    @pytest.mark.parametrize("method", ["predict", "gradient"])
    def test_an_output_that_is_read_only(self, engine, dtype, method):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        out = np.zeros(37, dtype) if method == "gradient" else t
        out.flags.writeable = False
        arguments = (x, t, out) if method == "gradient" else (x, out)
        with pytest.raises(ValueError, match="read-only"):
            getattr(engine, method)(*arguments)

    @pytest.mark.parametrize(
        "parameters",
        [np.zeros(37, np.float16), np.zeros(37, np.int64), np.zeros(74)[::2], np.zeros((37, 1))],
        ids=lambda p: f"{p.dtype} {p.shape} {p.strides}",
    )
    def test_parameters_that_it_cannot_read(self, backend, parameters):
        with pytest.raises(ValueError, match=r"dtype|dimension|contiguous"):
            backend.engine(network([4, 5, 2]), parameters)

    @pytest.mark.parametrize(
        ("moments", "error"),
        [
            (np.zeros((1, 37)), ValueError),
            (np.zeros((2, 36)), ValueError),
            (np.zeros((37, 2)), ValueError),
            (np.zeros(74), ValueError),
            (np.zeros((2, 37), np.float32), ValueError),
            (np.zeros((2, 74))[:, ::2], ValueError),
            (np.zeros((37, 2)).T, ValueError),
            (np.zeros((2, 37), ">f8"), ValueError),
            (np.broadcast_to(np.zeros(37), (2, 37)), ValueError),
            ([[0.0] * 37] * 2, TypeError),
        ],
        ids=str,
    )
    def test_moments_that_it_cannot_use(self, backend, moments, error):
        net = network([4, 5, 2], optimizer=Adam())
        with pytest.raises(error):
            backend.engine(net, np.zeros(37), moments=moments)

    @pytest.mark.parametrize("array", ["parameters", "moments"])
    def test_a_state_that_is_read_only(self, backend, dtype, array):
        net = network([4, 5, 2], optimizer=Adam())
        arrays = {"parameters": np.zeros(37, dtype), "moments": np.zeros((2, 37), dtype)}
        arrays[array].flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            backend.engine(net, **arrays)

    @pytest.mark.parametrize("steps", [-1, 2**32, 2**70])
    def test_steps_beyond_32_bits(self, engine, steps):
        with pytest.raises(ValueError, match="steps"):
            engine.steps = steps
        assert engine.steps == 0

    @pytest.mark.parametrize("seed", [-1, 2**64])
    def test_a_seed_beyond_64_bits(self, backend, dtype, seed):
        with pytest.raises(ValueError, match="seed"):
            backend.engine(network([4, 5, 2]), np.zeros(37, dtype), seed=seed)

    @pytest.mark.parametrize("value", [1.5, "1", None])
    def test_a_seed_and_steps_that_are_no_whole_numbers(self, backend, engine, dtype, value):
        with pytest.raises(TypeError):
            backend.engine(network([4, 5, 2]), np.zeros(37, dtype), seed=value)
        with pytest.raises(TypeError):
            engine.steps = value

    @pytest.mark.parametrize("kind", [np.int8, np.uint16, bool])
    def test_samples_of_other_whole_numbers_than_bytes(self, engine, dtype, kind):
        x, t = np.zeros((3, 4), kind), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match="dtype"):
            engine.train_epoch(x, t, None, 2, 0.1)
        with pytest.raises(ValueError, match="dtype"):
            engine.predict(x, t)

    def test_bytes_as_targets_or_outputs(self, engine, dtype):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), np.uint8)
        with pytest.raises(ValueError, match="dtype"):
            engine.train_epoch(x, t, None, 2, 0.1)
        with pytest.raises(ValueError, match="dtype"):
            engine.predict(x, t)

    @pytest.mark.parametrize(
        "layout", ["transposed", "strided rows", "strided columns", "one dimension"]
    )
    def test_bytes_in_a_layout_that_it_cannot_read(self, engine, dtype, layout):
        x, t = np.zeros((3, 4), np.uint8), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match=r"dimension|contiguous"):
            engine.train_epoch(REFUSED_LAYOUTS[layout](x), t, None, 2, 0.1)
        with pytest.raises(ValueError, match=r"dimension|contiguous"):
            engine.predict(REFUSED_LAYOUTS[layout](x), t)

    def test_a_gradient_of_another_length(self, engine, dtype):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match="expected"):
            engine.gradient(x, t, np.zeros(36, dtype))

    def test_parameters_of_another_number(self, backend, dtype):
        with pytest.raises(ValueError, match=r"37 parameters.*found an array of 36"):
            backend.engine(network([4, 5, 2]), np.zeros(36, dtype))

    def test_the_articles_rule_takes_all_its_samples_or_none(self, backend, dtype):
        net = network([4, 5, 2], rule="article")
        engine = backend.engine(net, np.zeros(net.n_parameters(6), dtype))
        x, t = np.zeros((6, 4), dtype), np.zeros((6, 2), dtype)
        with pytest.raises(ValueError, match="all samples in one step"):
            engine.train_epoch(x, t, None, 5, 0.1)
        with pytest.raises(ValueError, match="all samples in one step"):
            engine.train_epoch(x, t, np.arange(6, dtype=np.intp), 6, 0.1)
        with pytest.raises(ValueError, match="6 samples"):
            engine.predict(x[:5], t[:5])
