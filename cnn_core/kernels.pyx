"""The loops as Python functions, with every shape checked: they leave no array, whoever calls.

What each one does, with shapes and errors, stands in `cnn_core.contracts.Kernels`. A wrong dtype,
rank, byte order or layout is refused by the typed memoryviews themselves.
"""

from libc.stdint cimport uint32_t, uint64_t

from operator import index

from . cimport dense, randomness
from .activations cimport Activation, activation_named
from .losses cimport Loss, loss_named
from .matrix cimport Shape, shape_of
from .optimizers cimport Optimizer, Step
from .randomness cimport Counter
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


cdef inline bint is_empty(const real[:, ::1] array) noexcept:
    return array.shape[0] == 0 or array.shape[1] == 0


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


def activate(str activation not None, const real[:, ::1] z not None, real[:, ::1] out not None):
    """``out = activation(z)``."""
    cdef Activation chosen = activation_named(activation)
    require_shape("out", out, z.shape[0], z.shape[1])
    if is_empty(z):
        return
    with nogil:
        chosen.forward(&z[0, 0], &out[0, 0], shape_of(z))


def activation_backward(
    str activation not None,
    const real[:, ::1] a not None,
    const real[:, ::1] grad_a not None,
    real[:, ::1] out not None,
):
    """``out`` = dloss/dz from ``a = activation(z)`` and dloss/da."""
    cdef Activation chosen = activation_named(activation)
    require_shape("grad_a", grad_a, a.shape[0], a.shape[1])
    require_shape("out", out, a.shape[0], a.shape[1])
    if is_empty(a):
        return
    with nogil:
        chosen.backward(&a[0, 0], &grad_a[0, 0], &out[0, 0], shape_of(a))


def loss(
    str loss not None,
    const real[:, ::1] z not None,
    const real[:, ::1] y not None,
    const real[:, ::1] t not None,
):
    """The loss, summed over outputs, averaged over samples, in float64."""
    cdef Loss chosen = loss_named(loss)
    cdef Py_ssize_t i
    cdef double of_row, total = 0
    require_shape("y", y, z.shape[0], z.shape[1])
    require_shape("t", t, z.shape[0], z.shape[1])
    if is_empty(z):
        return 0.0
    with nogil:
        for i in range(z.shape[0]):
            chosen.of_rows(
                &z[i, 0], &y[i, 0], &t[i, 0], Shape(1, z.shape[1], z.shape[1]), &of_row
            )
            total += of_row
    return total / z.shape[0]


def output_delta(
    str loss not None,
    str activation not None,
    const real[:, ::1] y not None,
    const real[:, ::1] t not None,
    real[:, ::1] out not None,
):
    """``out`` = dloss/dz in the last layer."""
    cdef Loss chosen = loss_named(loss)
    cdef Activation last = activation_named(activation)
    require_shape("t", t, y.shape[0], y.shape[1])
    require_shape("out", out, y.shape[0], y.shape[1])
    if is_empty(y):
        return
    if &out[0, 0] == &y[0, 0]:
        y = y.copy()
    with nogil:
        chosen.delta(&last, &y[0, 0], &t[0, 0], <real>y.shape[0], shape_of(y), &out[0, 0])


def update(
    optimizer,
    real[::1] parameters not None,
    const real[::1] gradient not None,
    real[:, ::1] moments not None,
    double learning_rate,
    Py_ssize_t step,
):
    """Take a step, in place."""
    if step < 1:
        raise ValueError(f"step: expected at least 1, found {step}")
    cdef Optimizer chosen = Optimizer(optimizer)
    cdef Step numbers = chosen.step(learning_rate, step)
    cdef Py_ssize_t size = parameters.shape[0]
    require("gradient", gradient.shape[0], size, "values")
    require_shape("moments", moments, optimizer.n_moments, size)
    if size == 0:
        return
    with nogil:
        chosen.update(
            &numbers, &parameters[0], &gradient[0],
            &moments[0, 0] if moments.shape[0] > 0 else NULL,
            &moments[1, 0] if moments.shape[0] > 1 else NULL,
            size,
        )


def random_bits(key, tuple counter not None, uint32_t[::1] out not None):
    """Fill `out` with the numbers of Philox 4x32-10."""
    if len(counter) != 4:
        raise ValueError(f"counter: expected four words, found {counter}")
    words = [whole("counter", word, 2**32) for word in counter]
    cdef uint64_t number = whole("key", key, 2**64)
    cdef uint32_t first = words[0]
    cdef Counter others = Counter(words[1], words[2], words[3])
    if out.shape[0] == 0:
        return
    with nogil:
        randomness.random_bits(number, first, others, &out[0], out.shape[0])


def dropout(
    double rate, key, step, layer, const real[:, ::1] a not None, real[:, ::1] out not None
):
    """``out = a / (1 - rate)`` where a sample keeps a unit, else 0."""
    cdef uint64_t number = whole("key", key, 2**64)
    cdef Counter counter = Counter(0, layer % 2**32, step % 2**32)
    require_shape("out", out, a.shape[0], a.shape[1])
    if not 0 <= rate < 1:
        raise ValueError(f"rate: expected 0 up to below 1, found {rate}")
    if is_empty(a):
        return
    with nogil:
        randomness.drop(rate, number, counter, &a[0, 0], &out[0, 0], shape_of(a))


cdef object whole(str argument, value, limit):
    """The value as a whole number from 0 to below the limit."""
    number = index(value)
    if not 0 <= number < limit:
        raise ValueError(f"{argument}: expected 0 up to below {limit}, found {value}")
    return number
