"""Losses by name: what a sample's outputs cost, and the derivative in the last layer."""

from .matrix cimport Shape
from .scalar cimport real


cdef enum LossName:
    SQUARED_ERROR
    ABSOLUTE_ERROR
    HUBER
    PINBALL
    POISSON
    BINARY_CROSS_ENTROPY
    CROSS_ENTROPY
    # Of the article: the squared error, and y - t as the derivative, summed over the samples.
    ARTICLE


cdef struct Loss:
    LossName name
    # Where Huber's parabola ends.
    double limit
    # Pinball's, one for each output; they belong to the `LossFunction`.
    const double *quantiles


cdef class LossFunction:
    cdef Loss value
    cdef double[::1] quantiles


# The loss of each row but the cross entropy, summed over its outputs, from losses[first] on; z, y and t have one shape.
cdef void row_losses(
    const Loss *loss, const real[::1] z, const real[::1] y, const real[::1] t, Shape shape,
    double[::1] losses, Py_ssize_t first,
) noexcept nogil
# The softmax y, its cross entropy and dloss/dz, from losses[first] on: all three by the same exponentials.
# Targets are labels, from labels[first] on, or the rows t.
cdef void cross_entropy(
    const real[::1] z, const real[::1] t, const Py_ssize_t[::1] labels, bint by_labels, real samples,
    Shape shape, Py_ssize_t first, real[::1] y, double[::1] losses, real[::1] out,
) noexcept nogil
# dloss/dz, and True, where loss and last activation go together, so that its slope cancels out; else
# dloss/dy, and False. For a batch of `samples` samples, or of so much weight; out is no input.
cdef bint output_slope(
    const Loss *loss, const real[::1] y, const real[::1] t, real samples, Shape shape, real[::1] out
) noexcept nogil
