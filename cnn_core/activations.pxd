"""Activations by name: what a layer makes of its pre-activations, and the way back."""

from .layer cimport Layer
from .matrix cimport Shape
from .scalar cimport real


cdef class ActivationLayer(Layer):
    cdef int activation
    # Whether z is read after the forward pass; whether the way back changes nothing (the article's).
    cdef bint keeps_z
    cdef bint passes_back


# All arrays of a call have one shape, the distance between rows included; out may be an input.
cdef void activate(int activation, const real[::1] z, real[::1] out, Shape shape) noexcept nogil
cdef void activation_backward(
    int activation, const real[::1] z, const real[::1] a, const real[::1] grad_a, real[::1] out,
    Shape shape,
) noexcept nogil
