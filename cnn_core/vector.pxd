"""The vectors of the processor as the loops see them; all of them stand in vector.h.

Called with constants, `whole` costs nothing: the last columns of a row, fewer than a vector holds, are
the same formula once more.
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
