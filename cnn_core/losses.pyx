"""Losses: one number for each sample, in double precision, and the delta that goes back.

A new loss is a pair of functions here and a line in `loss_named`.
"""

from libc.math cimport log1p

from .activations cimport Activation
from .matrix cimport Shape, runs
from .scalar cimport exp_of_negative, multiply_add, real


cdef Loss loss_named(str name) except *:
    if name == "squared_error":
        return Loss(squared_error, squared_error_delta)
    if name == "binary_cross_entropy":
        return Loss(binary_cross_entropy, binary_cross_entropy_delta)
    if name == "cross_entropy":
        return Loss(cross_entropy, cross_entropy_delta)
    raise ValueError(
        "loss: expected squared_error, binary_cross_entropy or cross_entropy, "
        f"found {name!r}"
    )


cdef void squared_error(
    const real *z, const real *y, const real *t, Shape shape, double *out
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef double error, total
    for i in range(shape.rows):
        total = 0
        for j in range(shape.columns):
            error = <double>y[i * shape.row + j] - <double>t[i * shape.row + j]
            total = multiply_add(error, error, total)
        out[i] = total / 2


cdef void squared_error_delta(
    const Activation *activation, const real *y, const real *t, real samples, Shape shape, real *out
) noexcept nogil:
    error(y, t, samples, shape, out)
    activation.backward(y, out, out, shape)


cdef void error(
    const real *y, const real *t, real samples, Shape shape, real *out
) noexcept nogil:
    """out = (y - t) / samples."""
    cdef Py_ssize_t i, j, at
    shape = runs(shape)
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            out[at] = (y[at] - t[at]) / samples


cdef void binary_cross_entropy(
    const real *z, const real *y, const real *t, Shape shape, double *out
) noexcept nogil:
    """From z, not y: log(1 + exp(-|z|)) loses nothing where y is all but 0 or 1."""
    cdef Py_ssize_t i, j, at
    cdef real value
    cdef double total
    for i in range(shape.rows):
        total = 0
        for j in range(shape.columns):
            at = i * shape.row + j
            value = z[at]
            total = multiply_add(-<double>value, t[at], total + (0 if value < 0 else value))
            total = total + log1p(exp_of_negative(value if value < 0 else -value))
        out[i] = total


cdef void binary_cross_entropy_delta(
    const Activation *activation, const real *y, const real *t, real samples, Shape shape, real *out
) noexcept nogil:
    error(y, t, samples, shape, out)


cdef void cross_entropy(
    const real *z, const real *y, const real *t, Shape shape, double *out
) noexcept nogil:
    """From z, not y; the largest z apart, so that a loss near 0 keeps its digits."""
    cdef Py_ssize_t i, j, most
    cdef const real *row
    cdef const real *target
    cdef double others, weight, total
    for i in range(shape.rows):
        row = z + i * shape.row
        target = t + i * shape.row
        most = 0
        for j in range(1, shape.columns):
            most = j if row[j] > row[most] else most
        others = 0
        weight = 0
        total = 0
        for j in range(shape.columns):
            others = others + (0 if j == most else exp_of_negative(row[j] - row[most]))
            weight = weight + target[j]
            total = multiply_add(target[j], <double>row[most] - <double>row[j], total)
        out[i] = total + weight * log1p(others)


cdef void cross_entropy_delta(
    const Activation *activation, const real *y, const real *t, real samples, Shape shape, real *out
) noexcept nogil:
    """(y * sum of t - t) / samples: the targets of a sample may sum to any number."""
    cdef Py_ssize_t i, j, at
    cdef real weight
    for i in range(shape.rows):
        weight = 0
        for j in range(shape.columns):
            weight = weight + t[i * shape.row + j]
        for j in range(shape.columns):
            at = i * shape.row + j
            out[at] = (y[at] * weight - t[at]) / samples
