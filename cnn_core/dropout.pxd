"""Dropout, and its counter-based random numbers; dropout.pyx explains them."""

from libc.stdint cimport uint32_t, uint64_t


cdef struct Counter:
    # The last three words of a Philox counter. The first one counts the blocks.
    uint32_t second
    uint32_t third
    uint32_t fourth


cdef void random_bits(
    uint64_t key, uint32_t first, Counter counter, uint32_t *out, Py_ssize_t size
) noexcept nogil
