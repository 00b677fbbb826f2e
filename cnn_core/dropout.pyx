"""Dropout: what a unit of a sample draws in a step depends on its place alone, whoever computes it."""

from libc.math cimport floor
from libc.stdint cimport uint32_t, uint64_t

from .matrix cimport Shape
from .randomness cimport Counter, random_bits
from .scalar cimport real

cdef enum:
    # Random words at hand while a row is gone through.
    WORDS = 256


cdef void drop(
    double rate, uint64_t key, Counter counter, const real *a, real *out, Shape shape
) noexcept nogil:
    """out = a / (1 - rate) where the random word is at least rate * 2**32, else 0.

    The counter is that of the first row; its second word counts the rows.
    """
    cdef uint32_t words[WORDS]
    cdef uint32_t threshold = <uint32_t>min(floor(rate * 4294967296.0 + 0.5), 4294967295.0)
    cdef real kept = <real>(1 / (1 - rate))
    cdef Py_ssize_t i, j, at, start, count
    for i in range(shape.rows):
        start = 0
        while start < shape.columns:
            count = min(shape.columns - start, <Py_ssize_t>WORDS)
            random_bits(key, <uint32_t>(start // 4), counter, words, count)
            for j in range(count):
                at = i * shape.row + start + j
                out[at] = a[at] * kept if words[j] >= threshold else 0
            start += count
        counter.second += 1
