"""What a network is made of: what its descriptions refuse, and where its parameters lie."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cnn_core.network import ACTIVATIONS, LOSSES, MOST_LAYERS, SGD, Adam, Dense, Network


class TestDense:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"activation": "gelu"}, "activation: expected 'identity', .*, found 'gelu'"),
            ({"fan_in": 0}, "fan_in: expected a whole number of at least 1, found 0"),
            ({"fan_in": True}, "fan_in: expected a whole number of at least 1, found True"),
            ({"fan_out": 2.5}, "fan_out: expected a whole number of at least 1, found 2.5"),
            ({"fan_out": -3}, "fan_out"),
            ({"fan_out": "3"}, "fan_out"),
            ({"dropout": 1.0}, "dropout: expected 0 up to below 1, found 1.0"),
            ({"dropout": -0.1}, "dropout: expected 0 up to below 1, found -0.1"),
            ({"dropout": math.nan}, "dropout: expected 0 up to below 1, found nan"),
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
        ],
        ids=str,
    )
    def test_say_how_much_they_keep(self, optimizer, moments):
        assert optimizer.n_moments == moments


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
                {"layers": (Dense(4, 2), Dense(2, 1, dropout=0.5))},
                "dropout: expected 0 in the last layer, found 0.5",
            ),
            ({"loss": "hinge"}, "loss: expected 'squared_error', .*, found 'hinge'"),
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
        with pytest.raises(TypeError, match="optimizer: expected SGD or Adam"):
            Network((Dense(2, 1),), optimizer=optimizer)

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_each_cross_entropy_goes_with_its_activation_alone(self, loss, activation):
        layers = (Dense(2, 3, activation),)
        needed = {"binary_cross_entropy": "sigmoid", "cross_entropy": "softmax"}.get(loss)
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
            {"loss": "binary_cross_entropy"},
            {"optimizer": SGD(momentum=0.9)},
            {"optimizer": Adam()},
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
        (first, first_bias), (second, second_bias) = network.unflatten(parameters)
        assert first.tolist() == [[0, 1, 2], [3, 4, 5]]
        assert first_bias.tolist() == [6, 7, 8]
        assert second.tolist() == [[9], [10], [11]]
        assert second_bias.tolist() == [12]

    def test_are_viewed_and_not_copied(self):
        network = Network((Dense(2, 3),))
        parameters = np.zeros(9)
        for weights, bias in network.unflatten(parameters):
            weights += 1
            bias += 2
        assert parameters.tolist() == [1, 1, 1, 1, 1, 1, 2, 2, 2]

    def test_have_a_bias_for_each_sample_by_the_articles_rule(self):
        network = Network((Dense(2, 3),), rule="article")
        assert network.n_parameters(bias_rows=4) == 18
        assert network.bias_rows(18) == 4
        [(_, bias)] = network.unflatten(np.arange(18.0))
        assert bias.shape == (4, 3)

    @pytest.mark.parametrize("rule", ["exact", "article"])
    @pytest.mark.parametrize("size", [0, 5, 7, 8, 10, 12])
    def test_of_another_number_are_refused(self, rule, size):
        network = Network((Dense(2, 3),), rule=rule)
        if rule == "article" and size == 12:
            assert network.bias_rows(size) == 2
        else:
            with pytest.raises(ValueError, match=f"9 parameters .*found an array of {size}"):
                network.unflatten(np.zeros(size))
