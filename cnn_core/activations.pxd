"""Activations by name: what a layer makes of its pre-activations, and the way back."""

from .layer cimport Layer
from .matrix cimport Shape
from .scalar cimport real


cdef struct Activation:
    int name
    # Whether the way back reads z; the others take any array for it.
    bint needs_z


cdef class ActivationLayer(Layer):
    cdef Activation activation
    # Whether z is read after the forward pass; whether the way back changes nothing (the article's).
    cdef bint keeps_z
    cdef bint passes_back


cdef Activation activation_named(str name) except *
cdef ActivationLayer activation_layer(str name, Py_ssize_t units, bint is_last, bint passes_back)
# All arrays of a call have one shape, the distance between rows included; out may be an input.
cdef void activate(
    const Activation *activation, const real[::1] z, real[::1] out, Shape shape
) noexcept nogil
cdef void activation_backward(
    const Activation *activation, const real[::1] z, const real[::1] a, const real[::1] grad_a,
    real[::1] out, Shape shape,
) noexcept nogil
