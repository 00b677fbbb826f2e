"""The kernels as the formulas are written: the definition of what the compiled ones compute.

What each one does, with shapes and errors, stands in `cnn_core.backends.interface.Kernels`. Here
the arguments are checked; the arithmetic of activations, losses and optimizers stands in tables in
modules of their own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnn_core.backends.checks import require, require_known, require_vector, require_whole
from cnn_core.backends.numpy.activations import ACTIVATE, BACKWARD
from cnn_core.backends.numpy.images import (
    convolved,
    input_gradient,
    pooled,
    pooled_backward,
    weight_gradient,
)
from cnn_core.backends.numpy.losses import LOSS, delta_of, key_of
from cnn_core.backends.numpy.normalization import AXIS, normalized, normalized_backward
from cnn_core.backends.numpy.optimizers import require_optimizer, take_step
from cnn_core.backends.numpy.random import philox
from cnn_core.layers import (
    AvgPool2D,
    Conv2D,
    GlobalAveragePool,
    ImageLayer,
    MaxPool2D,
)
from cnn_core.network import EPSILON, Activation, FloatArray, Loss, Normalization, Pinball
from cnn_core.optimizers import Optimizer


def dense_forward(x: FloatArray, weights: FloatArray, bias: FloatArray, out: FloatArray) -> None:
    """``out = x @ weights + bias``."""
    require("x", x, None, x)
    require("weights", weights, None, x)
    require("weights", weights, (x.shape[1], weights.shape[1]), x)
    require("bias", bias, (weights.shape[1],), x)
    require("out", out, (x.shape[0], weights.shape[1]), x, written=True)
    # A BLAS may raise floating-point errors for values that are not outputs.
    with np.errstate(all="ignore"):
        np.matmul(x, weights, out=out)
        out += bias


def dense_backward(
    x: FloatArray,
    weights: FloatArray,
    delta: FloatArray,
    grad_weights: FloatArray | None = None,
    grad_bias: FloatArray | None = None,
    grad_x: FloatArray | None = None,
) -> None:
    """``x.T @ delta``, ``delta.sum(axis=0)`` and ``delta @ weights.T``, each if asked for."""
    require("x", x, None, x)
    require("weights", weights, None, x)
    require("weights", weights, (x.shape[1], weights.shape[1]), x)
    require("delta", delta, (x.shape[0], weights.shape[1]), x)
    with np.errstate(all="ignore"):
        if grad_weights is not None:
            require("grad_weights", grad_weights, weights.shape, x, written=True)
            np.matmul(x.T, delta, out=grad_weights)
        if grad_bias is not None:
            require("grad_bias", grad_bias, (weights.shape[1],), x, written=True)
            np.sum(delta, axis=0, out=grad_bias)
        if grad_x is not None:
            require("grad_x", grad_x, x.shape, x, written=True)
            np.matmul(delta, weights.T, out=grad_x)


def convolve(layer: Conv2D, x: FloatArray, weights: FloatArray, out: FloatArray) -> None:
    """``out`` = the convolution of the images `x`, without a bias."""
    _require_convolution(layer, x, weights)
    require("out", out, (len(x), layer.fan_out), x, written=True)
    with np.errstate(all="ignore"):
        out[:] = convolved(layer, x, weights)


def convolve_backward(
    layer: Conv2D,
    x: FloatArray,
    weights: FloatArray,
    delta: FloatArray,
    grad_weights: FloatArray | None = None,
    grad_x: FloatArray | None = None,
) -> None:
    """From dloss/dout, `delta`, the gradients of weights and `x`, each if asked for."""
    _require_convolution(layer, x, weights)
    require("delta", delta, (len(x), layer.fan_out), x)
    with np.errstate(all="ignore"):
        if grad_weights is not None:
            require("grad_weights", grad_weights, weights.shape, x, written=True)
            grad_weights[:] = weight_gradient(layer, x, delta)
        if grad_x is not None:
            require("grad_x", grad_x, x.shape, x, written=True)
            grad_x[:] = input_gradient(layer, weights, delta)


def pool(layer: ImageLayer, x: FloatArray, out: FloatArray) -> None:
    """``out`` = the largest value or the mean of each window of the images `x`."""
    _require_pool(layer, x)
    require("out", out, (len(x), layer.fan_out), x, written=True)
    with np.errstate(all="ignore"):
        out[:] = pooled(layer, x)


def pool_backward(
    layer: ImageLayer, x: FloatArray, grad_out: FloatArray, grad_x: FloatArray
) -> None:
    """``grad_x`` = dloss/dx from dloss/dout, `grad_out`."""
    _require_pool(layer, x)
    require("grad_out", grad_out, (len(x), layer.fan_out), x)
    require("grad_x", grad_x, x.shape, x, written=True)
    with np.errstate(all="ignore"):
        grad_x[:] = pooled_backward(layer, x, grad_out)


def _require_convolution(layer: Conv2D, x: FloatArray, weights: FloatArray) -> None:
    if not isinstance(layer, Conv2D):
        raise TypeError(f"layer: expected Conv2D, found {layer!r}")
    require("x", x, None, x)
    require("x", x, (len(x), layer.fan_in), x)
    require("weights", weights, layer.weights_shape, x)


def _require_pool(layer: ImageLayer, x: FloatArray) -> None:
    if not isinstance(layer, MaxPool2D | AvgPool2D | GlobalAveragePool):
        raise TypeError(
            f"layer: expected MaxPool2D, AvgPool2D or GlobalAveragePool, found {layer!r}"
        )
    require("x", x, None, x)
    require("x", x, (len(x), layer.fan_in), x)


def activate(activation: Activation, z: FloatArray, out: FloatArray) -> None:
    """``out = activation(z)``."""
    require_known("activation", activation, ACTIVATE)
    require("z", z, None, z)
    require("out", out, z.shape, z, written=True)
    with np.errstate(all="ignore"):
        out[:] = ACTIVATE[activation](z)


def activation_backward(
    activation: Activation, z: FloatArray, a: FloatArray, grad_a: FloatArray, out: FloatArray
) -> None:
    """``out`` = dloss/dz from z, ``a = activation(z)`` and dloss/da."""
    require_known("activation", activation, BACKWARD)
    require("z", z, None, z)
    require("a", a, z.shape, z)
    require("grad_a", grad_a, z.shape, z)
    require("out", out, z.shape, z, written=True)
    with np.errstate(all="ignore"):
        out[:] = BACKWARD[activation](z, a, grad_a)


def loss(
    loss: Loss, z: FloatArray, y: FloatArray, t: FloatArray, weights: FloatArray | None = None
) -> float:
    """Return the loss, summed over outputs, averaged over samples, in float64."""
    _require_loss(loss, z, y, t, weights)
    with np.errstate(all="ignore"):
        wide = (array.astype(np.float64, copy=False) for array in (z, y, t))
        losses = LOSS[key_of(loss)](loss, *wide).sum(axis=1)
    if weights is None:
        return float(losses.sum()) / max(len(z), 1)
    total = float(weights.sum(dtype=np.float64))
    return float(weights @ losses) / total if total else 0.0


def output_delta(
    loss: Loss,
    activation: Activation,
    z: FloatArray,
    y: FloatArray,
    t: FloatArray,
    out: FloatArray,
    weights: FloatArray | None = None,
) -> None:
    """``out`` = dloss/dz in the last layer."""
    require_known("activation", activation, BACKWARD)
    _require_loss(loss, z, y, t, weights)
    require("out", out, z.shape, z, written=True)
    real = z.dtype.type
    with np.errstate(all="ignore"):
        delta = delta_of(loss, activation, z, y, t)
        if weights is None:
            out[:] = delta / real(max(len(z), 1))
        else:
            total = weights.sum(dtype=np.float64)
            out[:] = delta * (weights / real(total))[:, np.newaxis] if total else real(0)


def _require_loss(
    loss: Loss, z: FloatArray, y: FloatArray, t: FloatArray, weights: FloatArray | None
) -> None:
    if key_of(loss) not in LOSS:
        known = ", ".join(repr(key) if isinstance(key, str) else key.__name__ for key in LOSS)
        raise ValueError(f"loss: expected {known}, found {loss!r}")
    require("z", z, None, z)
    require("y", y, z.shape, z)
    require("t", t, z.shape, z)
    if isinstance(loss, Pinball) and len(loss.quantiles(z.shape[1])) != z.shape[1]:
        raise ValueError(f"loss: expected {z.shape[1]} quantiles, found {loss.quantile!r}")
    if weights is not None:
        require("weights", weights, (len(z),), z)


def normalize(
    normalization: Normalization,
    u: FloatArray,
    gain: FloatArray,
    bias: FloatArray,
    normal: FloatArray,
    spread: FloatArray,
    z: FloatArray,
) -> None:
    """Write ``normal = (u - mean) * spread`` and ``z = gain * normal + bias``."""
    require_known("normalization", normalization, AXIS)
    require("u", u, None, u)
    require("gain", gain, (u.shape[1],), u)
    require("bias", bias, gain.shape, u)
    require("normal", normal, u.shape, u, written=True)
    require("spread", spread, (u.shape[1 - AXIS[normalization]],), u, written=True)
    require("z", z, u.shape, u, written=True)
    if u.size == 0:
        return
    with np.errstate(all="ignore"):
        normal[:], wide = normalized(normalization, u)
        spread[:] = wide.ravel()
        z[:] = gain * normal + bias


def normalize_backward(
    normalization: Normalization,
    normal: FloatArray,
    spread: FloatArray,
    gain: FloatArray,
    delta: FloatArray,
    grad_gain: FloatArray,
    grad_bias: FloatArray,
    out: FloatArray,
) -> None:
    """From dloss/dz, `delta`, the gradients and ``out`` = dloss/du."""
    require_known("normalization", normalization, AXIS)
    require("normal", normal, None, normal)
    require("spread", spread, (normal.shape[1 - AXIS[normalization]],), normal)
    require("gain", gain, (normal.shape[1],), normal)
    require("delta", delta, normal.shape, normal)
    require("grad_gain", grad_gain, gain.shape, normal, written=True)
    require("grad_bias", grad_bias, gain.shape, normal, written=True)
    require("out", out, normal.shape, normal, written=True)
    with np.errstate(all="ignore"):
        grad_gain[:] = (delta * normal).sum(axis=0)
        grad_bias[:] = delta.sum(axis=0)
        if normal.size:
            out[:] = normalized_backward(normalization, normal, spread, gain * delta)


def normalize_by(
    mean: FloatArray,
    variance: FloatArray,
    gain: FloatArray,
    bias: FloatArray,
    u: FloatArray,
    z: FloatArray,
) -> None:
    """``z = gain * (u - mean) / sqrt(variance + EPSILON) + bias``."""
    require("u", u, None, u)
    for name, array in (("mean", mean), ("variance", variance), ("gain", gain), ("bias", bias)):
        require(name, array, (u.shape[1],), u)
    require("z", z, u.shape, u, written=True)
    with np.errstate(all="ignore"):
        z[:] = gain * ((u - mean) / np.sqrt(variance + u.dtype.type(EPSILON))) + bias


def update(
    optimizer: Optimizer,
    parameters: FloatArray,
    gradient: FloatArray,
    moments: FloatArray,
    learning_rate: float,
    step: int,
) -> None:
    """Take the step of this number, from 1, in place."""
    require("parameters", parameters, (np.size(parameters),), parameters, written=True)
    require("gradient", gradient, parameters.shape, parameters)
    require_optimizer(optimizer)
    shape = (optimizer.n_moments, parameters.size)
    require("moments", moments, shape, parameters, written=True)
    require_whole("step", step, 1, 2**64)
    take_step(optimizer, parameters, gradient, moments, learning_rate, step)


def random_bits(key: int, counter: tuple[int, int, int, int], out: npt.NDArray[np.uint32]) -> None:
    """Fill `out` with random numbers of 32 bits, four from each counter."""
    key = require_whole("key", key, 0, 2**64)
    if len(counter) != 4:
        raise ValueError(f"counter: expected four words, found {len(counter)}")
    first, *others = (require_whole("counter", word, 0, 2**32) for word in counter)
    require_vector("out", out, np.uint32, written=True)
    blocks = first + np.arange(-(-out.size // 4), dtype=np.uint64)
    out[:] = philox(key, blocks, *others).ravel()[: out.size]


def dropout(rate: float, key: int, step: int, layer: int, a: FloatArray, out: FloatArray) -> None:
    """``out = a / (1 - rate)`` where a sample keeps a unit, else 0."""
    if not 0 <= rate < 1:
        raise ValueError(f"rate: expected 0 up to below 1, found {rate!r}")
    key = require_whole("key", key, 0, 2**64)
    require("a", a, None, a)
    require("out", out, a.shape, a, written=True)
    rows, units = a.shape
    block = np.arange(-(-units // 4), dtype=np.uint64)
    row = np.arange(rows, dtype=np.uint64)[:, np.newaxis]
    bits = philox(key, block, row, layer, step).reshape(rows, 4 * block.size)[:, :units]
    real = a.dtype.type
    with np.errstate(all="ignore"):
        out[:] = np.where(bits >= round(rate * 2**32), a / real(1 - rate), real(0))
