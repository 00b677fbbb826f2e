"""What the tests of fast paths share: engines, their data, and widths that lead to each path."""

from __future__ import annotations

import itertools

import numpy as np

from cnn_core import backends
from cnn_core.network import Dense, Network
from networks import data, parameters_for

# Inputs of a layer that are none, some and all of the rows of weights that are improved together.
PLAIN = [[5, 3], [33, 70, 17], [100, 64, 50, 10], [48, 47, 95, 96, 3]]


def compiled_engine(net, parameters, **settings):
    return backends.get("cython").engine(net, parameters, **settings)


def parameters_and_samples(rng, net, samples, dtype):
    x, t = data(rng, [net.n_inputs, net.n_outputs], samples, dtype)
    return parameters_for(rng, net, dtype) * dtype.type(0.3), x, t


def relative_to_largest(found, wanted):
    """The largest error of each array of a layer, relative to the array's largest value."""
    for own, other in zip(found, wanted, strict=True):
        if own is not None:
            yield np.abs(own - other).max() / max(np.abs(other).max(), 1e-30)


def normalized(units, *kinds, **settings):
    """A network whose hidden layers are normalized, by turns."""
    sizes = list(itertools.pairwise(units))
    layers = [
        Dense(m, n, "tanh", 0.2, kind)
        for (m, n), kind in zip(sizes[:-1], itertools.cycle(kinds), strict=False)
    ]
    return Network((*layers, Dense(*sizes[-1], "softmax")), "cross_entropy", **settings)
