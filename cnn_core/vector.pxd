"""The vectors of the processor as the loops see them; all of them stand in vector.h.

Called with constants, `whole` costs nothing: the last columns of a row, fewer than a vector holds, are
the same formula once more (`each_vector`).
"""

from .scalar cimport real

cdef extern from "vector.h" nogil:
    # Operators work value by value; Cython only has to know that it is a floating type.
    ctypedef float vector
    enum:
        VECTOR_LENGTH
    vector load_vector(const real *address)
    void store_vector(real *address, vector value)
    vector load_some(const real *address, int count)
    void store_some(real *address, vector value, int count)
    vector zero_vector()
    # Into the second cache.
    void prefetch_line(const void *address)


cdef inline vector load(const real *address, const bint whole, const int columns) noexcept nogil:
    """A vector of values, or the first `columns` of it and zeros."""
    return load_vector(address) if whole else load_some(address, columns)


cdef inline void store(
    real *address, vector value, const bint whole, const int columns
) noexcept nogil:
    """Write a vector of values, or the first `columns` of it."""
    if whole:
        store_vector(address, value)
    else:
        store_some(address, value, columns)


cdef struct Lanes:
    # Some columns from number `at` on: so many vectors of them, or, unless it is whole, the first
    # `columns` of one vector.
    int vectors
    bint whole
    int columns
    Py_ssize_t at


cdef inline vector load_lanes(const real *row, Lanes lanes) noexcept nogil:
    """The first vector of some columns of a row."""
    return load(row + lanes.at, lanes.whole, lanes.columns)


cdef inline void store_lanes(real *row, vector value, Lanes lanes) noexcept nogil:
    store(row + lanes.at, value, lanes.whole, lanes.columns)


# A loop over some columns; `of` is what it works on.
ctypedef void (*VectorLoop)(Lanes lanes, const void *of) noexcept nogil


cdef inline void each_vector(
    VectorLoop loop, const int vectors, Py_ssize_t size, const void *of
) noexcept nogil:
    """Take `size` columns by so many vectors at a time, then by one, then what is left.

    The compiler puts the loop in here, so that the sums of its vectors become registers.
    """
    cdef Py_ssize_t at = 0
    while vectors > 1 and at + vectors * VECTOR_LENGTH <= size:
        loop(Lanes(vectors, True, 0, at), of)
        at += vectors * VECTOR_LENGTH
    while at + VECTOR_LENGTH <= size:
        loop(Lanes(1, True, 0, at), of)
        at += VECTOR_LENGTH
    if at < size:
        loop(Lanes(1, False, <int>(size - at), at), of)
