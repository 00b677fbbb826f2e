"""Which terms of a product are not zero. How: zero_skipping.pyx."""

from libc.stdint cimport uint16_t, uint64_t

from .matrix cimport Matrix
from .scalar cimport real

cdef extern from "vector.h" nogil:
    enum:
        TILE_ROWS

cdef enum:
    # The most terms of a tile: a block of the depth.
    MOST_TERMS = 400
    # Tiles whose terms can be listed: more than a block of 512 samples has, rounded up to whole ones.
    MOST_TILES = 96
    # Values that are looked at for a list together.
    STRIDE = 16
    # How many terms later is what a tile asks for meanwhile.
    TERMS_AHEAD = 3


cdef struct Terms:
    # For each tile of a product, top to bottom, the k in a block of its depth at which any of the
    # left-hand values is not 0. `listed`: for all of the depth, so that it need not be done again.
    uint16_t lists[MOST_TILES][MOST_TERMS + STRIDE]
    int counts[MOST_TILES]
    bint listed
    # For each k, the rows whose left-hand value is not 0, as bits.
    uint64_t nonzero_rows[MOST_TERMS]


cdef inline int rows_of_tile(Py_ssize_t rows) noexcept nogil:
    """How many of the rows that are left the next tile takes."""
    if rows >= TILE_ROWS:
        return TILE_ROWS
    return 4 if rows >= 4 else 2 if rows >= 2 else 1


cdef void list_terms(
    Terms *terms, const real[::1] left, Matrix at, Py_ssize_t rows, Py_ssize_t depth
) noexcept nogil
