"""Dropout. How: dropout.pyx."""

from libc.stdint cimport uint64_t

from .layer cimport Layer
from .matrix cimport Shape
from .randomness cimport Counter
from .scalar cimport real


cdef class DropoutLayer(Layer):
    cdef double rate


cdef DropoutLayer dropout_layer(double rate, Py_ssize_t units)
cdef void drop(
    double rate, uint64_t key, Counter counter, const real[::1] a, real[::1] out, Shape shape
) noexcept nogil
