"""Philox 4x32-10, and the dropout that is made of it.

A counter-based generator: four words of counter and two of key give four random words, by ten
rounds of multiplying and mixing (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1,
2, 3", 2011). What a unit of a sample draws in a step depends on its place alone, whoever computes it.
"""

from libc.math cimport floor
from libc.stdint cimport uint32_t, uint64_t

from .matrix cimport Shape
from .scalar cimport real

cdef enum:
    ROUNDS = 10
    # Random words at hand while a row is gone through.
    ROOM = 256


cdef inline void philox(
    uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t key_0, uint32_t key_1, uint32_t *out
) noexcept nogil:
    cdef uint64_t of_a, of_c
    cdef int i
    for i in range(ROUNDS):
        of_a = <uint64_t>a * <uint64_t>0xD2511F53u
        of_c = <uint64_t>c * <uint64_t>0xCD9E8D57u
        a = <uint32_t>(of_c >> 32) ^ b ^ key_0
        b = <uint32_t>of_c
        c = <uint32_t>(of_a >> 32) ^ d ^ key_1
        d = <uint32_t>of_a
        key_0 += <uint32_t>0x9E3779B9u
        key_1 += <uint32_t>0xBB67AE85u
    out[0] = a
    out[1] = b
    out[2] = c
    out[3] = d


cdef void random_bits(
    uint64_t key, uint32_t first, Counter counter, uint32_t *out, Py_ssize_t size
) noexcept nogil:
    """Fill `out`: four words for each block, whose number is the counter's first word."""
    cdef uint32_t block[4]
    cdef uint32_t key_0 = <uint32_t>key, key_1 = <uint32_t>(key >> 32)
    cdef Py_ssize_t i, j, whole = size // 4
    for i in range(whole):
        philox(
            <uint32_t>(first + i), counter.second, counter.third, counter.fourth, key_0, key_1,
            out + 4 * i,
        )
    if 4 * whole < size:
        philox(
            <uint32_t>(first + whole), counter.second, counter.third, counter.fourth, key_0, key_1,
            block,
        )
        for j in range(size - 4 * whole):
            out[4 * whole + j] = block[j]


cdef void drop(
    double rate, uint64_t key, Counter counter, const real *a, real *out, Shape shape
) noexcept nogil:
    """out = a / (1 - rate) where the random word is at least rate * 2**32, else 0.

    The counter is that of the first row; its second word counts the rows.
    """
    cdef uint32_t words[ROOM]
    cdef uint32_t threshold = <uint32_t>min(floor(rate * 4294967296.0 + 0.5), 4294967295.0)
    cdef real kept = <real>(1 / (1 - rate))
    cdef Py_ssize_t i, j, at, start, count
    for i in range(shape.rows):
        start = 0
        while start < shape.columns:
            count = min(shape.columns - start, <Py_ssize_t>ROOM)
            random_bits(key, <uint32_t>(start // 4), counter, words, count)
            for j in range(count):
                at = i * shape.row + start + j
                out[at] = a[at] * kept if words[j] >= threshold else 0
            start += count
        counter.second += 1
