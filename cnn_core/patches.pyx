"""A product whose left-hand values are found by address.

A patch is what an output of a convolution is computed from: some pixels of an image with margins.
Patches overlap, so they are not copied side by side. Value k of patch p stands at rows[p] +
columns[k], and all three roles of a convolution are products with such a left-hand side:

    forward            out[p, o] = sum over k of image[rows[p] + columns[k]] * weights[k, o]
    weight gradient    out[k, o] = sum over p of image[columns[k] + rows[p]] * delta[p, o]
    input gradient     as forward, with the delta for the image and the weights turned around

As in dense.pyx a tile of the output stays in registers, and each sum runs over the depth in rising
order, in blocks that the depth alone decides.
"""

from .vector cimport VECTOR_LENGTH, load, store_some, store_vector, vector, zero_vector

cdef extern from "vector.h" nogil:
    enum:
        TILE_ROWS
        TILE_VECTORS

cdef enum:
    # Rows of a tile that is narrower: enough sums to hide the latency of a multiply-add, and few
    # enough addresses for the registers.
    TALL_ROWS = 8
    NARROW_VECTORS = 2
    # As in dense.pyx.
    DEPTH_BLOCK = 400


cdef inline void tile(
    const int rows, const int vectors, const bint whole, GatheredProduct at
) noexcept nogil:
    """`rows` rows and `vectors` vectors of columns; the last columns are missing unless it is whole.

    Called with constants for `rows`, `vectors` and `whole`, so that the sums become registers.
    """
    cdef vector sums[TALL_ROWS][TILE_VECTORS]
    cdef vector row[TILE_VECTORS]
    cdef const real *values[TALL_ROWS]
    cdef real value
    cdef Py_ssize_t k, place
    cdef int i, v, columns = <int>at.columns
    for i in range(rows):
        values[i] = at.left.start + at.left.rows[i]
        for v in range(vectors):
            sums[i][v] = zero_vector()
    for k in range(at.depth):
        place = at.left.columns[k]
        for v in range(vectors):
            row[v] = load(at.right + v * VECTOR_LENGTH, whole, columns)
        for i in range(rows):
            value = values[i][place]
            for v in range(vectors):
                sums[i][v] = sums[i][v] + value * row[v]
        at.right += at.right_row
    if at.base != NULL:
        for i in range(rows):
            for v in range(vectors):
                sums[i][v] = sums[i][v] + load(
                    at.base + i * at.base_row + v * VECTOR_LENGTH, whole, columns
                )
    for i in range(rows):
        for v in range(vectors):
            if whole:
                store_vector(at.out + i * at.out_row + v * VECTOR_LENGTH, sums[i][v])
            else:
                store_some(at.out + i * at.out_row, sums[i][v], columns)


cdef inline void column_of_tiles(
    const int most_rows, const int vectors, const bint whole, GatheredProduct at
) noexcept nogil:
    """As few tiles as possible, as equal as possible: a single row would wait for its own additions."""
    cdef Py_ssize_t tiles = (at.rows + most_rows - 1) // most_rows
    cdef Py_ssize_t size
    while tiles > 0:
        size = (at.rows + tiles - 1) // tiles
        if size == 8 and most_rows >= 8:
            tile(8, vectors, whole, at)
        elif size == 7 and most_rows >= 7:
            tile(7, vectors, whole, at)
        elif size == 6 and most_rows >= 6:
            tile(6, vectors, whole, at)
        elif size == 5 and most_rows >= 5:
            tile(5, vectors, whole, at)
        elif size == 4:
            tile(4, vectors, whole, at)
        elif size == 3:
            tile(3, vectors, whole, at)
        elif size == 2:
            tile(2, vectors, whole, at)
        else:
            tile(1, vectors, whole, at)
        tiles -= 1
        at.rows -= size
        at.left.rows += size
        at.out += size * at.out_row
        if at.base != NULL:
            at.base += size * at.base_row


cdef void gathered_product(GatheredProduct at) noexcept nogil:
    """A block of the depth at a time, and in it a panel as wide as a tile."""
    cdef Py_ssize_t blocks = (at.depth + DEPTH_BLOCK - 1) // DEPTH_BLOCK
    cdef Py_ssize_t deep = (at.depth + blocks - 1) // blocks, left = at.depth
    cdef GatheredProduct panel
    while left > 0:
        at.depth = min(deep, left)
        panel = at
        while panel.columns > 0:
            if panel.columns >= TILE_VECTORS * VECTOR_LENGTH:
                column_of_tiles(TILE_ROWS, TILE_VECTORS, True, panel)
                move_right(&panel, TILE_VECTORS * VECTOR_LENGTH)
            elif TILE_VECTORS > NARROW_VECTORS and panel.columns >= NARROW_VECTORS * VECTOR_LENGTH:
                column_of_tiles(TALL_ROWS, NARROW_VECTORS, True, panel)
                move_right(&panel, NARROW_VECTORS * VECTOR_LENGTH)
            elif panel.columns >= VECTOR_LENGTH:
                column_of_tiles(TALL_ROWS, 1, True, panel)
                move_right(&panel, VECTOR_LENGTH)
            else:
                column_of_tiles(TALL_ROWS, 1, False, panel)
                panel.columns = 0
        left -= at.depth
        at.left.columns += at.depth
        at.right += at.depth * at.right_row
        at.base, at.base_row = at.out, at.out_row


cdef inline void move_right(GatheredProduct *panel, Py_ssize_t columns) noexcept nogil:
    panel.columns -= columns
    panel.right += columns
    panel.out += columns
    if panel.base != NULL:
        panel.base += columns
