"""The engine of every backend trains as the formulas say, step after step."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import signal
import threading
import tracemalloc

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.contracts import Engine
from cnn_core.network import (
    ACTIVATIONS,
    NORMALIZATIONS,
    STATISTICS_PACE,
    Dense,
    Huber,
    Network,
    Pinball,
)
from cnn_core.optimizers import SGD, Adam, Nadam, RMSprop, Rprop
from corpus import HEADS, NOT_ARRAYS, OPTIMIZERS, REFUSED_LAYOUTS, SIGN_OPTIMIZERS
from paths import GOLDEN
from tolerances import FINITE_DIFFERENCE, NORMALIZED_EPS, STEP_EPS, TRAJECTORY_EPS

AUTOGRAD = json.loads((GOLDEN / "autograd.json").read_text())
CASES = AUTOGRAD["cases"]
SMALL = AUTOGRAD["networks"]
RECIPES = AUTOGRAD["recipes"]
LOSSES_WITH_SETTINGS = {"Huber(0.4)": Huber(0.4), "Pinball(0.8)": Pinball(0.8)}

HIDDEN = tuple(name for name in ACTIVATIONS if name not in ("softmax", "exp"))
# Every hidden activation with half the heads, every head with half the activations.
PAIRS = [(HIDDEN[number % 10], *HEADS[number % 12]) for number in range(60)]

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


def network(
    units,
    hidden="sigmoid",
    output="sigmoid",
    loss="squared_error",
    dropout=0.0,
    normalization=None,
    **settings,
):
    *below, last = itertools.pairwise(units)
    layers = [Dense(*size, hidden, dropout, normalization) for size in below]
    layers.append(Dense(*last, output))
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
    layers above, and where what the bias is added to is normalized, the bias does. A ReLU whose z
    is all but 0 would let a gradient through in one backend and not in the other.
    """
    x = rng.normal(size=(samples, net.n_inputs))
    x[:, 0] = rng.choice([-1.0, 1.0], samples)
    t = rng.random((samples, net.n_outputs))
    parameters = rng.normal(size=net.n_parameters())
    for number, (weights, bias, gain) in enumerate(net.unflatten(parameters)):
        weights *= 0.2 / len(weights) ** 0.5
        bias[:] = np.resize([1.0, -1.0], bias.shape)
        if gain is not None:
            weights *= 5
            gain *= 0.1
        elif number == 0:
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
            ("statistics", None, True),
            ("average", None, True),
            ("seed", 0, True),
            ("threads", None, True),
        ]


class TestAgainstAutograd:
    @pytest.mark.parametrize("case", CASES)
    def test_the_gradient_is_autograds(self, backend, case):
        golden = CASES[case]
        parameters = np.array(golden["parameters"])
        engine = backend.engine(network(golden["units"]), parameters)
        gradient = np.empty_like(parameters)
        loss = engine.gradient(np.array(golden["x"]), np.array(golden["t"]), gradient)
        assert loss == pytest.approx(golden["loss"], rel=1e-13)
        np.testing.assert_allclose(gradient, golden["gradient"], rtol=1e-12, atol=1e-15)

    @pytest.mark.parametrize("case", CASES)
    def test_so_is_every_step_of_a_training(self, backend, case):
        golden = CASES[case]
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
        loss = LOSSES_WITH_SETTINGS.get(golden["loss"], golden["loss"])
        net = network(SMALL["units"], golden["hidden"], golden["output"], loss)
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
        kinds = {kind.__name__: kind for kind in (SGD, Adam, RMSprop, Nadam, Rprop)}
        optimizer = kinds[golden["optimizer"]](**golden["settings"])
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

    @pytest.mark.parametrize("case", RECIPES["cases"])
    def test_so_is_all_that_a_recipe_adds(self, backend, case):
        golden = RECIPES["cases"][case]
        net = network(
            RECIPES["units"],
            "gelu",
            "softmax",
            "cross_entropy",
            normalization=golden["normalization"],
            **golden["settings"],
        )
        parameters, x, t = (np.array(golden[name]) for name in ("parameters", "x", "t"))
        weights = None if golden["weights"] is None else np.array(golden["weights"])
        engine = backend.engine(net, parameters)
        gradient, outputs = np.empty_like(parameters), np.empty_like(t)
        loss = engine.gradient(x, t, gradient, weights)
        close = {"rtol": 1e-10, "atol": 1e-13}
        np.testing.assert_allclose(loss, golden["loss"], rtol=1e-13)
        np.testing.assert_allclose(gradient, golden["gradient"], **close)
        batch_size, rates = RECIPES["batch_size"], np.array(golden["rates"])
        for expected in golden["epoch_losses"]:
            loss, _ = engine.train_epoch(x, t, None, batch_size, rates, weights)
            assert loss == pytest.approx(expected, rel=1e-12)
        engine.predict(x, outputs)
        np.testing.assert_allclose(parameters, golden["trained_parameters"], **close)
        np.testing.assert_allclose(engine.statistics, golden["statistics"], **close)
        np.testing.assert_allclose(outputs, golden["outputs"], **close)
        if net.averaging:
            np.testing.assert_allclose(engine.average, golden["average"], **close)


class TestAgainstFiniteDifferences:
    @pytest.mark.parametrize("units", [[3, 4, 2], [5, 17, 6, 3], [2, 1]], ids=str)
    def test_the_gradient_is_the_slope_of_the_loss(self, backend, rng, units):
        self.compare(backend, rng, network(units))

    @pytest.mark.parametrize(("hidden", "output", "loss"), PAIRS, ids=str)
    def test_so_it_is_for_every_activation_and_loss(self, backend, rng, hidden, output, loss):
        dropout = 0.4 if PAIRS.index((hidden, output, loss)) % 3 == 0 else 0.0
        net = network([3, 4, 3, 3], hidden, output, loss, dropout, input_scale=-0.5)
        self.compare(backend, rng, net)

    @pytest.mark.parametrize("hidden", ["tanh", "gelu", "relu"])
    @pytest.mark.parametrize("normalization", NORMALIZATIONS)
    @pytest.mark.parametrize("dropout", [0.0, 0.4])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_so_it_is_with_normalization_weights_and_l2(
        self, backend, rng, hidden, normalization, dropout, weighted
    ):
        head = ("softmax", "cross_entropy")
        net = network([3, 4, 3, 3], hidden, *head, dropout, normalization, l2=0.3, clip_norm=1e-3)
        self.compare(backend, rng, net, weighted)

    def compare(self, backend, rng, net, weighted=False):
        x, t = data(rng, [net.n_inputs, net.n_outputs], 6, np.float64)
        weights = rng.random(6) * 2 if weighted else None
        parameters = parameters_for(rng, net, np.float64)
        engine = backend.engine(net, parameters, seed=5)
        gradient, ignored = np.empty_like(parameters), np.empty_like(parameters)
        engine.gradient(x, t, gradient, weights)
        for index in range(parameters.size):
            value = parameters[index]
            parameters[index] = value + 1e-6
            above = engine.gradient(x, t, ignored, weights)
            parameters[index] = value - 1e-6
            below = engine.gradient(x, t, ignored, weights)
            parameters[index] = value
            assert gradient[index] == pytest.approx((above - below) / 2e-6, abs=FINITE_DIFFERENCE)


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


class TestState:
    @pytest.mark.parametrize("optimizer", OPTIMIZERS + SIGN_OPTIMIZERS, ids=str)
    @pytest.mark.parametrize(
        "more", [{}, {"normalization": "batch", "averaging": 0.9, "l2": 0.1}], ids=["", "more"]
    )
    def test_an_engine_with_copies_of_it_goes_on_with_the_same_bits(
        self, backend, dtype, rng, optimizer, more
    ):
        units = [9, 21, 18, 4]
        net = network(units, "relu", "softmax", "cross_entropy", 0.3, optimizer=optimizer, **more)
        x, t = data(rng, units, 50, dtype)
        orders = [rng.permutation(50).astype(np.intp) for _ in range(4)]
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters, seed=2**64 - 1)
        for order in orders[:2]:
            engine.train_epoch(x, t, order, 7, 0.05)
        copy, moments = parameters.copy(), engine.moments.copy()
        statistics = engine.statistics.copy()
        average = None if engine.average is None else engine.average.copy()
        another = backend.engine(
            net, copy, moments=moments, statistics=statistics, average=average, seed=2**64 - 1
        )
        another.steps = engine.steps
        for order in orders[2:]:
            result = engine.train_epoch(x, t, order, 7, 0.05)
            assert another.train_epoch(x, t, order, 7, 0.05) == result
        assert np.array_equal(copy, parameters)
        assert np.array_equal(moments, engine.moments)
        assert np.array_equal(statistics, engine.statistics)
        assert average is None or np.array_equal(average, engine.average)
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

    def test_statistics_and_average_are_bound_likewise(self, backend, dtype, rng):
        units = [4, 5, 2]
        net = network(units, normalization="batch", averaging=0.9)
        x, t = data(rng, units, 10, dtype)
        parameters = parameters_for(rng, net, dtype)
        statistics, average = net.first_statistics(dtype), parameters.copy()
        engine = backend.engine(net, parameters, statistics=statistics, average=average)
        assert np.shares_memory(engine.statistics, statistics)
        assert np.shares_memory(engine.average, average)
        engine.train_epoch(x, t, None, 4, 0.1)
        assert (statistics != net.first_statistics(dtype)).all()
        assert (average != parameters).any()

    def test_statistics_and_average_that_are_not_given_are_those_of_the_first_step(
        self, backend, dtype, rng
    ):
        net = network([4, 5, 2], normalization="batch", averaging=0.9)
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters)
        assert np.array_equal(engine.statistics, net.first_statistics(dtype))
        assert np.array_equal(engine.average, parameters)
        assert not np.shares_memory(engine.average, parameters)
        assert engine.statistics.dtype == engine.average.dtype == dtype

    def test_where_there_are_none_they_are_nothing(self, backend, dtype):
        net = network([4, 5, 2], normalization="layer")
        engine = backend.engine(net, np.ones(net.n_parameters(), dtype))
        assert engine.statistics.shape == (0,)
        assert engine.average is None

    @pytest.mark.parametrize("steps", [0, 5, 2**32 - 1])
    def test_steps_can_be_set(self, backend, dtype, steps):
        net = network([4, 5, 2])
        engine = backend.engine(net, np.ones(net.n_parameters(), dtype))
        engine.steps = steps
        assert engine.steps == steps


class TestNormalization:
    def engine(self, backend, rng, dtype, normalization="batch", **settings):
        net = network([4, 6, 3], "tanh", "identity", normalization=normalization, **settings)
        parameters = parameters_for(rng, net, dtype)
        return net, parameters, backend.engine(net, parameters)

    @pytest.mark.parametrize("samples", [2, 9])
    def test_a_step_moves_the_running_averages_towards_the_batch(
        self, backend, dtype, rng, samples
    ):
        net, parameters, engine = self.engine(backend, rng, dtype)
        x, t = data(rng, [4, 3], samples, dtype)
        engine.statistics[:] = rng.random(12)
        before = net.unflatten_statistics(engine.statistics.copy())[0]
        u = x.astype(float) @ net.unflatten(parameters)[0].weights.astype(float)
        batch = u.mean(axis=0), u.var(axis=0, ddof=1)
        engine.train_epoch(x, t, None, samples, 0.1)
        after = net.unflatten_statistics(engine.statistics)[0]
        for old, new, now in zip(before, after, batch, strict=True):
            expected = old + STATISTICS_PACE * (now - old)
            np.testing.assert_allclose(new, expected, rtol=1e-5, atol=1e-6)

    def test_neither_a_gradient_nor_a_prediction_moves_anything(self, backend, dtype, rng):
        _, parameters, engine = self.engine(backend, rng, dtype, averaging=0.9)
        x, t = data(rng, [4, 3], 9, dtype)
        arrays = (parameters, engine.statistics, engine.average)
        before = [array.copy() for array in arrays]
        engine.gradient(x, t, np.empty_like(parameters))
        engine.predict(x, t)
        engine.predictor(9)(x)
        assert all(map(np.array_equal, arrays, before))

    @pytest.mark.parametrize("samples", [1, 5, 1300])
    def test_a_prediction_goes_by_the_running_averages(self, backend, dtype, rng, samples):
        net, parameters, engine = self.engine(backend, rng, dtype)
        engine.statistics[:] = rng.random(12) + 0.1
        x, out = data(rng, [4, 3], samples, dtype)
        engine.predict(x, out)
        first, second = net.unflatten(parameters.astype(float))
        mean, variance = net.unflatten_statistics(engine.statistics.astype(float))[0]
        normal = (x @ first.weights - mean) / np.sqrt(variance + 1e-5)
        a = np.tanh(first.gain * normal + first.bias)
        expected = a @ second.weights + second.bias
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)
        alone = [engine.predictor(1)(row).copy() for row in x[:50]]
        np.testing.assert_allclose(np.concatenate(alone), out[:50], rtol=0, atol=tolerance)

    def test_by_the_layer_each_sample_is_normalized_by_itself(self, backend, dtype, rng):
        _, parameters, engine = self.engine(backend, rng, dtype, "layer")
        x, t = data(rng, [4, 3], 7, dtype)
        out, gradient, whole = (
            np.empty_like(t),
            np.empty_like(parameters),
            np.empty_like(parameters),
        )
        engine.predict(x, out)
        engine.gradient(x, t, whole)
        total = np.zeros_like(parameters)
        for row in range(7):
            one = slice(row, row + 1)
            alone = np.empty_like(t[one])
            engine.predict(x[one], alone)
            np.testing.assert_allclose(alone, out[one], rtol=1e-5, atol=1e-6)
            engine.gradient(x[one], t[one], gradient)
            total += gradient / 7
        np.testing.assert_allclose(whole, total, rtol=1e-5, atol=1e-5)

    def test_a_batch_of_one_sample_teaches_its_layer_nothing_but_the_bias(
        self, backend, dtype, rng
    ):
        net, parameters, engine = self.engine(backend, rng, dtype)
        x, t = data(rng, [4, 3], 1, dtype)
        gradient = np.empty_like(parameters)
        engine.gradient(x, t, gradient)
        first = net.unflatten(gradient)[0]
        assert not first.weights.any()
        assert not first.gain.any()
        assert first.bias.all()

    def test_a_batch_of_one_sample_says_nothing_about_mean_and_variance(self, backend, dtype, rng):
        net, _, engine = self.engine(backend, rng, dtype)
        x, t = data(rng, [4, 3], 5, dtype)
        engine.train_epoch(x[:4], t[:4], None, 4, 0.1)
        known = engine.statistics.copy()
        assert not np.array_equal(known, net.first_statistics(dtype))
        engine.train_epoch(x[4:], t[4:], None, 4, 0.1)
        assert np.array_equal(engine.statistics, known)


class TestWeights:
    NETWORKS = (
        {},
        {"normalization": "layer"},
        {"loss": Huber(0.2), "output": "identity", "l2": 0.7},
        {"loss": "cross_entropy", "output": "softmax"},
    )

    @pytest.mark.parametrize("settings", NETWORKS, ids=str)
    def test_are_the_numbers_of_times_that_samples_are_there(self, backend, dtype, rng, settings):
        net = network([4, 6, 3], "tanh", **settings)
        x, t = data(rng, [4, 3], 6, dtype)
        times = np.array([1, 0, 3, 2, 0, 1])
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters)
        found, expected = np.empty_like(parameters), np.empty_like(parameters)
        loss = engine.gradient(x, t, found, times.astype(dtype))
        wanted = engine.gradient(np.repeat(x, times, axis=0), np.repeat(t, times, axis=0), expected)
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        assert loss == pytest.approx(wanted, rel=tolerance)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)

    @pytest.mark.parametrize("batch_size", [1, 4, 30])
    def test_that_are_all_one_change_next_to_nothing(self, backend, dtype, rng, batch_size):
        units = [4, 6, 3]
        net = network(units, "relu", "softmax", "cross_entropy", l2=0.1)
        x, t = data(rng, units, 13, dtype)
        ways, losses = [], []
        for weights in (None, np.ones(13, dtype)):
            ways.append(parameters_for(np.random.default_rng(1), net, dtype))
            engine = backend.engine(net, ways[-1])
            losses.append(engine.train_epoch(x, t, None, batch_size, 0.1, weights))
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(*ways, rtol=tolerance, atol=tolerance)
        assert losses[0] == pytest.approx(losses[1], rel=tolerance)

    def test_go_with_their_samples_in_any_order_and_weigh_the_loss_of_an_epoch(
        self, backend, dtype, rng
    ):
        units = [4, 6, 3]
        net = network(units)
        x, t = data(rng, units, 10, dtype)
        weights = rng.random(10).astype(dtype)
        order = rng.permutation(10).astype(np.intp)[:8]
        together = parameters_for(rng, net, dtype)
        apart = together.copy()
        loss, _ = backend.engine(net, together).train_epoch(x, t, order, 3, 0.7, weights)
        engine = backend.engine(net, apart)
        cost = 0.0
        for rows in (order[:3], order[3:6], order[6:]):
            part, _ = engine.train_epoch(x[rows], t[rows], None, 3, 0.7, weights[rows])
            cost += part * weights[rows].sum(dtype=float)
        assert np.array_equal(together, apart)
        assert loss == pytest.approx(cost / weights[order].sum(dtype=float), rel=1e-12)

    def test_that_are_all_zero_teach_nothing_and_cost_nothing(self, backend, dtype, rng):
        units = [4, 6, 3]
        net = network(units, l2=0.5)
        x, t = data(rng, units, 10, dtype)
        parameters = parameters_for(rng, net, dtype)
        before, gradient = parameters.copy(), np.empty_like(parameters)
        engine = backend.engine(net, parameters)
        nothing = np.zeros(10, dtype)
        assert engine.gradient(x, t, gradient, nothing) == 0
        assert not gradient.any()
        assert engine.train_epoch(x, t, None, 4, 0.7, nothing)[0] == 0
        assert np.array_equal(parameters, before)
        assert engine.steps == 3


class TestAdditions:
    """What a step can have beside the gradient of the loss and the optimizer's formula."""

    UNITS = (4, 6, 5, 3)

    def gradient_of(self, backend, dtype, **settings):
        rng = np.random.default_rng(1)
        net = network(self.UNITS, "tanh", "softmax", "cross_entropy", **settings)
        x, t = data(rng, self.UNITS, 9, dtype)
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters)
        gradient = np.empty_like(parameters)
        loss = engine.gradient(x, t, gradient)
        return net, parameters, gradient, loss, engine, (x, t)

    @pytest.mark.parametrize("normalization", [None, *NORMALIZATIONS])
    def test_l2_pulls_at_the_weights_and_at_nothing_else(self, backend, dtype, normalization):
        net, parameters, plain, loss, *_ = self.gradient_of(
            backend, dtype, normalization=normalization
        )
        _, _, found, with_term, *_ = self.gradient_of(
            backend, dtype, normalization=normalization, l2=0.9
        )
        squares = 0.0
        for layer in net.unflatten(parameters):
            squares += (layer.weights.astype(float) ** 2).sum()
        for layer, own in zip(net.unflatten(plain), net.unflatten(parameters), strict=True):
            layer.weights[:] += dtype.type(0.1) * own.weights
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(found, plain, rtol=tolerance, atol=tolerance)
        assert with_term == pytest.approx(loss + 0.05 * squares, rel=1e-6)

    def step_of(self, backend, dtype, **settings):
        """How far a plain step with the rate 1 goes, and the gradient that it is made of."""
        _, parameters, gradient, _, engine, (x, t) = self.gradient_of(backend, dtype, **settings)
        before = parameters.copy()
        engine.train_epoch(x, t, None, 9, 1.0)
        return before - parameters, gradient

    @pytest.mark.parametrize("l2", [0.0, 2.0])
    def test_clip_value_limits_every_value_after_the_term_of_l2(self, backend, dtype, l2):
        step, gradient = self.step_of(backend, dtype, l2=l2, clip_value=0.01)
        assert (np.abs(gradient) > 0.02).any()
        assert (np.abs(gradient) < 0.005).any()
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(step, np.clip(gradient, -0.01, 0.01), rtol=0, atol=tolerance)

    @pytest.mark.parametrize("l2", [0.0, 2.0])
    @pytest.mark.parametrize("share", [0.3, 0.999, 1.001])
    def test_clip_norm_limits_the_length_of_the_whole_gradient(self, backend, dtype, l2, share):
        _, gradient = self.step_of(backend, dtype, l2=l2)
        norm = float(np.linalg.norm(gradient.astype(float)))
        step, _ = self.step_of(backend, dtype, l2=l2, clip_norm=share * norm)
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(step, gradient * min(share, 1), rtol=0, atol=tolerance)

    @pytest.mark.parametrize("settings", [{}, {"optimizer": Adam()}, {"l2": 0.1}], ids=str)
    def test_the_average_follows_the_parameters(self, backend, dtype, rng, settings):
        net = network(self.UNITS, averaging=0.3, **settings)
        x, t = data(rng, self.UNITS, 20, dtype)
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters)
        expected = parameters.astype(float)
        for step in range(1, 11):
            engine.train_epoch(x, t, None, 20, 0.5)
            # 2 / 11, 3 / 12, then 0.3.
            decay = min(0.3, (1 + step) / (10 + step))
            expected += (1 - decay) * (parameters - expected)
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(engine.average, expected, rtol=tolerance, atol=tolerance)

    def test_averaging_does_not_change_the_way_of_the_parameters(self, backend, dtype, rng):
        x, t = data(rng, self.UNITS, 20, dtype)
        ways = []
        for averaging in (0.0, 0.9):
            net = network(self.UNITS, averaging=averaging, optimizer=Adam())
            ways.append(parameters_for(np.random.default_rng(1), net, dtype))
            backend.engine(net, ways[-1]).train_epoch(x, t, None, 3, 0.1)
        assert np.array_equal(*ways)

    @pytest.mark.parametrize("settings", [{}, {"optimizer": Adam()}, {"clip_norm": 0.1}], ids=str)
    @pytest.mark.parametrize("batch_size", [1, 3, 32])
    def test_every_step_can_have_its_own_rate(self, backend, dtype, rng, settings, batch_size):
        net = network(self.UNITS, **settings)
        x, t = data(rng, self.UNITS, 20, dtype)
        order = rng.permutation(20).astype(np.intp)
        rates = rng.random(-(-20 // batch_size))
        together = parameters_for(rng, net, dtype)
        apart = together.copy()
        backend.engine(net, together).train_epoch(x, t, order, batch_size, rates)
        engine = backend.engine(net, apart)
        for step, rate in enumerate(rates):
            rows = order[step * batch_size : (step + 1) * batch_size]
            engine.train_epoch(x, t, rows, batch_size, float(rate))
        assert np.array_equal(together, apart)

    @pytest.mark.parametrize("batch_size", [1, 3, 32])
    def test_rates_that_are_all_the_same_are_one_rate(self, backend, dtype, rng, batch_size):
        net = network(self.UNITS, optimizer=Adam())
        x, t = data(rng, self.UNITS, 20, dtype)
        ways = []
        for rates in (0.25, np.full(-(-20 // batch_size), 0.25)):
            ways.append(parameters_for(np.random.default_rng(1), net, dtype))
            backend.engine(net, ways[-1]).train_epoch(x, t, None, batch_size, rates)
        assert np.array_equal(*ways)


class TestDivergence:
    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"optimizer": Adam(), "averaging": 0.9},
            {"normalization": "batch", "averaging": 0.9},
            {"normalization": "layer", "clip_norm": 1.0},
            {"clip_value": 0.1, "dropout": 0.3},
        ],
        ids=str,
    )
    @pytest.mark.parametrize(("batch_size", "bad"), [(1, 7), (4, 9), (4, 0), (4, 39), (16, 20)])
    @pytest.mark.parametrize("value", [np.inf, np.nan])
    def test_the_first_batch_without_a_finite_loss_and_all_after_it_are_not_learnt(
        self, backend, dtype, rng, settings, batch_size, bad, value
    ):
        units = [4, 6, 3]
        net = network(units, "tanh", "identity", **settings)
        x, t = data(rng, units, 40, dtype)
        t[bad, 1] = value
        steps = bad // batch_size
        states = []
        for rows in (40, steps * batch_size):
            parameters = parameters_for(np.random.default_rng(1), net, dtype)
            engine = backend.engine(net, parameters, seed=3)
            loss, _ = engine.train_epoch(x[:rows], t[:rows], None, batch_size, 0.05)
            assert np.isfinite(loss) == (rows != 40)
            assert engine.steps == steps
            average = parameters if engine.average is None else engine.average
            states.append((parameters, average, engine.moments, engine.statistics))
        for found, expected in zip(*states, strict=True):
            assert np.array_equal(found, expected)
            assert np.isfinite(found).all()

    def test_what_is_returned_is_the_loss_that_is_not_finite(self, backend, dtype):
        net = network([1, 1], output="identity")
        for value in (np.inf, np.nan):
            t = np.array([[0], [value], [0], [np.nan]], dtype)
            engine = backend.engine(net, np.ones(2, dtype))
            loss, _ = engine.train_epoch(np.ones((4, 1), dtype), t, None, 1, 0.1)
            np.testing.assert_equal(loss, value)

    def test_a_rate_that_is_too_high_leaves_finite_parameters(self, backend, dtype, rng):
        # The loss overflows before the parameters do.
        units = [4, 6, 3]
        net = network(units, "relu", "identity")
        x, t = data(rng, units, 400, dtype)
        parameters = parameters_for(rng, net, dtype)
        with np.errstate(all="raise"):
            loss, _ = backend.engine(net, parameters).train_epoch(x, t, None, 4, 3.0)
        assert not np.isfinite(loss)


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

        wide = [(w, b) for w, b, _ in net.unflatten(parameters.astype(np.float64))]
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
            for own, reference in zip(found[:2], layer, strict=True):
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
        for weights, bias, _ in net.unflatten(parameters.astype(np.float64)):
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

    @pytest.mark.parametrize("array", ["statistics", "average"])
    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (lambda a: a[:-1].copy(), ValueError),
            (lambda a: np.append(a, a[:1]), ValueError),
            (lambda a: a[np.newaxis], ValueError),
            (lambda a: np.repeat(a, 2)[::2], ValueError),
            (lambda a: a.astype(np.float16), ValueError),
            (lambda a: a.astype(a.dtype.newbyteorder()), ValueError),
            (lambda a: a.tolist(), TypeError),
        ],
        ids=["short", "long", "matrix", "strided", "float16", "byte-swapped", "list"],
    )
    def test_statistics_and_an_average_that_it_cannot_use(
        self, backend, dtype, array, change, error
    ):
        net = network([4, 5, 2], normalization="batch", averaging=0.9)
        parameters = np.ones(net.n_parameters(), dtype)
        good = {"statistics": net.first_statistics(dtype), "average": parameters.copy()}
        backend.engine(net, parameters, **good)
        with pytest.raises(error):
            backend.engine(net, parameters, **{**good, array: change(good[array])})

    @pytest.mark.parametrize("array", ["statistics", "average"])
    def test_statistics_and_an_average_that_are_read_only(self, backend, dtype, array):
        net = network([4, 5, 2], normalization="batch", averaging=0.9)
        parameters = np.ones(net.n_parameters(), dtype)
        arrays = {"statistics": net.first_statistics(dtype), "average": parameters.copy()}
        arrays[array].flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            backend.engine(net, parameters, **arrays)

    def test_an_average_for_a_network_without_averaging(self, backend, dtype):
        with pytest.raises(ValueError, match="average: expected none, since"):
            backend.engine(network([4, 5, 2]), np.ones(37, dtype), average=np.ones(37, dtype))

    @pytest.mark.parametrize(
        ("weights", "error"),
        [
            (np.ones(2), ValueError),
            (np.ones(4), ValueError),
            (np.ones((3, 1)), ValueError),
            (np.ones(6)[::2], ValueError),
            (np.ones(3, np.float16), ValueError),
            (np.ones(3, ">f8"), ValueError),
            (np.ones(3, np.intp), ValueError),
            ([1.0, 1.0, 1.0], TypeError),
            (1.0, TypeError),
        ],
        ids=repr,
    )
    def test_weights_that_it_cannot_use(self, backend, weights, error):
        engine = backend.engine(network([4, 5, 2]), np.zeros(37))
        x, t = np.zeros((3, 4)), np.zeros((3, 2))
        with pytest.raises(error):
            engine.train_epoch(x, t, None, 2, 0.1, weights)
        with pytest.raises(error):
            engine.gradient(x, t, np.empty(37), weights)

    @pytest.mark.parametrize(
        ("rates", "error"),
        [
            (np.ones(1), ValueError),
            (np.ones(3), ValueError),
            (np.ones((1, 2)), ValueError),
            (np.ones(4)[::2], ValueError),
            (np.ones(2, np.float32), ValueError),
            (np.ones(2, ">f8"), ValueError),
            ([0.1, 0.1], TypeError),
            (None, TypeError),
        ],
        ids=repr,
    )
    def test_learning_rates_that_it_cannot_use(self, engine, dtype, rates, error):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(error):
            engine.train_epoch(x, t, None, 2, rates)
        assert engine.steps == 0

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

    @pytest.mark.compiled
    def test_fewer_threads_than_one(self, dtype):
        net = network([4, 5, 2])
        with pytest.raises(ValueError, match="threads: expected at least 1, found 0"):
            backends.get("cython").engine(net, np.zeros(37, dtype), threads=0)

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
        with pytest.raises(ValueError, match="weights"):
            engine.train_epoch(x, t, None, 6, 0.1, np.ones(6, dtype))
        with pytest.raises(ValueError, match="weights"):
            engine.gradient(x, t, np.empty(net.n_parameters(6), dtype), np.ones(6, dtype))
        with pytest.raises(ValueError, match="6 samples"):
            engine.predict(x[:5], t[:5])
