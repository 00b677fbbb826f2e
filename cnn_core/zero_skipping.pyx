"""Zero skipping: list the terms of a product whose left-hand value is not 0.

Inputs can be mostly zeros, such as the background of pictures. A tile skips a term that is zero in
all of its rows, since 0 times a finite weight adds nothing. The other terms are listed once for all
columns (`Terms`). Values are tested a vector at a time, by address.
"""

from libc.stdint cimport uint16_t, uint64_t
from libc.string cimport memset

from .matrix cimport Matrix
from .scalar cimport real
from .vector cimport VECTOR_LENGTH, load, vector

cdef extern from "vector.h" nogil:
    vector either(vector a, vector b)
    unsigned lanes_not_zero(vector v)
    unsigned words_sharing(const uint64_t *words, uint64_t bits)
    int list_bits(uint16_t *numbers, int first, unsigned bits)


cdef void list_terms(
    Terms *terms, const real[::1] left, Matrix at, Py_ssize_t rows, Py_ssize_t depth
) noexcept nogil:
    """List the non-zero terms of each tile, for a block of samples or a piece of weights."""
    cdef Py_ssize_t k, top = 0, tile = 0
    cdef bint along_rows = at.column == 1
    cdef unsigned bits
    cdef int size, count
    if not along_rows:
        note_nonzero_rows(terms.nonzero_rows, left, at, rows, depth)
    while top < rows:
        size = rows_of_tile(rows - top)
        count = 0
        k = 0
        while k < depth:
            if along_rows:
                bits = columns_not_zero(
                    left, at.start + top * at.row + k, at.row, size, depth - k
                )
            else:
                bits = words_sharing(
                    &terms.nonzero_rows[k], ((<uint64_t>1 << size) - 1) << top
                )
            count += list_bits(&terms.lists[tile][count], <int>k, bits)
            k += STRIDE
        terms.counts[tile] = count
        # Pad the list: prefetching row 0 is harmless.
        memset(&terms.lists[tile][count], 0, TERMS_AHEAD * sizeof(uint16_t))
        top += size
        tile += 1


cdef inline unsigned columns_not_zero(
    const real[::1] values, Py_ssize_t start, Py_ssize_t row, int rows, Py_ssize_t columns
) noexcept nogil:
    """Return a bit mask of the columns, at most 16, that are not 0 in any of the rows."""
    cdef vector found
    cdef unsigned bits = 0
    cdef Py_ssize_t j = 0
    cdef int i
    while j < min(columns, <Py_ssize_t>STRIDE):
        found = load_up_to(&values[start + j], columns - j)
        for i in range(1, rows):
            found = either(found, load_up_to(&values[start + i * row + j], columns - j))
        bits |= lanes_not_zero(found) << j
        j += VECTOR_LENGTH
    return bits


cdef void note_nonzero_rows(
    uint64_t *words, const real[::1] left, Matrix at, Py_ssize_t rows, Py_ssize_t depth
) noexcept nogil:
    """Write a bit mask of the non-zero rows, at most 64, of each contiguous column."""
    cdef Py_ssize_t k, i
    for k in range(depth):
        words[k] = 0
        i = 0
        while i < rows:
            words[k] |= <uint64_t>columns_not_zero(
                left, at.start + k * at.column + i, 0, 1, rows - i
            ) << i
            i += STRIDE
    for k in range(depth, (depth + STRIDE - 1) // STRIDE * STRIDE):
        words[k] = 0


cdef inline vector load_up_to(const real *address, Py_ssize_t columns) noexcept nogil:
    """Load a vector, or the first `columns` values of one."""
    return load(address, columns >= VECTOR_LENGTH, <int>columns)
