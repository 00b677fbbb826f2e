"""The dense layer: one matrix product in three roles, and a sum.

    forward            out = x @ weights + bias
    weight gradient    out = x.T @ delta
    input gradient     out = delta @ weights.T
    bias gradient      out = delta.sum(axis=0)

The product is computed tile by tile. A tile of the output stays in registers while the loop runs
over the depth k: one value of the left-hand side, broadcast, times a row of the right-hand side.
The right-hand side is taken a panel at a time, as wide as a tile and DEPTH_BLOCK deep, so that a
panel stays in cache while the tiles pass over it. Every element of the output is one sum over
k in rising order whatever tile it falls into, so that its bits depend on the problem alone.

The caller guarantees the shapes; kernels.pyx checks them for everyone else.
"""

from libc.string cimport memset

from .scalar cimport real


cdef extern from "vector.h" nogil:
    ctypedef float vector
    vector load_vector(const real *address)
    void store_vector(real *address, vector value)
    enum:
        TILE_ROWS
        TILE_VECTORS
        VECTOR_LENGTH

cdef enum:
    # A panel of 256 rows of 256 bytes streams from the L2 cache; bench/epoch.py shows what it gives.
    DEPTH_BLOCK = 256


cdef struct Matrix:
    # Element (i, k) stands at start[i * row + k * column].
    const real *start
    Py_ssize_t row
    Py_ssize_t column

cdef struct Panel:
    # Columns of an output: row i begins at first + i * first_row (what the sums start from) and at
    # out + i * out_row (where they go).
    const real *first
    Py_ssize_t first_row
    real *out
    Py_ssize_t out_row


cdef inline void tile(
    const int rows, const int vectors, Py_ssize_t top, Matrix left,
    const real *right, Py_ssize_t right_row, Py_ssize_t depth, Panel panel,
) noexcept nogil:
    """out = first + left @ right, for `rows` rows from `top` and `vectors` vectors of columns.

    Called with constants for `rows` and `vectors`, so that the sums become registers.
    """
    cdef vector sums[TILE_ROWS][TILE_VECTORS]
    cdef vector row[TILE_VECTORS]
    cdef const real *values = left.start + top * left.row
    cdef const real *first = panel.first + top * panel.first_row
    cdef real *out = panel.out + top * panel.out_row
    cdef real value
    cdef Py_ssize_t k
    cdef int i, v
    for i in range(rows):
        for v in range(vectors):
            sums[i][v] = load_vector(first + i * panel.first_row + v * VECTOR_LENGTH)
    for k in range(depth):
        for v in range(vectors):
            row[v] = load_vector(right + k * right_row + v * VECTOR_LENGTH)
        for i in range(rows):
            value = values[i * left.row + k * left.column]
            for v in range(vectors):
                sums[i][v] = sums[i][v] + value * row[v]
    for i in range(rows):
        for v in range(vectors):
            store_vector(out + i * panel.out_row + v * VECTOR_LENGTH, sums[i][v])


cdef inline void column_of_tiles(
    const int vectors, Matrix left, Py_ssize_t rows,
    const real *right, Py_ssize_t right_row, Py_ssize_t depth, Panel panel,
) noexcept nogil:
    """out = first + left @ right for any number of rows: full tiles, then smaller ones."""
    cdef Py_ssize_t top = 0
    while top + TILE_ROWS <= rows:
        tile(TILE_ROWS, vectors, top, left, right, right_row, depth, panel)
        top += TILE_ROWS
    if top + 4 <= rows:
        tile(4, vectors, top, left, right, right_row, depth, panel)
        top += 4
    if top + 2 <= rows:
        tile(2, vectors, top, left, right, right_row, depth, panel)
        top += 2
    if top < rows:
        tile(1, vectors, top, left, right, right_row, depth, panel)


cdef void last_columns(
    Matrix left, Py_ssize_t rows, const real *right, Py_ssize_t depth, Py_ssize_t columns,
    Panel panel,
) noexcept nogil:
    """The columns that do not fill a vector: a few rows at a time, through room for a vector each.

    `right` is packed, one vector a row.
    """
    cdef real room[TILE_ROWS * VECTOR_LENGTH]
    cdef Panel in_room
    cdef Py_ssize_t top = 0, count, i, j
    in_room.first = in_room.out = room
    in_room.first_row = in_room.out_row = VECTOR_LENGTH
    while top < rows:
        count = min(rows - top, <Py_ssize_t>TILE_ROWS)
        for i in range(count):
            for j in range(VECTOR_LENGTH):
                room[i * VECTOR_LENGTH + j] = (
                    panel.first[(top + i) * panel.first_row + j] if j < columns else 0
                )
        column_of_tiles(1, left, count, right, VECTOR_LENGTH, depth, in_room)
        for i in range(count):
            for j in range(columns):
                panel.out[(top + i) * panel.out_row + j] = room[i * VECTOR_LENGTH + j]
        left.start += count * left.row
        top += count


cdef void pack(
    Matrix right, Py_ssize_t depth, Py_ssize_t columns, Py_ssize_t width, real *packed
) noexcept nogil:
    """Copy `columns` columns of `right` to rows of `width` values, zeros behind them."""
    cdef Py_ssize_t k, j
    for k in range(depth):
        for j in range(columns):
            packed[k * width + j] = right.start[k * right.row + j * right.column]
        for j in range(columns, width):
            packed[k * width + j] = 0


cdef void multiply_panel(
    Matrix left, Matrix right, Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t columns, Panel panel
) noexcept nogil:
    """One panel: TILE_VECTORS vectors, one vector, or what is left of one."""
    cdef real packed[DEPTH_BLOCK * TILE_VECTORS * VECTOR_LENGTH]
    cdef const real *source = right.start
    cdef Py_ssize_t source_row = right.row
    if right.column != 1 or columns < VECTOR_LENGTH:
        source_row = max(columns, <Py_ssize_t>VECTOR_LENGTH)
        pack(right, depth, columns, source_row, packed)
        source = packed
    if columns == TILE_VECTORS * VECTOR_LENGTH:
        column_of_tiles(TILE_VECTORS, left, rows, source, source_row, depth, panel)
    elif columns == VECTOR_LENGTH:
        column_of_tiles(1, left, rows, source, source_row, depth, panel)
    else:
        last_columns(left, rows, source, depth, columns, panel)


cdef void product(
    Matrix left, Matrix right, const real *bias, Py_ssize_t rows, Py_ssize_t columns,
    Py_ssize_t depth, real *out,
) noexcept nogil:
    """out = bias + left @ right; out is (rows, columns) without gaps; bias NULL stands for zeros."""
    cdef real zeros[TILE_VECTORS * VECTOR_LENGTH]
    cdef Panel panel
    cdef Py_ssize_t done = 0, deep, j, width
    memset(zeros, 0, sizeof(zeros))
    panel.out_row = columns
    while done < depth:
        deep = min(depth - done, <Py_ssize_t>DEPTH_BLOCK)
        j = 0
        while j < columns:
            width = TILE_VECTORS * VECTOR_LENGTH
            if columns - j < width:
                width = min(columns - j, <Py_ssize_t>VECTOR_LENGTH)
            panel.out = out + j
            if done > 0:
                panel.first, panel.first_row = panel.out, columns
            elif bias == NULL:
                panel.first, panel.first_row = &zeros[0], 0
            else:
                panel.first, panel.first_row = bias + j, 0
            multiply_panel(
                Matrix(left.start + done * left.column, left.row, left.column),
                Matrix(
                    right.start + done * right.row + j * right.column, right.row, right.column
                ),
                rows, deep, width, panel,
            )
            j += width
        done += deep


cdef inline Matrix rows_of(const real[:, ::1] array) noexcept nogil:
    return Matrix(&array[0, 0], array.shape[1], 1)


cdef inline Matrix columns_of(const real[:, ::1] array) noexcept nogil:
    """The transpose."""
    return Matrix(&array[0, 0], 1, array.shape[1])


cdef void dense_forward(
    const real[:, ::1] x, const real[:, ::1] weights, const real[::1] bias, real[:, ::1] out
) noexcept nogil:
    """out = x @ weights + bias."""
    cdef Py_ssize_t i, j
    if out.shape[0] == 0 or out.shape[1] == 0:
        return
    if x.shape[1] == 0:
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] = bias[j]
        return
    product(
        rows_of(x), rows_of(weights), &bias[0], out.shape[0], out.shape[1], x.shape[1], &out[0, 0]
    )


cdef void dense_weight_gradient(
    const real[:, ::1] x, const real[:, ::1] delta, real[:, ::1] out
) noexcept nogil:
    """out = x.T @ delta."""
    if out.shape[0] == 0 or out.shape[1] == 0:
        return
    if x.shape[0] == 0:
        out[:, :] = 0
        return
    product(
        columns_of(x), rows_of(delta), NULL, out.shape[0], out.shape[1], x.shape[0], &out[0, 0]
    )


cdef void dense_bias_gradient(const real[:, ::1] delta, real[::1] out) noexcept nogil:
    """out = delta.sum(axis=0)."""
    cdef Py_ssize_t i, j
    out[:] = 0
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            out[j] = out[j] + delta[i, j]


cdef void dense_input_gradient(
    const real[:, ::1] delta, const real[:, ::1] weights, real[:, ::1] out
) noexcept nogil:
    """out = delta @ weights.T."""
    if out.shape[0] == 0 or out.shape[1] == 0:
        return
    if delta.shape[1] == 0:
        out[:, :] = 0
        return
    product(
        rows_of(delta), columns_of(weights), NULL, out.shape[0], out.shape[1], delta.shape[1],
        &out[0, 0],
    )
