"""Dropout, and the random numbers by counter that it draws. How: dropout.pyx."""

from libc.stdint cimport uint32_t, uint64_t

from .layer cimport Block, Layer
from .matrix cimport Shape
from .scalar cimport real


cdef struct Counter:
    # The three words of a Philox counter that follow the one that counts the blocks.
    uint32_t second
    uint32_t third
    uint32_t fourth


cdef inline Counter counter_of(const Block *block, Py_ssize_t layer) noexcept nogil:
    """Where the random numbers of a dropout begin."""
    return Counter(<uint32_t>block.first_in_batch, <uint32_t>layer, <uint32_t>block.number)


cdef void random_bits(
    uint64_t key, uint32_t first, Counter counter, uint32_t *out, Py_ssize_t size
) noexcept nogil


cdef class DropoutLayer(Layer):
    cdef double rate


cdef class SpatialDropoutLayer(DropoutLayer):
    cdef Py_ssize_t channels


cdef DropoutLayer dropout_layer(double rate, Py_ssize_t units)
cdef DropoutLayer spatial_dropout_layer(double rate, Py_ssize_t units, Py_ssize_t channels)
cdef void drop(
    double rate, uint64_t key, Counter counter, const real[::1] a, real[::1] out, Shape shape
) noexcept nogil
