"""The kernels as the formulas are written: the definition of what the compiled ones compute.

What each one does, with shapes and errors, stands in `cnn_core.contracts.Kernels`.
"""

from __future__ import annotations

import numpy as np

from cnn_core.backends.numpy_checks import require
from cnn_core.network import FloatArray


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


def sigmoid(z: FloatArray, out: FloatArray) -> None:
    """``out = 1 / (1 + exp(-z))``, from ``exp(-|z|)``, which cannot overflow."""
    require("z", z, None, z)
    require("out", out, z.shape, z, written=True)
    with np.errstate(under="ignore"):
        e = np.exp(-np.abs(z))
        np.divide(np.where(z >= 0, z.dtype.type(1), e), 1 + e, out=out)


def sigmoid_derivative(a: FloatArray, out: FloatArray) -> None:
    """``out = a * (1 - a)``."""
    require("a", a, None, a)
    require("out", out, a.shape, a, written=True)
    np.multiply(a, 1 - a, out=out)


def sigmoid_backward(a: FloatArray, grad_a: FloatArray, out: FloatArray) -> None:
    """``out = grad_a * a * (1 - a)``."""
    require("a", a, None, a)
    require("grad_a", grad_a, a.shape, a)
    require("out", out, a.shape, a, written=True)
    with np.errstate(under="ignore"):
        np.multiply(grad_a, a * (1 - a), out=out)


def squared_error(y: FloatArray, t: FloatArray) -> float:
    """``((y - t) ** 2).sum() / (2 * n)``, in float64."""
    require("y", y, None, y)
    require("t", t, y.shape, y)
    error = y.astype(np.float64) - t
    return float(np.sum(error * error)) / (2 * max(len(y), 1))


def squared_error_delta(y: FloatArray, t: FloatArray, out: FloatArray) -> None:
    """``out = (y - t) / n``."""
    require("y", y, None, y)
    require("t", t, y.shape, y)
    require("out", out, y.shape, y, written=True)
    np.divide(y - t, y.dtype.type(max(len(y), 1)), out=out)


def gradient_descent(parameters: FloatArray, gradient: FloatArray, learning_rate: float) -> None:
    """``parameters -= learning_rate * gradient``."""
    require("parameters", parameters, (np.size(parameters),), parameters, written=True)
    require("gradient", gradient, parameters.shape, parameters)
    parameters -= parameters.dtype.type(learning_rate) * gradient
