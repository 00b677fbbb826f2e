"""SIMD vectors, declared from vector.h, and `each_vector`, a loop over columns.

One formula serves whole vectors and the last columns of a row. Callers pass `whole` as a constant,
so that it costs nothing.
"""

from .scalar cimport real

cdef extern from "vector.h" nogil:
    # Operators work lane by lane. For Cython it is just some floating type.
    ctypedef float vector
    enum:
        VECTOR_LENGTH
    vector load_vector(const real *address)
    void store_vector(real *address, vector value)
    vector load_some(const real *address, int count)
    void store_some(real *address, vector value, int count)
    vector zero_vector()
    # Into the L2 cache.
    void prefetch_line(const void *address)


cdef inline vector load(const real *address, const bint whole, const int columns) noexcept nogil:
    """Load a vector, or its first `columns` values and zeros."""
    return load_vector(address) if whole else load_some(address, columns)


cdef inline void store(
    real *address, vector value, const bint whole, const int columns
) noexcept nogil:
    """Store a vector, or its first `columns` values."""
    if whole:
        store_vector(address, value)
    else:
        store_some(address, value, columns)


cdef struct Lanes:
    # Columns from column `at` on: `vectors` whole vectors, or, if not `whole`, the first `columns`
    # values of one vector.
    int vectors
    bint whole
    int columns
    Py_ssize_t at


cdef inline vector load_lanes(const real *row, Lanes lanes) noexcept nogil:
    """Load the first vector of the columns of a row."""
    return load(row + lanes.at, lanes.whole, lanes.columns)


cdef inline void store_lanes(real *row, vector value, Lanes lanes) noexcept nogil:
    store(row + lanes.at, value, lanes.whole, lanes.columns)


# A function that `each_vector` calls for some columns; `of` is its own argument.
ctypedef void (*VectorLoop)(Lanes lanes, const void *of) noexcept nogil


cdef inline void each_vector(
    VectorLoop loop, const int vectors, Py_ssize_t size, const void *of
) noexcept nogil:
    """Call `loop` for `size` columns: `vectors` vectors at a time, then one, then the last columns.

    The compiler inlines the loop, so that its sums stay in registers.
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
