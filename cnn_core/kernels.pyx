"""The loops as Python functions, with every shape checked: they leave no array, whoever calls.

What each one does, with shapes and errors, stands in `cnn_core.contracts.Kernels`. A wrong dtype,
rank, byte order or layout is refused by the typed memoryviews themselves.
"""

from . cimport dense, pointwise
from .scalar cimport real


cdef int require(str argument, Py_ssize_t found, Py_ssize_t expected, str axis) except -1:
    if found != expected:
        raise ValueError(f"{argument}: expected {expected} {axis}, found {found}")
    return 0


cdef int require_shape(
    str argument, const real[:, ::1] array, Py_ssize_t rows, Py_ssize_t columns
) except -1:
    require(argument, array.shape[0], rows, "rows")
    require(argument, array.shape[1], columns, "columns")
    return 0


def dense_forward(
    const real[:, ::1] x not None,
    const real[:, ::1] weights not None,
    const real[::1] bias not None,
    real[:, ::1] out not None,
):
    """``out = x @ weights + bias``."""
    require_shape("weights", weights, x.shape[1], weights.shape[1])
    require("bias", bias.shape[0], weights.shape[1], "values")
    require_shape("out", out, x.shape[0], weights.shape[1])
    with nogil:
        dense.dense_forward(x, weights, bias, out)


def dense_backward(
    const real[:, ::1] x not None,
    const real[:, ::1] weights not None,
    const real[:, ::1] delta not None,
    real[:, ::1] grad_weights=None,
    real[::1] grad_bias=None,
    real[:, ::1] grad_x=None,
):
    """``x.T @ delta``, ``delta.sum(axis=0)`` and ``delta @ weights.T``, each if asked for."""
    require_shape("weights", weights, x.shape[1], weights.shape[1])
    require_shape("delta", delta, x.shape[0], weights.shape[1])
    if grad_weights is not None:
        require_shape("grad_weights", grad_weights, weights.shape[0], weights.shape[1])
        with nogil:
            dense.dense_weight_gradient(x, delta, grad_weights)
    if grad_bias is not None:
        require("grad_bias", grad_bias.shape[0], weights.shape[1], "values")
        with nogil:
            dense.dense_bias_gradient(delta, grad_bias)
    if grad_x is not None:
        require_shape("grad_x", grad_x, x.shape[0], x.shape[1])
        with nogil:
            dense.dense_input_gradient(delta, weights, grad_x)


def sigmoid(const real[:, ::1] z not None, real[:, ::1] out not None):
    """``out = 1 / (1 + exp(-z))``."""
    require_shape("out", out, z.shape[0], z.shape[1])
    with nogil:
        pointwise.sigmoid(z, out)


def sigmoid_derivative(const real[:, ::1] a not None, real[:, ::1] out not None):
    """``out = a * (1 - a)``."""
    require_shape("out", out, a.shape[0], a.shape[1])
    with nogil:
        pointwise.sigmoid_derivative(a, out)


def sigmoid_backward(
    const real[:, ::1] a not None, const real[:, ::1] grad_a not None, real[:, ::1] out not None
):
    """``out = grad_a * a * (1 - a)``."""
    require_shape("grad_a", grad_a, a.shape[0], a.shape[1])
    require_shape("out", out, a.shape[0], a.shape[1])
    with nogil:
        pointwise.sigmoid_backward(a, grad_a, out)


def squared_error(const real[:, ::1] y not None, const real[:, ::1] t not None):
    """``((y - t) ** 2).sum() / (2 * n)``, in float64."""
    cdef double loss
    require_shape("t", t, y.shape[0], y.shape[1])
    with nogil:
        loss = pointwise.squared_error(y, t)
    return loss


def squared_error_delta(
    const real[:, ::1] y not None, const real[:, ::1] t not None, real[:, ::1] out not None
):
    """``out = (y - t) / n``."""
    require_shape("t", t, y.shape[0], y.shape[1])
    require_shape("out", out, y.shape[0], y.shape[1])
    with nogil:
        pointwise.squared_error_delta(y, t, out)


def gradient_descent(
    real[::1] parameters not None, const real[::1] gradient not None, double learning_rate
):
    """``parameters -= learning_rate * gradient``."""
    require("gradient", gradient.shape[0], parameters.shape[0], "values")
    with nogil:
        pointwise.gradient_descent(parameters, gradient, learning_rate)
