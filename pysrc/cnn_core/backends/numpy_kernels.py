"""The kernels as the formulas are written: the definition of what the compiled ones compute.

What each one does, with shapes and errors, stands in `cnn_core.contracts.Kernels`. A new
activation, loss or optimizer is an entry in the tables below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.backends.numpy_checks import require, require_known, require_vector, require_whole
from cnn_core.network import SGD, Activation, Adam, FloatArray, Loss, Optimizer


def _sigmoid(z: FloatArray) -> FloatArray:
    # exp(-|z|) cannot overflow.
    e = np.exp(-np.abs(z))
    a: FloatArray = np.where(z >= 0, z.dtype.type(1), e) / (1 + e)
    return a


def _relu(z: FloatArray) -> FloatArray:
    # This way round NaN stays NaN.
    return np.where(z <= 0, z.dtype.type(0), z)


def _softmax(z: FloatArray) -> FloatArray:
    e = np.exp(z - _row_max(z))
    a: FloatArray = e / e.sum(axis=1, keepdims=True)
    return a


def _row_max(z: FloatArray) -> FloatArray:
    largest: FloatArray = z.max(axis=1, keepdims=True, initial=-np.inf)
    return largest


_ACTIVATE: dict[Activation, Callable[[FloatArray], FloatArray]] = {
    "identity": lambda z: z,
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "relu": _relu,
    "softmax": _softmax,
}


def _softmax_backward(a: FloatArray, grad_a: FloatArray) -> FloatArray:
    delta: FloatArray = a * (grad_a - (a * grad_a).sum(axis=1, keepdims=True))
    return delta


_BACKWARD: dict[Activation, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "identity": lambda a, grad_a: grad_a,
    "sigmoid": lambda a, grad_a: grad_a * (a * (1 - a)),
    "tanh": lambda a, grad_a: grad_a * (1 - a * a),
    "relu": lambda a, grad_a: np.where(a > 0, grad_a, grad_a.dtype.type(0)),
    "softmax": _softmax_backward,
}


def _squared_error(z: FloatArray, y: FloatArray, t: FloatArray) -> FloatArray:
    return (y - t) ** 2 / 2


def _binary_cross_entropy(z: FloatArray, y: FloatArray, t: FloatArray) -> FloatArray:
    return np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))


def _cross_entropy(z: FloatArray, y: FloatArray, t: FloatArray) -> FloatArray:
    # With the largest z taken from all, no exp overflows and their sum is at least 1.
    shifted = z - _row_max(z)
    log_sum: FloatArray = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return t * (log_sum - shifted)


_LOSS: dict[Loss, Callable[[FloatArray, FloatArray, FloatArray], FloatArray]] = {
    "squared_error": _squared_error,
    "binary_cross_entropy": _binary_cross_entropy,
    "cross_entropy": _cross_entropy,
}

_DELTA: dict[Loss, Callable[[Activation, FloatArray, FloatArray], FloatArray]] = {
    "squared_error": lambda activation, y, t: _BACKWARD[activation](y, y - t),
    "binary_cross_entropy": lambda activation, y, t: y - t,
    "cross_entropy": lambda activation, y, t: y * t.sum(axis=1, keepdims=True) - t,
}


def _sgd(
    optimizer: SGD, p: FloatArray, g: FloatArray, moments: FloatArray, rate: float, step: int
) -> None:
    real = p.dtype.type
    if not optimizer.momentum:
        p -= real(rate) * g
        return
    momentum = real(optimizer.momentum)
    velocity = moments[0]
    velocity[:] = momentum * velocity + g
    _drop_subnormals(velocity)
    p -= real(rate) * (g + momentum * velocity if optimizer.nesterov else velocity)


def _adam(
    optimizer: Adam, p: FloatArray, g: FloatArray, moments: FloatArray, rate: float, step: int
) -> None:
    real = p.dtype.type
    beta_1, beta_2 = optimizer.beta_1, optimizer.beta_2
    m, v = moments
    m[:] = real(beta_1) * m + real(1 - beta_1) * g
    v[:] = real(beta_2) * v + real(1 - beta_2) * g * g
    _drop_subnormals(m)
    _drop_subnormals(v)
    if optimizer.weight_decay:
        p *= real(1 - rate * optimizer.weight_decay)
    root = np.sqrt(v) * real((1 - beta_2**step) ** -0.5)
    p -= real(rate / (1 - beta_1**step)) * m / (root + real(optimizer.epsilon))


def _drop_subnormals(moment: FloatArray) -> None:
    """Set what is below the least normal number to 0: averages of nothing, slow to compute with."""
    moment[np.abs(moment) < np.finfo(moment.dtype).tiny] = 0


_UPDATE: dict[type, Callable[[Any, FloatArray, FloatArray, FloatArray, float, int], None]] = {
    SGD: _sgd,
    Adam: _adam,
}

_LOW = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)


def _philox(key: int, *counter: npt.NDArray[np.uint64] | int) -> npt.NDArray[np.uint64]:
    """Return the four numbers of each counter, in a last dimension of their own.

    The four words of the counters broadcast against each other and count modulo 2**32.
    """
    words = [np.atleast_1d(np.asarray(word & 0xFFFFFFFF, np.uint64)) for word in counter]
    x0, x1, x2, x3 = np.broadcast_arrays(*words)
    for turn in range(10):
        # The key moves on from turn to turn by the golden ratio and the root of 3.
        k0 = np.uint64((key + turn * 0x9E3779B9) & 0xFFFFFFFF)
        k1 = np.uint64(((key >> 32) + turn * 0xBB67AE85) & 0xFFFFFFFF)
        left, right = np.uint64(0xD2511F53) * x0, np.uint64(0xCD9E8D57) * x2
        x0, x1 = right >> _HIGH ^ x1 ^ k0, right & _LOW
        x2, x3 = left >> _HIGH ^ x3 ^ k1, left & _LOW
    return np.stack([x0, x1, x2, x3], axis=-1)


def dense_forward(x: FloatArray, weights: FloatArray, bias: FloatArray, out: FloatArray) -> None:
    """``out = x @ weights + bias``."""
    require("x", x, None, x)
    require("weights", weights, None, x)
    require("weights", weights, (x.shape[1], weights.shape[1]), x)
    require("bias", bias, (weights.shape[1],), x)
    require("out", out, (x.shape[0], weights.shape[1]), x, written=True)
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
    if grad_weights is not None:
        require("grad_weights", grad_weights, weights.shape, x, written=True)
        np.matmul(x.T, delta, out=grad_weights)
    if grad_bias is not None:
        require("grad_bias", grad_bias, (weights.shape[1],), x, written=True)
        np.sum(delta, axis=0, out=grad_bias)
    if grad_x is not None:
        require("grad_x", grad_x, x.shape, x, written=True)
        np.matmul(delta, weights.T, out=grad_x)


def activate(activation: Activation, z: FloatArray, out: FloatArray) -> None:
    """``out = activation(z)``."""
    require_known("activation", activation, _ACTIVATE)
    require("z", z, None, z)
    require("out", out, z.shape, z, written=True)
    with np.errstate(all="ignore"):
        out[:] = _ACTIVATE[activation](z)


def activation_backward(
    activation: Activation, a: FloatArray, grad_a: FloatArray, out: FloatArray
) -> None:
    """``out`` = dloss/dz from ``a = activation(z)`` and dloss/da."""
    require_known("activation", activation, _BACKWARD)
    require("a", a, None, a)
    require("grad_a", grad_a, a.shape, a)
    require("out", out, a.shape, a, written=True)
    with np.errstate(all="ignore"):
        out[:] = _BACKWARD[activation](a, grad_a)


def loss(loss: Loss, z: FloatArray, y: FloatArray, t: FloatArray) -> float:
    """Return the loss, summed over outputs, averaged over samples, in float64."""
    require_known("loss", loss, _LOSS)
    require("z", z, None, z)
    require("y", y, z.shape, z)
    require("t", t, z.shape, z)
    with np.errstate(all="ignore"):
        wide = (array.astype(np.float64, copy=False) for array in (z, y, t))
        return float(np.sum(_LOSS[loss](*wide))) / max(len(z), 1)


def output_delta(
    loss: Loss, activation: Activation, y: FloatArray, t: FloatArray, out: FloatArray
) -> None:
    """``out`` = dloss/dz in the last layer."""
    require_known("loss", loss, _DELTA)
    require_known("activation", activation, _BACKWARD)
    require("y", y, None, y)
    require("t", t, y.shape, y)
    require("out", out, y.shape, y, written=True)
    with np.errstate(all="ignore"):
        out[:] = _DELTA[loss](activation, y, t) / y.dtype.type(max(len(y), 1))


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
    if type(optimizer) not in _UPDATE:
        raise ValueError(f"optimizer: expected SGD or Adam, found {optimizer!r}")
    shape = (optimizer.n_moments, parameters.size)
    require("moments", moments, shape, parameters, written=True)
    require_whole("step", step, 1, 2**64)
    with np.errstate(all="ignore"):
        _UPDATE[type(optimizer)](optimizer, parameters, gradient, moments, learning_rate, step)


def random_bits(key: int, counter: tuple[int, int, int, int], out: npt.NDArray[np.uint32]) -> None:
    """Fill `out` with random numbers of 32 bits, four from each counter."""
    key = require_whole("key", key, 0, 2**64)
    if len(counter) != 4:
        raise ValueError(f"counter: expected four words, found {len(counter)}")
    first, *others = (require_whole("counter", word, 0, 2**32) for word in counter)
    require_vector("out", out, np.uint32, written=True)
    blocks = first + np.arange(-(-out.size // 4), dtype=np.uint64)
    out[:] = _philox(key, blocks, *others).ravel()[: out.size]


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
    bits = _philox(key, block, row, layer, step).reshape(rows, 4 * block.size)[:, :units]
    real = a.dtype.type
    with np.errstate(all="ignore"):
        out[:] = np.where(bits >= round(rate * 2**32), a / real(1 - rate), real(0))
