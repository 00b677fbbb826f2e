"""Lists of the non-zero terms of a product; zero_skipping.pyx explains them."""

from libc.stdint cimport uint16_t, uint64_t

from .matrix cimport Matrix
from .scalar cimport real

cdef extern from "vector.h" nogil:
    enum:
        TILE_ROWS

cdef enum:
    # Most terms of a tile: the size of a block of the depth.
    MOST_TERMS = 400
    # Most tiles with a list: a block of 512 samples has fewer, even with its partial tiles.
    MOST_TILES = 96
    # Columns that are tested for zeros in one step.
    STRIDE = 16
    # Prefetch distance of a tile, in terms.
    TERMS_AHEAD = 3


cdef struct Terms:
    # For each tile, top to bottom: the k in a block of the depth where any left-hand value is not
    # 0. `listed`: the lists cover the whole depth and need not be made again.
    uint16_t lists[MOST_TILES][MOST_TERMS + STRIDE]
    int counts[MOST_TILES]
    bint listed
    # For each k, a bit mask of the rows whose left-hand value is not 0.
    uint64_t nonzero_rows[MOST_TERMS]


cdef inline int rows_of_tile(Py_ssize_t rows) noexcept nogil:
    """Return the height of the next tile when `rows` rows are left."""
    if rows >= TILE_ROWS:
        return TILE_ROWS
    return 4 if rows >= 4 else 2 if rows >= 2 else 1


cdef void list_terms(
    Terms *terms, const real[::1] left, Matrix at, Py_ssize_t rows, Py_ssize_t depth
) noexcept nogil
