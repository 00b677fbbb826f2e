"""Losses: one number for each sample, in double precision, and the delta that goes back.

A new loss is two formulas for one output here, a name in losses.pxd, and a line in `NAMES`,
`row_losses` and `output_slope`. The cross entropy has loops of its own, for which its softmax is made
once; targets may be labels there.
"""

cimport cython
from libc.math cimport NAN, fabs, log, log1p

import numpy as np

from .matrix cimport SUMS, Shape, first_largest, runs, sum_rows
from .scalar cimport at_least, at_most, exp_of_negative, multiply_add, real, sign_of

cdef extern from "vector.h" nogil:
    int is_nonfinite(real x)

# The loss of output j, added to that of the outputs before it; and its derivative.
ctypedef double (*OutputLoss)(
    const Loss *loss, real z, real y, real t, Py_ssize_t j, double total
) noexcept nogil
ctypedef real (*OutputSlope)(const Loss *loss, real y, real t, Py_ssize_t j) noexcept nogil

NAMES = {
    "squared_error": SQUARED_ERROR,
    "absolute_error": ABSOLUTE_ERROR,
    "poisson": POISSON,
    "binary_cross_entropy": BINARY_CROSS_ENTROPY,
    "cross_entropy": CROSS_ENTROPY,
}


@cython.final
cdef class LossFunction:
    """A loss, and the memory that its settings take."""

    def __cinit__(self, loss, Py_ssize_t outputs):
        kind = type(loss).__name__
        if kind == "Huber":
            self.value = Loss(HUBER, loss.delta, NULL)
        elif kind == "Pinball":
            # And one more, since an array of no values has no address.
            self.quantiles = np.array([*loss.quantiles(outputs), 0], np.float64)
            self.value = Loss(PINBALL, 0, &self.quantiles[0])
        else:
            self.value = Loss(NAMES[loss], 0, NULL)


# The compiler puts a formula into these loops and leaves neither a call nor a pointer.


cdef inline void add_up(
    OutputLoss formula, const Loss *loss, const real[::1] z, const real[::1] y, const real[::1] t,
    Shape shape, double factor, double[::1] losses, Py_ssize_t first,
) noexcept nogil:
    cdef Py_ssize_t i, j, at
    cdef double total
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        total = 0
        for j in range(shape.columns):
            total = formula(loss, z[at + j], y[at + j], t[at + j], j, total)
        losses[first + i] = total * factor


cdef inline void divided(
    OutputSlope slope, const Loss *loss, const real[::1] y, const real[::1] t, real samples,
    Shape shape, real[::1] out,
) noexcept nogil:
    """out = slope / samples."""
    cdef Py_ssize_t i, j, at
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        for j in range(shape.columns):
            out[at + j] = slope(loss, y[at + j], t[at + j], j) / samples


cdef void row_losses(
    const Loss *loss, const real[::1] z, const real[::1] y, const real[::1] t, Shape shape,
    double[::1] losses, Py_ssize_t first,
) noexcept nogil:
    """The loss of each row."""
    if loss.name == SQUARED_ERROR or loss.name == ARTICLE:
        add_up(squared_error, loss, z, y, t, shape, 0.5, losses, first)
    elif loss.name == ABSOLUTE_ERROR:
        add_up(absolute_error, loss, z, y, t, shape, 1, losses, first)
    elif loss.name == HUBER:
        add_up(huber, loss, z, y, t, shape, 1, losses, first)
    elif loss.name == PINBALL:
        add_up(pinball, loss, z, y, t, shape, 1, losses, first)
    elif loss.name == POISSON:
        add_up(poisson, loss, z, y, t, shape, 1, losses, first)
    elif loss.name == BINARY_CROSS_ENTROPY:
        add_up(binary_cross_entropy, loss, z, y, t, shape, 1, losses, first)


cdef bint output_slope(
    const Loss *loss, const real[::1] y, const real[::1] t, real samples, Shape shape, real[::1] out
) noexcept nogil:
    """dloss/dz and True, or dloss/dy and False."""
    if loss.name == CROSS_ENTROPY:
        cross_entropy_delta(y, t, samples, shape, out)
    elif loss.name == ABSOLUTE_ERROR:
        divided(error_sign, loss, y, t, samples, runs(shape), out)
    elif loss.name == HUBER:
        divided(huber_slope, loss, y, t, samples, runs(shape), out)
    elif loss.name == PINBALL:
        divided(pinball_slope, loss, y, t, samples, shape, out)
    else:
        divided(error, loss, y, t, 1 if loss.name == ARTICLE else samples, runs(shape), out)
    return loss.name in (ARTICLE, POISSON, BINARY_CROSS_ENTROPY, CROSS_ENTROPY)


cdef inline double squared_error(
    const Loss *loss, real z, real y, real t, Py_ssize_t j, double total
) noexcept nogil:
    """Twice the loss."""
    cdef double error = <double>y - <double>t
    return multiply_add(error, error, total)


cdef inline real error(const Loss *loss, real y, real t, Py_ssize_t j) noexcept nogil:
    return y - t


cdef inline double absolute_error(
    const Loss *loss, real z, real y, real t, Py_ssize_t j, double total
) noexcept nogil:
    return total + fabs(<double>y - <double>t)


cdef inline real error_sign(const Loss *loss, real y, real t, Py_ssize_t j) noexcept nogil:
    return sign_of(y - t)


cdef inline double huber(
    const Loss *loss, real z, real y, real t, Py_ssize_t j, double total
) noexcept nogil:
    """Up to the limit size**2 / 2, beyond it limit * size - limit**2 / 2."""
    cdef double size = fabs(<double>y - <double>t)
    cdef double inner = loss.limit if size > loss.limit else size
    return multiply_add(inner, size - inner / 2, total)


cdef inline real huber_slope(const Loss *loss, real y, real t, Py_ssize_t j) noexcept nogil:
    cdef real limit = <real>loss.limit
    return at_most(limit, at_least(-limit, y - t))


cdef inline double pinball(
    const Loss *loss, real z, real y, real t, Py_ssize_t j, double total
) noexcept nogil:
    cdef double error = <double>y - <double>t
    return multiply_add(
        -loss.quantiles[j] if error < 0 else 1 - loss.quantiles[j], error, total
    )


cdef inline real pinball_slope(const Loss *loss, real y, real t, Py_ssize_t j) noexcept nogil:
    """An error of 0 has the slope 0; one that is NaN stays NaN."""
    cdef real error = y - t, quantile = <real>loss.quantiles[j]
    return -quantile if error < 0 else (1 - quantile if error > 0 else error)


cdef inline double poisson(
    const Loss *loss, real z, real y, real t, Py_ssize_t j, double total
) noexcept nogil:
    cdef double target = t
    total = total + y
    if target != 0:
        total = multiply_add(-target, <double>z - log(target), total - target)
    return total


cdef inline double binary_cross_entropy(
    const Loss *loss, real z, real y, real t, Py_ssize_t j, double total
) noexcept nogil:
    """From z, not y: log(1 + exp(-|z|)) loses nothing where y is all but 0 or 1."""
    total = multiply_add(-<double>z, t, total + (0 if z < 0 else z))
    return total + log1p(exp_of_negative(z if z < 0 else -z))


cdef void cross_entropy(
    const real[::1] z, const real[::1] t, const Py_ssize_t[::1] labels, bint by_labels, real samples,
    Shape shape, Py_ssize_t first, real[::1] y, double[::1] losses, real[::1] out,
) noexcept nogil:
    """By labels: as by rows of targets that are 1 in their columns and 0 elsewhere, bit by bit."""
    cdef double largest[SUMS]
    cdef double others[SUMS]
    cdef real totals[SUMS]
    cdef real total
    cdef int nonfinite[SUMS]
    cdef Py_ssize_t top = 0, i, j, at
    cdef Shape part = shape
    while top < shape.rows:
        part.rows = min(shape.rows - top, <Py_ssize_t>SUMS)
        part.start = shape.start + top * shape.row
        exponentials(z, part, y, largest, others, nonfinite)
        sum_rows(y, part, totals)
        for i in range(part.rows):
            at = part.start + i * part.row
            total = totals[i]
            for j in range(at, at + part.columns):
                y[j] = y[j] / total
                out[j] = y[j] / samples
            if by_labels:
                at += labels[first + top + i]
                out[at] = (y[at] - <real>1) / samples
                # By a row of targets an infinite z would be multiplied by 0.
                losses[first + top + i] = (
                    NAN if nonfinite[i] else largest[i] - <double>z[at] + log1p(others[i])
                )
        if not by_labels:
            losses_of_targets(z, t, part, largest, others, first + top, losses)
            cross_entropy_delta(y, t, samples, part, out)
        top += SUMS


cdef inline void exponentials(
    const real[::1] z, Shape shape, real[::1] y, double *largest, double *others, int *nonfinite
) noexcept nogil:
    """Of up to SUMS rows y = exp(z - largest), and the sum of y over the other columns.

    The largest z stands apart, so that a loss near 0 keeps its digits.
    """
    cdef Py_ssize_t most[SUMS]
    cdef real terms[SUMS]
    cdef real value
    cdef Py_ssize_t i, j, at
    cdef int found
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        most[i] = first_largest(z, at, shape.columns)
        largest[i] = value = z[most[i]]
        found = 0
        for j in range(at, at + shape.columns):
            found |= is_nonfinite(z[j])
            y[j] = exp_of_negative(z[j] - value)
        nonfinite[i] = found
        terms[i], y[most[i]] = y[most[i]], 0
    sum_rows(y, shape, others)
    for i in range(shape.rows):
        y[most[i]] = terms[i]


cdef inline void losses_of_targets(
    const real[::1] z, const real[::1] t, Shape shape, const double *largest, const double *others,
    Py_ssize_t first, double[::1] losses,
) noexcept nogil:
    """From z, not y. The sums of several rows at a time, since each addition waits for the one before."""
    cdef double weights[SUMS]
    cdef double totals[SUMS]
    cdef Py_ssize_t i, j, at
    for i in range(shape.rows):
        weights[i] = totals[i] = 0
    for j in range(shape.columns):
        for i in range(shape.rows):
            at = shape.start + i * shape.row + j
            weights[i] = weights[i] + t[at]
            totals[i] = multiply_add(t[at], largest[i] - <double>z[at], totals[i])
    for i in range(shape.rows):
        losses[first + i] = totals[i] + weights[i] * log1p(others[i])


cdef void cross_entropy_delta(
    const real[::1] y, const real[::1] t, real samples, Shape shape, real[::1] out
) noexcept nogil:
    """(y * sum of t - t) / samples: the targets of a sample may sum to any number."""
    cdef Py_ssize_t i, j, at, rows, top = 0
    cdef real weights[SUMS]
    while top < shape.rows:
        rows = min(shape.rows - top, <Py_ssize_t>SUMS)
        at = shape.start + top * shape.row
        sum_rows(t, Shape(at, rows, shape.columns, shape.row), weights)
        for i in range(rows):
            at = shape.start + (top + i) * shape.row
            for j in range(at, at + shape.columns):
                out[j] = (y[j] * weights[i] - t[j]) / samples
        top += rows
