"""The dense layer: one matrix product in three roles, and a sum.

    forward            out = x @ weights + bias
    weight gradient    out = x.T @ delta
    input gradient     out = delta @ weights.T
    bias gradient      out = delta.sum(axis=0)

The product is computed tile by tile. A tile of the output stays in registers while the loop runs
over the depth k: one value of the left-hand side, broadcast, times a row of the right-hand side.
What the output starts from is added at the end, and the product may be scaled then, so that
`weights - learning_rate * (x.T @ delta)` is a product as well: the gradient is never stored.

The right-hand side is taken a panel at a time, as wide as a tile and at most DEPTH_BLOCK deep, so
that a panel stays in cache while the tiles pass over it. Every element of the output is one sum over
k in rising order, in blocks that the depth alone decides, so that its bits depend on the problem and
not on the tile that it falls into, nor on who computes which rows.

The caller guarantees the shapes; kernels.pyx checks them for everyone else.
"""

from libc.string cimport memcpy, memset

from .matrix cimport Matrix, columns_of, rows_of
from .scalar cimport real


cdef extern from "vector.h" nogil:
    ctypedef float vector
    vector load_vector(const real *address)
    void store_vector(real *address, vector value)
    vector load_some(const real *address, int count)
    void store_some(real *address, vector value, int count)
    vector zero_vector()
    void prefetch_line(const void *address)
    enum:
        TILE_ROWS
        TILE_VECTORS
        ROW_VECTORS
        VECTOR_LENGTH

cdef enum:
    # A panel of 400 rows of 256 bytes streams from the L2 cache; docs/engine.md has the figures.
    DEPTH_BLOCK = 400
    # Rows of a tile that is one vector wide: as many sums as hide the latency of a multiply-add.
    TALL_ROWS = 12
    CACHE_LINE = 64
    # Bytes between two rows.
    FAR = 4096


cdef inline vector load(const real *address, const bint whole, const int columns) noexcept nogil:
    return load_vector(address) if whole else load_some(address, columns)


cdef inline void tile(
    const int rows, const int vectors, const bint whole, const int columns, Py_ssize_t top,
    Matrix left, const real *right, Py_ssize_t right_row, Py_ssize_t depth, Target target,
) noexcept nogil:
    """out = base + factor * (left @ right): `rows` rows from `top`, `vectors` vectors of columns.

    Unless it is whole, the tile is one vector wide and its last columns are missing. Called with
    constants for `rows`, `vectors` and `whole`, so that the sums become registers.
    """
    cdef vector sums[TALL_ROWS][ROW_VECTORS]
    cdef vector row[ROW_VECTORS]
    cdef const real *values = left.start + top * left.row
    cdef const real *base = target.base + top * target.base_row
    cdef real *out = target.out + top * target.out_row
    cdef real value
    cdef Py_ssize_t k
    cdef int i, v
    for i in range(rows):
        for v in range(vectors):
            sums[i][v] = zero_vector()
    for k in range(depth):
        for v in range(vectors):
            row[v] = load(right + k * right_row + v * VECTOR_LENGTH, whole, columns)
        for i in range(rows):
            value = values[i * left.row + k * left.column]
            for v in range(vectors):
                sums[i][v] = sums[i][v] + value * row[v]
    # All loads before the first store: rows that share a cache line would wait for each other.
    for i in range(rows):
        for v in range(vectors):
            sums[i][v] = target.factor * sums[i][v] + load(
                base + i * target.base_row + v * VECTOR_LENGTH, whole, columns
            )
    for i in range(rows):
        for v in range(vectors):
            if whole:
                store_vector(out + i * target.out_row + v * VECTOR_LENGTH, sums[i][v])
            else:
                store_some(out + i * target.out_row, sums[i][v], columns)


cdef inline void look_ahead(Ahead *ahead) noexcept nogil:
    cdef Py_ssize_t i, row
    while ahead != NULL:
        for i in range(ahead.lines):
            if ahead.next >= ahead.end:
                break
            row = ahead.next if ahead.order == NULL else ahead.order[ahead.next]
            # The last byte as well, which may stand in a line of its own.
            prefetch_line(ahead.start + row * ahead.row + min(ahead.line, ahead.size - 1))
            ahead.line += CACHE_LINE
            if ahead.line >= ahead.size + CACHE_LINE:
                ahead.line = 0
                ahead.next += 1
        ahead = ahead.also


cdef inline void column_of_tiles(
    const int vectors, const bint whole, const int columns, Matrix left, Py_ssize_t rows,
    const real *right, Py_ssize_t right_row, Py_ssize_t depth, Target target, Ahead *ahead,
) noexcept nogil:
    """The product for any number of rows: full tiles, then smaller ones."""
    cdef Py_ssize_t top = 0
    if vectors == 1:
        while top + TALL_ROWS <= rows:
            look_ahead(ahead)
            tile(TALL_ROWS, vectors, whole, columns, top, left, right, right_row, depth, target)
            top += TALL_ROWS
    while top + TILE_ROWS <= rows:
        look_ahead(ahead)
        tile(TILE_ROWS, vectors, whole, columns, top, left, right, right_row, depth, target)
        top += TILE_ROWS
    if top + 4 <= rows:
        tile(4, vectors, whole, columns, top, left, right, right_row, depth, target)
        top += 4
    if top + 2 <= rows:
        tile(2, vectors, whole, columns, top, left, right, right_row, depth, target)
        top += 2
    if top < rows:
        tile(1, vectors, whole, columns, top, left, right, right_row, depth, target)


cdef void pack_transposed(
    Matrix right, Py_ssize_t depth, Py_ssize_t columns, real *packed
) noexcept nogil:
    """Copy `columns` columns of `right` to rows of as many values, four at a time."""
    cdef Py_ssize_t k, j = 0
    cdef const real *column = right.start
    cdef Py_ssize_t next = right.column
    while j + 4 <= columns:
        column = right.start + j * next
        for k in range(depth):
            packed[k * columns + j] = column[k]
            packed[k * columns + j + 1] = column[k + next]
            packed[k * columns + j + 2] = column[k + 2 * next]
            packed[k * columns + j + 3] = column[k + 3 * next]
        j += 4
    while j < columns:
        for k in range(depth):
            packed[k * columns + j] = right.start[j * next + k]
        j += 1


cdef inline bint is_spread(Matrix right, Py_ssize_t rows) noexcept nogil:
    """Whether the rows of the right-hand side lie so far apart that they are worth bringing together.

    At such distances each is on a page of its own and falls into the same few sets of the caches.
    """
    return right.row * <Py_ssize_t>sizeof(real) >= FAR and rows >= 4 * TILE_ROWS


cdef void pack(Matrix right, Py_ssize_t depth, Py_ssize_t columns, real *packed) noexcept nogil:
    """Copy `columns` columns of `right`, rows without gaps."""
    cdef Py_ssize_t k
    for k in range(depth):
        memcpy(packed + k * columns, right.start + k * right.row, <size_t>columns * sizeof(real))


cdef void multiply_panel(
    Matrix left, Matrix right, Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t columns,
    Target target, Ahead *ahead,
) noexcept nogil:
    """One panel: as wide as a tile, one vector, or what is left of one."""
    cdef real packed[DEPTH_BLOCK * TILE_VECTORS * VECTOR_LENGTH]
    cdef const real *source = right.start
    cdef Py_ssize_t row = right.row
    if right.column != 1:
        pack_transposed(right, depth, columns, packed)
        source, row = &packed[0], columns
    elif is_spread(right, rows):
        pack(right, depth, columns, packed)
        source, row = &packed[0], columns
    if columns == ROW_VECTORS * VECTOR_LENGTH:
        tile(1, ROW_VECTORS, True, 0, 0, left, source, row, depth, target)
    elif columns == TILE_VECTORS * VECTOR_LENGTH:
        column_of_tiles(TILE_VECTORS, True, 0, left, rows, source, row, depth, target, ahead)
    elif columns == VECTOR_LENGTH:
        column_of_tiles(1, True, 0, left, rows, source, row, depth, target, ahead)
    else:
        column_of_tiles(1, False, columns, left, rows, source, row, depth, target, ahead)


cdef inline Py_ssize_t panel_width(Py_ssize_t left_over, bint one_row) noexcept nogil:
    """How many of the columns that are left the next panel takes."""
    if one_row and left_over >= ROW_VECTORS * VECTOR_LENGTH:
        return ROW_VECTORS * VECTOR_LENGTH
    if left_over >= TILE_VECTORS * VECTOR_LENGTH:
        return TILE_VECTORS * VECTOR_LENGTH
    return min(left_over, <Py_ssize_t>VECTOR_LENGTH)


cdef void product(
    Matrix left, Matrix right, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth,
    Target target, Ahead *ahead,
) noexcept nogil:
    """target: left (rows, depth) @ right (depth, columns); depth at least 1."""
    if rows == 1 and right.column != 1:
        # The transpose: a row alone is not worth packing all of the right-hand side for.
        panels(
            Matrix(right.start, right.column, right.row), Matrix(left.start, left.column, 1),
            columns, 1, depth, Target(target.base, 1, target.factor, target.out, 1), ahead,
        )
    else:
        panels(left, right, rows, columns, depth, target, ahead)


cdef void panels(
    Matrix left, Matrix right, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth,
    Target target, Ahead *ahead,
) noexcept nogil:
    """The product, panel by panel."""
    cdef real zeros[ROW_VECTORS * VECTOR_LENGTH]
    cdef Target panel
    cdef Py_ssize_t blocks = (depth + DEPTH_BLOCK - 1) // DEPTH_BLOCK
    cdef Py_ssize_t deep = (depth + blocks - 1) // blocks
    cdef Py_ssize_t done = 0, j, width
    if target.base == NULL:
        memset(zeros, 0, sizeof(zeros))
    while done < depth:
        deep = min(deep, depth - done)
        j = 0
        while j < columns:
            width = panel_width(columns - j, rows == 1)
            panel = Target(
                NULL, target.base_row, target.factor, target.out + j, target.out_row
            )
            if done > 0:
                panel.base, panel.base_row = panel.out, panel.out_row
            elif target.base == NULL:
                panel.base, panel.base_row = &zeros[0], 0
            else:
                panel.base = target.base + j
            multiply_panel(
                Matrix(left.start + done * left.column, left.row, left.column),
                Matrix(
                    right.start + done * right.row + j * right.column, right.row, right.column
                ),
                rows, deep, width, panel, ahead,
            )
            j += width
        done += deep


cdef void sum_of_rows(
    const real *source, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t columns, real *out
) noexcept nogil:
    """out += the sum of the rows, in rising order."""
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(columns):
            out[j] = out[j] + source[i * row + j]


cdef void dense_forward(
    const real[:, ::1] x, const real[:, ::1] weights, const real[::1] bias, real[:, ::1] out
) noexcept nogil:
    """out = x @ weights + bias."""
    cdef Py_ssize_t i, rows = out.shape[0], columns = out.shape[1]
    if rows == 0 or columns == 0:
        return
    if x.shape[1] == 0:
        for i in range(rows):
            out[i, :] = bias
        return
    product(
        rows_of(x), rows_of(weights), rows, columns, x.shape[1],
        Target(&bias[0], 0, 1, &out[0, 0], columns), NULL,
    )


cdef void dense_weight_gradient(
    const real[:, ::1] x, const real[:, ::1] delta, real[:, ::1] out
) noexcept nogil:
    """out = x.T @ delta."""
    cdef Py_ssize_t rows = out.shape[0], columns = out.shape[1]
    if rows == 0 or columns == 0:
        return
    if x.shape[0] == 0:
        out[:, :] = 0
        return
    product(
        columns_of(x), rows_of(delta), rows, columns, x.shape[0],
        Target(NULL, 0, 1, &out[0, 0], columns), NULL,
    )


cdef void dense_bias_gradient(const real[:, ::1] delta, real[::1] out) noexcept nogil:
    """out = delta.sum(axis=0)."""
    out[:] = 0
    if delta.shape[0] == 0 or delta.shape[1] == 0:
        return
    sum_of_rows(&delta[0, 0], delta.shape[1], delta.shape[0], delta.shape[1], &out[0])


cdef void dense_input_gradient(
    const real[:, ::1] delta, const real[:, ::1] weights, real[:, ::1] out
) noexcept nogil:
    """out = delta @ weights.T."""
    cdef Py_ssize_t rows = out.shape[0], columns = out.shape[1]
    if rows == 0 or columns == 0:
        return
    if delta.shape[1] == 0:
        out[:, :] = 0
        return
    product(
        rows_of(delta), columns_of(weights), rows, columns, delta.shape[1],
        Target(NULL, 0, 1, &out[0, 0], columns), NULL,
    )
