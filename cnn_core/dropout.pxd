"""Dropout, and the random numbers by counter that it draws. How: dropout.pyx."""

from libc.stdint cimport uint32_t, uint64_t


cdef struct Counter:
    # The three words of a Philox counter that follow the one that counts the blocks.
    uint32_t second
    uint32_t third
    uint32_t fourth


cdef void random_bits(
    uint64_t key, uint32_t first, Counter counter, uint32_t *out, Py_ssize_t size
) noexcept nogil
