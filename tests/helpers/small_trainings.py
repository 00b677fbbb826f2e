"""Small networks to train, on data that they can learn."""

from __future__ import annotations

import numpy as np

from cnn_core.callbacks import Callback
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam
from cnn_core.training import (
    Recipe,
)


def classifier(name, **settings):
    layers = (Dense(6, 8, "tanh"), Dense(8, 3, "softmax"))
    network = Network(layers, **{"loss": "cross_entropy", "optimizer": Adam(), **settings})
    return Model(network, seed=5, backend=name).initialize("auto", np.random.RandomState(0))


def eventful(name):
    """A network with everything that a training keeps from step to step."""
    layers = (Dense(6, 8, "relu", dropout=0.3, normalization="batch"), Dense(8, 3, "softmax"))
    network = Network(layers, "cross_entropy", SGD(0.9, nesterov=True), averaging=0.95)
    return Model(network, seed=5, backend=name).initialize("auto", np.random.RandomState(0))


def regressor(name, optimizer=None):
    """A network that is sure to diverge if its steps are long."""
    layers = (Dense(6, 8, "relu"), Dense(8, 3, "identity"))
    network = Network(layers, optimizer=optimizer or SGD())
    return Model(network, backend=name).initialize("he_normal", np.random.RandomState(0))


def recipe(**changes):
    return Recipe(**{"epochs": 4, "batch_size": 16, "learning_rate": 0.02, **changes})


def same_state(one, other):
    return one.steps == other.steps and all(
        np.array_equal(array, other.arrays()[key]) for key, array in one.arrays().items()
    )


class Values(Callback):
    """Changes the weights, so that the monitored loss follows a plan."""

    def __init__(self, scales):
        self.scales = scales

    def on_epoch_begin(self, state):
        last = state.model.layers[-1]
        last.weights[...] = self.scales[state.epoch - 1]
        last.bias[...] = 0
