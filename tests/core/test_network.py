"""Descriptions of networks: what they refuse, and where the parameters lie."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cnn_core.network import (
    ACTIVATIONS,
    LOSSES,
    MOST_LAYERS,
    NEEDED_ACTIVATION,
    NORMALIZATIONS,
    Dense,
    Huber,
    Network,
    Pinball,
)
from cnn_core.optimizers import OPTIMIZERS, SGD, Adam, Lion, Nadam, RMSprop, Rprop


class TestDense:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"activation": "mish"}, "activation: expected 'identity', .*, found 'mish'"),
            ({"fan_in": 0}, "fan_in: expected a whole number of at least 1, found 0"),
            ({"fan_in": True}, "fan_in: expected a whole number of at least 1, found True"),
            ({"fan_out": 2.5}, "fan_out: expected a whole number of at least 1, found 2.5"),
            ({"fan_out": -3}, "fan_out"),
            ({"fan_out": "3"}, "fan_out"),
            ({"dropout": 1.0}, "dropout: expected 0 up to below 1, found 1.0"),
            ({"dropout": -0.1}, "dropout: expected 0 up to below 1, found -0.1"),
            ({"dropout": math.nan}, "dropout: expected 0 up to below 1, found nan"),
            (
                {"normalization": "group"},
                "normalization: expected 'batch', 'layer', found 'group'",
            ),
        ],
        ids=str,
    )
    def test_refuses(self, change, message):
        with pytest.raises(ValueError, match=message):
            Dense(**{"fan_in": 2, "fan_out": 3, **change})

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_takes_every_activation_and_any_dropout_below_one(self, activation):
        layer = Dense(2, 3, activation, dropout=1 - 2.0**-53)
        assert layer.activation == activation


class TestLosses:
    @pytest.mark.parametrize("delta", [0.0, -1.0, math.inf, math.nan])
    def test_huber_refuses_a_delta_that_is_no_length(self, delta):
        with pytest.raises(ValueError, match=f"delta: expected a number above 0, found {delta}"):
            Huber(delta)

    @pytest.mark.parametrize("quantile", [0.0, 1.0, -0.1, math.nan, (0.5, 1.0), (0.0,)], ids=str)
    def test_pinball_refuses_a_quantile_that_is_no_share(self, quantile):
        with pytest.raises(ValueError, match="quantile: expected numbers above 0 and below 1"):
            Pinball(quantile)

    def test_pinball_has_one_quantile_for_all_outputs_or_one_for_each(self):
        assert Pinball(0.3).quantiles(3) == (0.3, 0.3, 0.3)
        assert Pinball((0.1, 0.9)).quantiles(2) == (0.1, 0.9)

    def test_equal_ones_are_equal_and_hash_alike(self):
        assert len({Huber(0.5), Huber(0.5), Pinball((0.1, 0.9)), Pinball((0.1, 0.9))}) == 2


class TestOptimizers:
    @pytest.mark.parametrize(
        ("optimizer", "settings", "message"),
        [
            (SGD, {"momentum": 1.0}, "momentum: expected 0 up to below 1, found 1.0"),
            (SGD, {"momentum": -0.1}, "momentum"),
            (SGD, {"momentum": math.nan}, "momentum"),
            (SGD, {"nesterov": True}, "nesterov: expected a momentum above 0"),
            (Adam, {"beta_1": 1.0}, "beta_1: expected 0 up to below 1, found 1.0"),
            (Adam, {"beta_2": -0.5}, "beta_2: expected 0 up to below 1, found -0.5"),
            (Adam, {"beta_2": math.nan}, "beta_2"),
            (Adam, {"epsilon": 0.0}, "epsilon: expected a number above 0, found 0.0"),
            (Adam, {"epsilon": math.inf}, "epsilon"),
            (Adam, {"epsilon": math.nan}, "epsilon"),
            (Adam, {"weight_decay": -1e-9}, "weight_decay: expected at least 0, found -1e-09"),
            (Adam, {"weight_decay": math.inf}, "weight_decay"),
            (Adam, {"weight_decay": math.nan}, "weight_decay"),
            (RMSprop, {"rho": 1.0}, "rho: expected 0 up to below 1, found 1.0"),
            (RMSprop, {"momentum": -0.1}, "momentum"),
            (RMSprop, {"epsilon": 0.0}, "epsilon"),
            (Nadam, {"beta_1": 1.0}, "beta_1"),
            (Nadam, {"beta_2": math.nan}, "beta_2"),
            (Nadam, {"epsilon": -1.0}, "epsilon"),
            (Nadam, {"momentum_decay": -0.1}, "momentum_decay: expected at least 0, found -0.1"),
            (Nadam, {"momentum_decay": math.inf}, "momentum_decay"),
            (Lion, {"beta_1": -0.1}, "beta_1"),
            (Lion, {"beta_2": 1.0}, "beta_2"),
            (Lion, {"weight_decay": -0.1}, "weight_decay"),
            (Rprop, {"decrease": 1.0}, "decrease: expected above 0 and below 1, found 1.0"),
            (Rprop, {"decrease": 0.0}, "decrease"),
            (Rprop, {"increase": 1.0}, "increase: expected a number above 1, found 1.0"),
            (Rprop, {"increase": math.inf}, "increase"),
            (Rprop, {"least_step": 0.0}, "least_step, largest_step: .* in rising order"),
            (Rprop, {"least_step": 2.0, "largest_step": 1.0}, "found 2.0, 1.0"),
            (Rprop, {"largest_step": math.inf}, "largest_step"),
            (Rprop, {"largest_step": math.nan}, "largest_step"),
        ],
        ids=str,
    )
    def test_refuse(self, optimizer, settings, message):
        with pytest.raises(ValueError, match=message):
            optimizer(**settings)

    @pytest.mark.parametrize(
        ("optimizer", "moments"),
        [
            (SGD(), 0),
            (SGD(momentum=0.9), 1),
            (SGD(momentum=0.9, nesterov=True), 1),
            (Adam(), 2),
            (Adam(beta_1=0, beta_2=0, weight_decay=0.1), 2),
            (RMSprop(), 1),
            (RMSprop(momentum=0.5), 2),
            (Nadam(), 2),
            (Lion(), 1),
            (Rprop(), 2),
        ],
        ids=str,
    )
    def test_say_how_much_they_keep(self, optimizer, moments):
        assert optimizer.n_moments == moments

    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    def test_a_network_takes_any_of_them(self, optimizer):
        assert Network((Dense(2, 3),), optimizer=optimizer()).optimizer == optimizer()


class TestNetwork:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"layers": ()}, "at least one layer and at most 1000, found 0"),
            ({"layers": (Dense(1, 1),) * (MOST_LAYERS + 1)}, "at most 1000, found 1001"),
            (
                {"layers": (Dense(4, 2), Dense(3, 1))},
                "layer 1 expects 3 inputs, but layer 0 has 2 units",
            ),
            (
                {"layers": (Dense(4, 2, "softmax"), Dense(2, 1))},
                "layer 0: softmax belongs in the last layer alone",
            ),
            (
                {"layers": (Dense(4, 2), Dense(2, 2, "exp"), Dense(2, 1))},
                "layer 1: exp belongs in the last layer alone",
            ),
            (
                {"layers": (Dense(4, 2), Dense(2, 1, dropout=0.5))},
                "dropout: expected 0 in the last layer, found 0.5",
            ),
            (
                {"layers": (Dense(4, 2), Dense(2, 1, normalization="layer"))},
                "normalization: expected none in the last layer, found 'layer'",
            ),
            ({"loss": "hinge"}, "loss: expected 'squared_error', .*, found 'hinge'"),
            ({"loss": Huber}, "loss: expected 'squared_error'"),
            ({"loss": None}, "loss: expected 'squared_error', .*, found None"),
            (
                {"loss": Pinball((0.1, 0.9))},
                "quantile: expected one, or 1, one for each output, found 2",
            ),
            ({"l2": -0.1}, "l2: expected at least 0, found -0.1"),
            ({"l2": math.inf}, "l2"),
            ({"l2": math.nan}, "l2"),
            ({"clip_value": 0.0}, "clip_value: expected a number above 0, found 0.0"),
            ({"clip_value": math.nan}, "clip_value"),
            ({"clip_norm": -1.0}, "clip_norm: expected a number above 0, found -1.0"),
            ({"clip_norm": math.inf}, "clip_norm"),
            ({"clip_value": 1.0, "clip_norm": 1.0}, "at most one of them, found both"),
            ({"averaging": 1.0}, "averaging: expected 0 up to below 1, found 1.0"),
            ({"averaging": -0.1}, "averaging"),
            ({"averaging": math.nan}, "averaging"),
            ({"rule": "delta"}, "rule: expected 'exact', 'article', found 'delta'"),
            ({"input_scale": 0.0}, "input_scale: expected a finite number other than 0, found 0.0"),
            ({"input_scale": math.inf}, "input_scale"),
            ({"input_scale": math.nan}, "input_scale"),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_refuses(self, change, message):
        with pytest.raises(ValueError, match=message):
            Network(**{"layers": (Dense(2, 1),), **change})

    @pytest.mark.parametrize("optimizer", ["adam", None, SGD])
    def test_refuses_what_is_no_optimizer(self, optimizer):
        with pytest.raises(TypeError, match="optimizer: expected one of SGD, Adam, RMSprop"):
            Network((Dense(2, 1),), optimizer=optimizer)

    @pytest.mark.parametrize("loss", LOSSES, ids=str)
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_some_losses_go_with_their_activation_alone(self, loss, activation):
        loss = loss if isinstance(loss, str) else loss()
        layers = (Dense(2, 3, activation),)
        needed = NEEDED_ACTIVATION.get(loss)
        if needed in (None, activation):
            assert Network(layers, loss).loss == loss
        else:
            with pytest.raises(ValueError, match=f"{loss!r} needs {needed!r} in the last layer"):
                Network(layers, loss)

    @pytest.mark.parametrize(
        "change",
        [
            {"layers": (Dense(2, 3, "relu"), Dense(3, 1))},
            {"layers": (Dense(2, 3), Dense(3, 1, "identity"))},
            {"layers": (Dense(2, 3, dropout=0.5), Dense(3, 1))},
            {"layers": (Dense(2, 3, normalization="batch"), Dense(3, 1))},
            {"loss": "binary_cross_entropy"},
            {"loss": Huber()},
            {"optimizer": SGD(momentum=0.9)},
            {"optimizer": Adam()},
            {"l2": 0.1},
            {"clip_value": 1.0},
            {"clip_norm": 1.0},
            {"averaging": 0.9},
        ],
        ids=str,
    )
    def test_the_articles_rule_is_for_the_articles_network(self, change):
        article = Network((Dense(2, 3), Dense(3, 1)), rule="article")
        with pytest.raises(ValueError, match="article's rule"):
            dataclasses.replace(article, **change)

    def test_the_articles_rule_takes_an_input_scale(self):
        assert Network((Dense(2, 3),), rule="article", input_scale=0.5).input_scale == 0.5

    def test_a_description_cannot_be_changed(self):
        network = Network((Dense(2, 3),))
        with pytest.raises(dataclasses.FrozenInstanceError):
            network.loss = "cross_entropy"
        with pytest.raises(dataclasses.FrozenInstanceError):
            network.layers[0].fan_in = 7
        with pytest.raises(dataclasses.FrozenInstanceError):
            network.optimizer.momentum = 0.5

    def test_equal_descriptions_are_equal_and_hash_alike(self):
        networks = {Network((Dense(2, 3, "tanh", 0.1), Dense(3, 1))) for _ in range(2)}
        assert len(networks) == 1


class TestParameters:
    def test_lie_layer_after_layer_the_weights_before_the_bias(self):
        network = Network((Dense(2, 3), Dense(3, 1)))
        parameters = np.arange(13.0)
        assert (network.n_inputs, network.n_outputs, network.n_parameters()) == (2, 1, 13)
        first, second = network.unflatten(parameters)
        assert first.weights.tolist() == [[0, 1, 2], [3, 4, 5]]
        assert first.bias.tolist() == [6, 7, 8]
        assert first.gain is None
        assert second.weights.tolist() == [[9], [10], [11]]
        assert second.bias.tolist() == [12]

    @pytest.mark.parametrize("normalization", NORMALIZATIONS)
    def test_have_a_gain_after_the_bias_of_a_normalized_layer(self, normalization):
        layers = (Dense(2, 3, normalization=normalization), Dense(3, 1))
        network = Network(layers)
        assert network.n_parameters() == 16
        first, second = network.unflatten(np.arange(16.0))
        assert first.bias.tolist() == [6, 7, 8]
        assert first.gain.tolist() == [9, 10, 11]
        assert second.weights.ravel().tolist() == [12, 13, 14]
        assert second.bias.tolist() == [15]
        assert second.gain is None

    def test_are_viewed_and_not_copied(self):
        network = Network((Dense(2, 3),))
        parameters = np.zeros(9)
        for layer in network.unflatten(parameters):
            layer.weights[:] += 1
            layer.bias[:] += 2
        assert parameters.tolist() == [1, 1, 1, 1, 1, 1, 2, 2, 2]

    def test_have_a_bias_for_each_sample_by_the_articles_rule(self):
        network = Network((Dense(2, 3),), rule="article")
        assert network.n_parameters(bias_rows=4) == 18
        assert network.bias_rows(18) == 4
        [layer] = network.unflatten(np.arange(18.0))
        assert layer.bias.shape == (4, 3)

    @pytest.mark.parametrize("rule", ["exact", "article"])
    @pytest.mark.parametrize("size", [0, 5, 7, 8, 10, 12])
    def test_of_another_number_are_refused(self, rule, size):
        network = Network((Dense(2, 3),), rule=rule)
        if rule == "article" and size == 12:
            assert network.bias_rows(size) == 2
        else:
            with pytest.raises(ValueError, match=f"9 parameters .*found an array of {size}"):
                network.unflatten(np.zeros(size))


class TestStatistics:
    LAYERS = (
        Dense(2, 3, normalization="batch"),
        Dense(3, 4, normalization="layer"),
        Dense(4, 2, normalization="batch"),
        Dense(2, 1),
    )

    def test_are_the_means_and_variances_of_the_layers_normalized_over_the_batch(self):
        network = Network(self.LAYERS)
        assert network.n_statistics == 10
        first, second, third, last = network.unflatten_statistics(np.arange(10.0))
        assert [array.tolist() for array in first] == [[0, 1, 2], [3, 4, 5]]
        assert second is None
        assert [array.tolist() for array in third] == [[6, 7], [8, 9]]
        assert last is None

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_begin_with_means_of_0_and_variances_of_1(self, dtype):
        first = Network(self.LAYERS).first_statistics(dtype)
        assert first.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 1, 1]
        assert first.dtype == dtype

    def test_are_viewed_and_not_copied(self):
        network = Network(self.LAYERS)
        statistics = network.first_statistics(np.float64)
        network.unflatten_statistics(statistics)[2][0][:] = 7
        assert statistics.tolist() == [0, 0, 0, 1, 1, 1, 7, 7, 1, 1]

    def test_of_a_network_without_any_are_nothing(self):
        network = Network((Dense(2, 3),))
        assert network.n_statistics == 0
        assert network.first_statistics(np.float32).shape == (0,)
        assert network.unflatten_statistics(np.empty(0)) == [None]

    @pytest.mark.parametrize("shape", [(9,), (11,), (0,), (1, 10)], ids=str)
    def test_of_another_number_are_refused(self, shape):
        with pytest.raises(ValueError, match=r"statistics: expected the shape \(10,\), found"):
            Network(self.LAYERS).unflatten_statistics(np.zeros(shape))
