"""A small `NN`, and data that it can learn."""

from __future__ import annotations

from cnn_core import NN


def small_net(name, **settings):
    arguments = {"learning_rate": 0.5, "epochs": 3, "batch_size": 8, "seed": 1, "backend": name}
    return NN(6, 5, 3, **{**arguments, **settings})
