"""Philox 4x32-10: random numbers by counter.

A counter-based generator: four words of counter and two of key give four random words, by ten
rounds of multiplying and mixing (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1,
2, 3", 2011).
"""

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    ROUNDS = 10


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
