"""Descriptions of layers for images: shapes, and what makes no sense."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core import Dense, Network, Stack
from cnn_core.initializers import initialize
from cnn_core.io.network_json import network_from_json, network_to_json
from cnn_core.network import AvgPool2D, Conv2D, GlobalAveragePool, MaxPool2D
from image_networks import STACKS, image_network


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2D((28, 28, 1), 16), (28, 28, 16)),
        (Conv2D((28, 27, 3), 8, 5, 2), (14, 14, 8)),
        (Conv2D((28, 27, 3), 8, 5, 2, "valid"), (12, 12, 8)),
        (Conv2D((5, 4, 3), 8, 4, padding="valid"), (2, 1, 8)),
        (Conv2D((1, 1, 3), 8, 5), (1, 1, 8)),
        (MaxPool2D((7, 6, 3)), (3, 3, 3)),
        (AvgPool2D((7, 6, 3), 3, 1), (5, 4, 3)),
        (GlobalAveragePool((7, 6, 3)), (1, 1, 3)),
    ],
)
def test_the_shape_of_the_output(layer, shape):
    assert layer.output_shape == shape
    assert layer.fan_out == np.prod(shape)


@pytest.mark.parametrize(
    ("layer", "parameters"),
    [
        (Conv2D((9, 9, 4), 6), 9 * 4 * 6 + 6),
        (Conv2D((9, 9, 4), 6, 5, groups=2, normalization="batch"), 25 * 2 * 6 + 2 * 6),
        (MaxPool2D((9, 9, 4)), 0),
        (MaxPool2D((9, 9, 4), normalization="layer"), 8),
    ],
)
def test_the_number_of_parameters(layer, parameters):
    assert layer.n_parameters() == parameters


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Conv2D((28, 28), 4), ValueError, r"input_shape: expected \(height, width, chan"),
        (lambda: Conv2D((28, 0, 1), 4), ValueError, "input_shape: expected at least 1, found 0"),
        (lambda: Conv2D((28, 2.5, 1), 4), TypeError, "input_shape: expected a whole number"),
        (lambda: Conv2D((2**40, 2**40, 1), 4), ValueError, "input_shape: expected at most"),
        (lambda: Conv2D((8, 8, 1), 0), ValueError, "channels: expected at least 1, found 0"),
        (lambda: Conv2D((8, 8, 1), True), TypeError, "channels: expected a whole number"),
        (lambda: Conv2D((8, 8, 1), 4, 4), ValueError, "kernel: expected an odd number with the"),
        (lambda: Conv2D((8, 6, 1), 4, 7, 1, "valid"), ValueError, "kernel: .*8 and 6, found 7"),
        (lambda: Conv2D((8, 8, 1), 4, padding="full"), ValueError, "padding: expected 'same'"),
        (lambda: Conv2D((8, 8, 3), 4, groups=2), ValueError, "groups: .* 3 and 4, found 2"),
        (lambda: Conv2D((8, 8, 1), 4, activation="rleu"), ValueError, "activation: expected"),
        (lambda: Conv2D((8, 8, 1), 4, dropout=1), ValueError, "dropout: expected 0 up to below 1"),
        (lambda: Conv2D((8, 8, 1), 4, spatial_dropout=1), TypeError, "spatial_dropout: expected"),
        (lambda: MaxPool2D((8, 3, 1), 4), ValueError, "size: .* 8 and 3, found 4"),
        (lambda: AvgPool2D((8, 3, 1), stride=0), ValueError, "stride: expected at least 1"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_a_stack_gives_each_layer_the_shape_of_the_one_below():
    stack = Stack((28, 28, 1)).add(Conv2D, 16, stride=2).add(MaxPool2D).add(Dense, 10)
    assert stack.layers == (
        Conv2D((28, 28, 1), 16, stride=2),
        MaxPool2D((14, 14, 16)),
        Dense(7 * 7 * 16, 10),
    )


def test_a_stack_names_the_layer_that_does_not_fit():
    stack = Stack((6, 6, 1)).add(MaxPool2D)
    with pytest.raises(ValueError, match=r"layer 1 \(Conv2D\): kernel: expected at most .* 3"):
        stack.add(Conv2D, 4, 5, padding="valid")
    with pytest.raises(TypeError, match=r"layer 1 \(Conv2D\): .*kernels"):
        stack.add(Conv2D, 4, kernels=5)
    stack.add(Dense, 4)
    with pytest.raises(ValueError, match=r"layer 2 \(Conv2D\): expected an image .* 4 values"):
        stack.add(Conv2D, 4)


@pytest.mark.parametrize("shape", [(6, 6), 0, "28", None])
def test_a_stack_refuses_what_is_no_shape(shape):
    with pytest.raises(ValueError, match="input_shape: expected"):
        Stack(shape)


@pytest.mark.parametrize(
    ("layers", "match"),
    [
        (
            (Conv2D((4, 4, 1), 2), MaxPool2D((4, 2, 4))),
            r"layer 1 \(MaxPool2D\) expects images of the shape \(4, 2, 4\), but layer 0 \(Conv2D\)"
            r" has \(4, 4, 2\)",
        ),
        ((MaxPool2D((4, 4, 1)), Dense(5, 2)), "layer 1 expects 5 inputs, but layer 0 has 4"),
        ((Dense(5, 15), MaxPool2D((4, 4, 1))), "layer 1 expects 16 inputs, but layer 0 has 15"),
        ((Conv2D((4, 4, 1), 2, dropout=0.1),), "dropout: expected 0 in the last layer"),
        ((MaxPool2D((4, 4, 1), normalization="batch"),), "normalization: expected none in the"),
        ((Conv2D((4, 4, 1), 2, activation="softmax"), Dense(32, 2)), "layer 0: softmax belongs"),
    ],
)
def test_shapes_are_checked_when_the_network_is_described(layers, match):
    with pytest.raises(ValueError, match=match):
        Network(layers)


def test_the_articles_rule_is_for_dense_layers_alone():
    with pytest.raises(ValueError, match="the article's rule"):
        Network((Conv2D((4, 4, 1), 2, activation="sigmoid"), Dense(32, 2)), rule="article")


@pytest.mark.parametrize("name", STACKS)
def test_a_description_is_the_same_after_a_way_through_json(name):
    network = image_network(name)
    assert network_from_json(network_to_json(network)) == network


def test_first_weights_are_drawn_by_the_size_of_a_patch():
    network = Network((Conv2D((9, 9, 20), 100), Dense(8100, 2)))
    parameters = np.empty(network.n_parameters())
    initialize(network, parameters, "he_normal", np.random.RandomState(1))
    deviation = network.unflatten(parameters)[0].weights.std()
    assert deviation == pytest.approx((2 / (9 * 20)) ** 0.5, rel=0.02)


def test_a_network_may_end_with_a_pool(backend, rng):
    network = Network(
        (
            Conv2D((5, 4, 2), 3, activation="identity"),
            GlobalAveragePool((5, 4, 3), activation="softmax"),
        ),
        "cross_entropy",
    )
    x, out = rng.normal(size=(6, 40)), np.empty((6, 3))
    backend.engine(network, rng.normal(size=network.n_parameters())).predict(x, out)
    assert out.sum(axis=1) == pytest.approx(1)


def test_a_network_may_be_without_parameters(backend, rng):
    network = Network((AvgPool2D((4, 4, 1), activation="identity"),))
    x, out = rng.normal(size=(3, 16)), np.empty((3, 4))
    backend.engine(network, np.empty(0)).predict(x, out)
    means = x.reshape(3, 2, 2, 2, 2).mean(axis=(2, 4)).reshape(3, 4)
    np.testing.assert_allclose(out, means, rtol=1e-14)
