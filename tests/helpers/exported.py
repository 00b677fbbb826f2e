"""Models to export: trained in milliseconds, or with weights away from their defaults."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnn_core import Model, Network

RNG = np.random.default_rng(0)


def with_weights(network: Network, dtype: Any = np.float32) -> Model:
    """A model with weights, biases, gains and running averages all away from their defaults."""
    model = Model(network, dtype=dtype).initialize("auto", np.random.RandomState(0))
    model.parameters[...] += RNG.normal(size=model.parameters.size) * 0.2
    if model.average is not None:
        model.average[...] = model.parameters + 0.1
    model.statistics[...] = RNG.random(model.statistics.size) + 0.5
    return model
