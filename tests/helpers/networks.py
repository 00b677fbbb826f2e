"""Networks, their data and their parameters, as the tests of the engine want them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnn_core.network import ACTIVATIONS, Dense, Network
from corpus import HEADS

HIDDEN = tuple(name for name in ACTIVATIONS if name not in ("softmax", "exp"))

# Every hidden activation with half the heads, every head with half the activations.
PAIRS = [(HIDDEN[number % 10], *HEADS[number % 12]) for number in range(60)]


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


def assert_finite_differences(engine, parameters, x, t, numbers):
    """The gradient by some parameters is that of the loss a little to both sides of them."""
    gradient, rest = np.empty_like(parameters), np.empty_like(parameters)
    engine.gradient(x, t, gradient)
    step = 1e-5
    for number in numbers:
        before, losses = parameters[number], []
        for moved in (before + step, before - step):
            parameters[number] = moved
            losses.append(engine.gradient(x, t, rest))
        parameters[number] = before
        assert gradient[number] == pytest.approx(
            (losses[0] - losses[1]) / (2 * step), rel=1e-6, abs=1e-8
        )
