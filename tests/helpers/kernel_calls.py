"""The kernels of the contract, and a correct call of each."""

from __future__ import annotations

import numpy as np

from cnn_core.contracts import Kernels
from cnn_core.network import ACTIVATIONS, Conv2D, MaxPool2D
from cnn_core.optimizers import Adam

OPERATIONS = sorted(name for name in vars(Kernels) if not name.startswith("_"))

POINTWISE = [activation for activation in ACTIVATIONS if activation != "softmax"]

# Empty, single, around the vectors of every level, long.
LENGTHS = [0, 1, 3, 4, 15, 16, 17, 64, 1001]


def normal(rng, shape, dtype):
    return rng.normal(size=shape).astype(dtype)


def unset(shape, dtype):
    """An output that shows every value that was not written."""
    return np.full(shape, np.nan, dtype)


# 4 by 3 pixels of 2 channels: 24 values; 36 or 12 come out.
CONVOLUTION = Conv2D((4, 3, 2), 3)
POOL = MaxPool2D((4, 3, 2), 2, 1)


def well_formed_call(operation, dtype, rng):
    """The arguments of a correct call, by name."""
    x, weights = normal(rng, (4, 6), dtype), normal(rng, (6, 5), dtype)
    images, kernels = normal(rng, (4, 24), dtype), normal(rng, (18, 3), dtype)
    units = rng.random((4, 5)).astype(dtype)
    out = unset((4, 5), dtype)
    return {
        "dense_forward": {"x": x, "weights": weights, "bias": normal(rng, 5, dtype), "out": out},
        "dense_backward": {
            "x": x,
            "weights": weights,
            "delta": units,
            "grad_weights": unset((6, 5), dtype),
            "grad_bias": unset(5, dtype),
            "grad_x": unset((4, 6), dtype),
        },
        "convolve": {
            "layer": CONVOLUTION,
            "x": images,
            "weights": kernels,
            "out": unset((4, 36), dtype),
        },
        "convolve_backward": {
            "layer": CONVOLUTION,
            "x": images,
            "weights": kernels,
            "delta": normal(rng, (4, 36), dtype),
            "grad_weights": unset((18, 3), dtype),
            "grad_x": unset((4, 24), dtype),
        },
        "pool": {"layer": POOL, "x": images, "out": unset((4, 12), dtype)},
        "pool_backward": {
            "layer": POOL,
            "x": images,
            "grad_out": normal(rng, (4, 12), dtype),
            "grad_x": unset((4, 24), dtype),
        },
        "activate": {"activation": "tanh", "z": units, "out": out},
        "activation_backward": {
            "activation": "tanh",
            "z": units,
            "a": units.copy(),
            "grad_a": units.copy(),
            "out": out,
        },
        "loss": {
            "loss": "cross_entropy",
            "z": units,
            "y": units.copy(),
            "t": units.copy(),
            "weights": rng.random(4).astype(dtype),
        },
        "output_delta": {
            "loss": "squared_error",
            "activation": "tanh",
            "z": units,
            "y": units.copy(),
            "t": units.copy(),
            "out": out,
            "weights": rng.random(4).astype(dtype),
        },
        "normalize": {
            "normalization": "batch",
            "u": units,
            "gain": normal(rng, 5, dtype),
            "bias": normal(rng, 5, dtype),
            "normal": unset((4, 5), dtype),
            "spread": unset(5, dtype),
            "z": out,
        },
        "normalize_backward": {
            "normalization": "layer",
            "normal": units,
            "spread": normal(rng, 4, dtype),
            "gain": normal(rng, 5, dtype),
            "delta": units.copy(),
            "grad_gain": unset(5, dtype),
            "grad_bias": unset(5, dtype),
            "out": out,
        },
        "normalize_by": {
            "mean": normal(rng, 5, dtype),
            "variance": rng.random(5).astype(dtype),
            "gain": normal(rng, 5, dtype),
            "bias": normal(rng, 5, dtype),
            "u": units,
            "z": out,
        },
        "update": {
            "optimizer": Adam(),
            "parameters": units.ravel(),
            "gradient": units.ravel().copy(),
            "moments": np.zeros((2, 20), dtype),
            "learning_rate": 0.1,
            "step": 1,
        },
        "random_bits": {"key": 1, "counter": (0, 0, 0, 0), "out": np.zeros(10, np.uint32)},
        "dropout": {"rate": 0.5, "key": 1, "step": 0, "layer": 0, "a": units, "out": out},
    }[operation]


def outputs_of(operation):
    return {
        "dense_backward": ("grad_weights", "grad_bias", "grad_x"),
        "convolve_backward": ("grad_weights", "grad_x"),
        "pool_backward": ("grad_x",),
        "loss": (),
        "update": ("parameters", "moments"),
        "normalize": ("normal", "spread", "z"),
        "normalize_backward": ("grad_gain", "grad_bias", "out"),
        "normalize_by": ("z",),
    }.get(operation, ("out",))


def arrays_of(call):
    return {name: value for name, value in call.items() if isinstance(value, np.ndarray)}
