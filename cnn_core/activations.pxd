"""Activations by name: what a layer makes of its pre-activations, and the way back."""

from .matrix cimport Shape
from .scalar cimport real

# All arrays of a call have one shape, the distance between rows included; out may be an input.
ctypedef void (*Forward)(const real *z, real *out, Shape shape) noexcept nogil
ctypedef void (*Backward)(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil


cdef struct Activation:
    Forward forward
    Backward backward
    # Whether the way back reads z; the others take any address for it.
    bint needs_z


cdef Activation activation_named(str name) except *
