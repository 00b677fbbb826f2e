"""The gradient is that of PyTorch's autograd and of finite differences."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnn_core.network import NORMALIZATIONS, Huber, Pinball
from cnn_core.optimizers import SGD, Adam, Nadam, RMSprop, Rprop
from networks import PAIRS, data, network, parameters_for
from paths import GOLDEN
from tolerances import FINITE_DIFFERENCE

pytestmark = pytest.mark.covering

AUTOGRAD = json.loads((GOLDEN / "autograd.json").read_text())

CASES = AUTOGRAD["cases"]

SMALL = AUTOGRAD["networks"]

RECIPES = AUTOGRAD["recipes"]

LOSSES_WITH_SETTINGS = {"Huber(0.4)": Huber(0.4), "Pinball(0.8)": Pinball(0.8)}


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
    def test_so_is_the_trajectory_of_every_optimizer(self, backend, golden):
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
