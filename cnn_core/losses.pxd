"""Losses by name: what a sample's outputs cost, and the derivative in the last layer."""

from .activations cimport Activation
from .matrix cimport Shape
from .scalar cimport real

cdef struct Loss

# The loss of each row, summed over its outputs, into `out`; z, y and t have one shape.
ctypedef void (*RowLosses)(
    const Loss *loss, const real *z, const real *y, const real *t, Shape shape, double *out
) noexcept nogil
# dloss/dz for a batch of `samples` samples, or of so much weight, of which these are some rows; out
# is none of the others.
ctypedef void (*OutputDelta)(
    const Loss *loss, const Activation *activation, const real *z, const real *y, const real *t,
    real samples, Shape shape, real *out,
) noexcept nogil


cdef struct Loss:
    RowLosses of_rows
    OutputDelta delta
    # Where Huber's parabola ends.
    double limit
    # Pinball's, one for each output; they belong to the `LossFunction`.
    const double *quantiles


cdef class LossFunction:
    cdef Loss value
    cdef double *quantiles


# A name, or an instance of Huber or Pinball, for so many outputs.
cdef LossFunction loss_named(object loss, Py_ssize_t outputs)
