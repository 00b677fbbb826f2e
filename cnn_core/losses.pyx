"""Losses: one number for each sample, in double precision, and the delta that goes back.

A new loss is a pair of functions here and a line in `loss_named`.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport fabs, log, log1p

from .activations cimport Activation
from .matrix cimport Shape, runs
from .scalar cimport at_least, at_most, exp_of_negative, multiply_add, real, sign_of


@cython.final
cdef class LossFunction:
    """A loss, and the memory that its settings take."""

    def __dealloc__(self):
        PyMem_Free(self.quantiles)


cdef LossFunction loss_named(object loss, Py_ssize_t outputs):
    cdef LossFunction chosen = LossFunction.__new__(LossFunction)
    kind = type(loss).__name__
    if loss == "squared_error":
        chosen.value = Loss(squared_error, squared_error_delta, 0, NULL)
    elif loss == "absolute_error":
        chosen.value = Loss(absolute_error, absolute_error_delta, 0, NULL)
    elif loss == "poisson":
        chosen.value = Loss(poisson, plain_delta, 0, NULL)
    elif loss == "binary_cross_entropy":
        chosen.value = Loss(binary_cross_entropy, plain_delta, 0, NULL)
    elif loss == "cross_entropy":
        chosen.value = Loss(cross_entropy, cross_entropy_delta, 0, NULL)
    elif kind == "Huber":
        chosen.value = Loss(huber, huber_delta, loss.delta, NULL)
    elif kind == "Pinball":
        keep_quantiles(chosen, loss, outputs)
        chosen.value = Loss(pinball, pinball_delta, 0, chosen.quantiles)
    else:
        raise ValueError(
            "loss: expected squared_error, absolute_error, poisson, binary_cross_entropy, "
            f"cross_entropy, Huber or Pinball, found {loss!r}"
        )
    return chosen


cdef int keep_quantiles(LossFunction chosen, object loss, Py_ssize_t outputs) except -1:
    cdef Py_ssize_t j
    quantiles = loss.quantiles(outputs)
    if len(quantiles) != outputs:
        raise ValueError(f"loss: expected {outputs} quantiles, found {loss.quantile!r}")
    chosen.quantiles = <double *>PyMem_Malloc(max(outputs, 1) * sizeof(double))
    if chosen.quantiles == NULL:
        raise MemoryError
    for j in range(outputs):
        chosen.quantiles[j] = quantiles[j]
    return 0


cdef void squared_error(
    const Loss *loss, const real *z, const real *y, const real *t, Shape shape, double *out
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
    const Loss *loss, const Activation *activation, const real *z, const real *y, const real *t,
    real samples, Shape shape, real *out,
) noexcept nogil:
    error(y, t, samples, shape, out)
    activation.backward(z, y, out, out, shape)


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


cdef void absolute_error(
    const Loss *loss, const real *z, const real *y, const real *t, Shape shape, double *out
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef double total
    for i in range(shape.rows):
        total = 0
        for j in range(shape.columns):
            total = total + fabs(<double>y[i * shape.row + j] - <double>t[i * shape.row + j])
        out[i] = total


cdef void absolute_error_delta(
    const Loss *loss, const Activation *activation, const real *z, const real *y, const real *t,
    real samples, Shape shape, real *out,
) noexcept nogil:
    cdef Py_ssize_t i, j, at
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            out[at] = sign_of(y[at] - t[at]) / samples
    activation.backward(z, y, out, out, shape)


cdef void huber(
    const Loss *loss, const real *z, const real *y, const real *t, Shape shape, double *out
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef double size, inner, total, limit = loss.limit
    for i in range(shape.rows):
        total = 0
        for j in range(shape.columns):
            size = fabs(<double>y[i * shape.row + j] - <double>t[i * shape.row + j])
            # Up to the limit size**2 / 2, beyond it limit * size - limit**2 / 2.
            inner = limit if size > limit else size
            total = multiply_add(inner, size - inner / 2, total)
        out[i] = total


cdef void huber_delta(
    const Loss *loss, const Activation *activation, const real *z, const real *y, const real *t,
    real samples, Shape shape, real *out,
) noexcept nogil:
    cdef Py_ssize_t i, j, at
    cdef real limit = <real>loss.limit
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            out[at] = at_most(limit, at_least(-limit, y[at] - t[at])) / samples
    activation.backward(z, y, out, out, shape)


cdef void pinball(
    const Loss *loss, const real *z, const real *y, const real *t, Shape shape, double *out
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef double error, quantile, total
    for i in range(shape.rows):
        total = 0
        for j in range(shape.columns):
            error = <double>y[i * shape.row + j] - <double>t[i * shape.row + j]
            quantile = loss.quantiles[j]
            total = multiply_add(-quantile if error < 0 else 1 - quantile, error, total)
        out[i] = total


cdef void pinball_delta(
    const Loss *loss, const Activation *activation, const real *z, const real *y, const real *t,
    real samples, Shape shape, real *out,
) noexcept nogil:
    cdef Py_ssize_t i, j, at
    cdef real error, quantile
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            error = y[at] - t[at]
            quantile = <real>loss.quantiles[j]
            # An error of 0 has the slope 0; one that is NaN stays NaN.
            error = -quantile if error < 0 else (1 - quantile if error > 0 else error)
            out[at] = error / samples
    activation.backward(z, y, out, out, shape)


cdef void poisson(
    const Loss *loss, const real *z, const real *y, const real *t, Shape shape, double *out
) noexcept nogil:
    cdef Py_ssize_t i, j, at
    cdef double target, total
    for i in range(shape.rows):
        total = 0
        for j in range(shape.columns):
            at = i * shape.row + j
            target = t[at]
            total = total + y[at]
            if target != 0:
                total = multiply_add(-target, <double>z[at] - log(target), total - target)
        out[i] = total


cdef void plain_delta(
    const Loss *loss, const Activation *activation, const real *z, const real *y, const real *t,
    real samples, Shape shape, real *out,
) noexcept nogil:
    """Where loss and activation go together so that the activation's slope cancels out."""
    error(y, t, samples, shape, out)


cdef void binary_cross_entropy(
    const Loss *loss, const real *z, const real *y, const real *t, Shape shape, double *out
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


cdef void cross_entropy(
    const Loss *loss, const real *z, const real *y, const real *t, Shape shape, double *out
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
    const Loss *loss, const Activation *activation, const real *z, const real *y, const real *t,
    real samples, Shape shape, real *out,
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
