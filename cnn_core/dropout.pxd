"""Dropout. How: dropout.pyx."""

from libc.stdint cimport uint64_t

from .matrix cimport Shape
from .randomness cimport Counter
from .scalar cimport real


cdef void drop(
    double rate, uint64_t key, Counter counter, const real *a, real *out, Shape shape
) noexcept nogil
