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
    const int rows, const int vectors, const bint whole, const int columns, Gathered left,
    Py_ssize_t depth, const real *right, Py_ssize_t right_row, const real *base,
    Py_ssize_t base_row, real *out, Py_ssize_t out_row,
) noexcept nogil:
    """`rows` rows and `vectors` vectors of columns; the last columns are missing unless it is whole.

    Called with constants for `rows`, `vectors` and `whole`, so that the sums become registers.
    """
    cdef vector sums[TALL_ROWS][TILE_VECTORS]
    cdef vector row[TILE_VECTORS]
    cdef const real *values[TALL_ROWS]
    cdef real value
    cdef Py_ssize_t k, at
    cdef int i, v
    for i in range(rows):
        values[i] = left.start + left.rows[i]
        for v in range(vectors):
            sums[i][v] = zero_vector()
    for k in range(depth):
        at = left.columns[k]
        for v in range(vectors):
            row[v] = load(right + v * VECTOR_LENGTH, whole, columns)
        for i in range(rows):
            value = values[i][at]
            for v in range(vectors):
                sums[i][v] = sums[i][v] + value * row[v]
        right += right_row
    if base != NULL:
        for i in range(rows):
            for v in range(vectors):
                sums[i][v] = sums[i][v] + load(
                    base + i * base_row + v * VECTOR_LENGTH, whole, columns
                )
    for i in range(rows):
        for v in range(vectors):
            if whole:
                store_vector(out + i * out_row + v * VECTOR_LENGTH, sums[i][v])
            else:
                store_some(out + i * out_row, sums[i][v], columns)


cdef inline void column_of_tiles(
    const int most_rows, const int vectors, const bint whole, const int columns, Gathered left,
    Py_ssize_t rows, Py_ssize_t depth, const real *right, Py_ssize_t right_row, const real *base,
    Py_ssize_t base_row, real *out, Py_ssize_t out_row,
) noexcept nogil:
    """Full tiles, then smaller ones."""
    cdef int size
    while rows > 0:
        # With one vector of columns a single row would wait for each of its own additions: 9 rows are
        # 4 and 5.
        if rows >= most_rows and not (vectors == 1 and rows == 9):
            size = most_rows
            tile(
                most_rows, vectors, whole, columns, left, depth, right, right_row, base, base_row,
                out, out_row,
            )
        elif vectors == 1 and most_rows > 5 and rows == 5:
            size = 5
            tile(
                5, vectors, whole, columns, left, depth, right, right_row, base, base_row, out,
                out_row,
            )
        elif rows >= 4:
            size = 4
            tile(
                4, vectors, whole, columns, left, depth, right, right_row, base, base_row, out,
                out_row,
            )
        elif rows >= 2:
            size = 2
            tile(
                2, vectors, whole, columns, left, depth, right, right_row, base, base_row, out,
                out_row,
            )
        else:
            size = 1
            tile(
                1, vectors, whole, columns, left, depth, right, right_row, base, base_row, out,
                out_row,
            )
        rows -= size
        left.rows += size
        out += size * out_row
        if base != NULL:
            base += size * base_row


cdef void gathered_product(
    Gathered left, Py_ssize_t rows, Py_ssize_t depth, const real *right, Py_ssize_t right_row,
    Py_ssize_t columns, const real *base, Py_ssize_t base_row, real *out, Py_ssize_t out_row,
) noexcept nogil:
    """A block of the depth at a time, and in it a panel as wide as a tile."""
    cdef Py_ssize_t blocks = (depth + DEPTH_BLOCK - 1) // DEPTH_BLOCK
    cdef Py_ssize_t deep = (depth + blocks - 1) // blocks, j, rest
    cdef const real *start
    while depth > 0:
        deep = min(deep, depth)
        j = 0
        while j < columns:
            rest = columns - j
            start = base
            if base != NULL:
                start = base + j
            if rest >= TILE_VECTORS * VECTOR_LENGTH:
                column_of_tiles(
                    TILE_ROWS, TILE_VECTORS, True, 0, left, rows, deep, right + j, right_row, start,
                    base_row, out + j, out_row,
                )
                j += TILE_VECTORS * VECTOR_LENGTH
            elif TILE_VECTORS > NARROW_VECTORS and rest >= NARROW_VECTORS * VECTOR_LENGTH:
                column_of_tiles(
                    TALL_ROWS, NARROW_VECTORS, True, 0, left, rows, deep, right + j, right_row,
                    start, base_row, out + j, out_row,
                )
                j += NARROW_VECTORS * VECTOR_LENGTH
            elif rest >= VECTOR_LENGTH:
                column_of_tiles(
                    TALL_ROWS, 1, True, 0, left, rows, deep, right + j, right_row, start, base_row,
                    out + j, out_row,
                )
                j += VECTOR_LENGTH
            else:
                column_of_tiles(
                    TALL_ROWS, 1, False, <int>rest, left, rows, deep, right + j, right_row, start,
                    base_row, out + j, out_row,
                )
                j += rest
        left.columns += deep
        right += deep * right_row
        depth -= deep
        base, base_row = out, out_row
