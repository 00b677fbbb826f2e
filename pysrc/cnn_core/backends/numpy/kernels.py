"""The kernels as the formulas are written: the definition of what the compiled ones compute.

What each one does, with its shapes, stands in `cnn_core.backends.interface.Kernels`. The arguments
are checked already, by `cnn_core.backends.kernels.CheckedKernels`. The arithmetic of activations,
losses and optimizers stands in tables in modules of their own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnn_core.backends.numpy.activations import ACTIVATE, BACKWARD
from cnn_core.backends.numpy.images import (
    convolved,
    input_gradient,
    pooled,
    pooled_backward,
    weight_gradient,
)
from cnn_core.backends.numpy.losses import LOSS, delta_of, key_of
from cnn_core.backends.numpy.normalization import normalized, normalized_backward
from cnn_core.backends.numpy.optimizers import take_step
from cnn_core.backends.numpy.random import philox
from cnn_core.layers import EPSILON, Activation, Conv2D, ImageLayer, Normalization
from cnn_core.losses import Loss
from cnn_core.optimizers import Optimizer
from cnn_core.types import FloatArray


def dense_forward(x: FloatArray, weights: FloatArray, bias: FloatArray, out: FloatArray) -> None:
    """``out = x @ weights + bias``."""
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
    with np.errstate(all="ignore"):
        if grad_weights is not None:
            np.matmul(x.T, delta, out=grad_weights)
        if grad_bias is not None:
            np.sum(delta, axis=0, out=grad_bias)
        if grad_x is not None:
            np.matmul(delta, weights.T, out=grad_x)


def convolve(layer: Conv2D, x: FloatArray, weights: FloatArray, out: FloatArray) -> None:
    """``out`` = the convolution of the images `x`, without a bias."""
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
    with np.errstate(all="ignore"):
        if grad_weights is not None:
            grad_weights[:] = weight_gradient(layer, x, delta)
        if grad_x is not None:
            grad_x[:] = input_gradient(layer, weights, delta)


def pool(layer: ImageLayer, x: FloatArray, out: FloatArray) -> None:
    """``out`` = the largest value or the mean of each window of the images `x`."""
    with np.errstate(all="ignore"):
        out[:] = pooled(layer, x)


def pool_backward(
    layer: ImageLayer, x: FloatArray, grad_out: FloatArray, grad_x: FloatArray
) -> None:
    """``grad_x`` = dloss/dx from dloss/dout, `grad_out`."""
    with np.errstate(all="ignore"):
        grad_x[:] = pooled_backward(layer, x, grad_out)


def activate(activation: Activation, z: FloatArray, out: FloatArray) -> None:
    """``out = activation(z)``."""
    with np.errstate(all="ignore"):
        out[:] = ACTIVATE[activation](z)


def activation_backward(
    activation: Activation, z: FloatArray, a: FloatArray, grad_a: FloatArray, out: FloatArray
) -> None:
    """``out`` = dloss/dz from z, ``a = activation(z)`` and dloss/da."""
    with np.errstate(all="ignore"):
        out[:] = BACKWARD[activation](z, a, grad_a)


def loss(
    loss: Loss, z: FloatArray, y: FloatArray, t: FloatArray, weights: FloatArray | None = None
) -> float:
    """Return the loss, summed over outputs, averaged over samples, in float64."""
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
    real = z.dtype.type
    with np.errstate(all="ignore"):
        delta = delta_of(loss, activation, z, y, t)
        if weights is None:
            out[:] = delta / real(max(len(z), 1))
        else:
            total = weights.sum(dtype=np.float64)
            out[:] = delta * (weights / real(total))[:, np.newaxis] if total else real(0)


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
    take_step(optimizer, parameters, gradient, moments, learning_rate, step)


def random_bits(key: int, counter: tuple[int, int, int, int], out: npt.NDArray[np.uint32]) -> None:
    """Fill `out` with random numbers of 32 bits, four from each counter."""
    first, *others = counter
    blocks = first + np.arange(-(-out.size // 4), dtype=np.uint64)
    out[:] = philox(key, blocks, *others).ravel()[: out.size]


def dropout(rate: float, key: int, step: int, layer: int, a: FloatArray, out: FloatArray) -> None:
    """``out = a / (1 - rate)`` where a sample keeps a unit, else 0."""
    rows, units = a.shape
    block = np.arange(-(-units // 4), dtype=np.uint64)
    row = np.arange(rows, dtype=np.uint64)[:, np.newaxis]
    bits = philox(key, block, row, layer, step).reshape(rows, 4 * block.size)[:, :units]
    real = a.dtype.type
    with np.errstate(all="ignore"):
        out[:] = np.where(bits >= round(rate * 2**32), a / real(1 - rate), real(0))
