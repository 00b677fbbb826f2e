"""Losses by name: what a sample's outputs cost, and the derivative in the last layer."""

from .activations cimport Activation
from .matrix cimport Shape
from .scalar cimport real

# The loss of each row, summed over its outputs, into `out`; z, y and t have one shape.
ctypedef void (*RowLosses)(
    const real *z, const real *y, const real *t, Shape shape, double *out
) noexcept nogil
# dloss/dz for a batch of `samples` samples, of which these are some rows; out may be y.
ctypedef void (*OutputDelta)(
    const Activation *activation, const real *y, const real *t, real samples, Shape shape, real *out
) noexcept nogil


cdef struct Loss:
    RowLosses of_rows
    OutputDelta delta


cdef Loss loss_named(str name) except *
