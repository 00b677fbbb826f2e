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

Where the inputs are mostly zeros, as the pixels around what a picture shows, the terms with a zero for
all rows of a tile are left out of its sums: 0 times a finite weight adds nothing to them. Which ones
those are is listed once for all columns (`Terms`).

The caller guarantees the shapes; kernels.pyx checks them for everyone else.
"""

from libc.stdint cimport uint16_t, uint64_t
from libc.string cimport memcpy, memset

from .matrix cimport Matrix, columns_of, rows_of
from .scalar cimport real, real_multiply_add
from .vector cimport VECTOR_LENGTH, load, store_some, store_vector, vector, zero_vector

cdef extern from "vector.h" nogil:
    vector either(vector a, vector b)
    unsigned lanes_not_zero(vector v)
    unsigned words_sharing(const uint64_t *words, uint64_t bits)
    int list_bits(uint16_t *numbers, int first, unsigned bits)
    void prefetch_line(const void *address)
    void prefetch_near(const void *address)
    void transpose_line(
        const real *rows, Py_ssize_t row, int count, real *out, Py_ssize_t out_row
    )
    enum:
        TILE_ROWS

cdef enum:
    # Rows of a tile that is one vector wide: as many sums as hide the latency of a multiply-add, and
    # the fewest that do.
    TALL_ROWS = 12
    LESS_TALL_ROWS = 8
    CACHE_LINE = 64
    # Bytes between two rows.
    FAR = 4096
    # How many terms later is what a tile asks for meanwhile.
    TERMS_AHEAD = 3


cdef inline int rows_of_tile(Py_ssize_t rows) noexcept nogil:
    """How many of the rows that are left the next tile takes."""
    if rows >= TILE_ROWS:
        return TILE_ROWS
    return 4 if rows >= 4 else 2 if rows >= 2 else 1


cdef void list_terms(
    ProductBuffers *buffers, Matrix left, Py_ssize_t rows, Py_ssize_t depth
) noexcept nogil:
    """List what counts in each tile of a product; for a block of samples or a unit of weights."""
    if left.column == 1:
        list_along_rows(&buffers.terms, left, rows, depth)
    else:
        list_along_columns(&buffers.terms, buffers.nonzero_rows, left, rows, depth)


cdef void list_along_rows(
    Terms *terms, Matrix left, Py_ssize_t rows, Py_ssize_t depth
) noexcept nogil:
    """The rows have no gaps: some values of each row of a tile at a time."""
    cdef Py_ssize_t k, top = 0, tile = 0
    cdef const real *start
    cdef int size, count
    while top < rows:
        size = rows_of_tile(rows - top)
        start = left.start + top * left.row
        count = 0
        k = 0
        while k < depth:
            count += list_bits(
                &terms.lists[tile][count], <int>k,
                columns_not_zero(start + k, left.row, size, depth - k),
            )
            k += STRIDE
        end_list(terms, tile, count)
        top += size
        tile += 1


cdef inline void end_list(Terms *terms, Py_ssize_t tile, int count) noexcept nogil:
    """Behind the last term stand some that do no harm when they are asked for."""
    terms.counts[tile] = count
    memset(&terms.lists[tile][count], 0, TERMS_AHEAD * sizeof(uint16_t))


cdef inline unsigned columns_not_zero(
    const real *start, Py_ssize_t row, int rows, Py_ssize_t columns
) noexcept nogil:
    """Which of up to 16 columns hold anything but zeros in some rows, as bits."""
    cdef vector found
    cdef unsigned bits = 0
    cdef Py_ssize_t j = 0
    cdef int i
    while j < min(columns, <Py_ssize_t>STRIDE):
        found = load_up_to(start + j, columns - j)
        for i in range(1, rows):
            found = either(found, load_up_to(start + i * row + j, columns - j))
        bits |= lanes_not_zero(found) << j
        j += VECTOR_LENGTH
    return bits


cdef void list_along_columns(
    Terms *terms, uint64_t *words, Matrix left, Py_ssize_t rows, Py_ssize_t depth
) noexcept nogil:
    """The columns have no gaps: a word of bits for each, and from these the lists; up to 64 rows."""
    cdef Py_ssize_t k, i, top = 0, tile = 0
    cdef uint64_t bits
    cdef int size, count
    for k in range(depth):
        words[k] = 0
        i = 0
        while i < rows:
            words[k] |= <uint64_t>columns_not_zero(
                left.start + k * left.column + i, 0, 1, rows - i
            ) << i
            i += STRIDE
    for k in range(depth, (depth + STRIDE - 1) // STRIDE * STRIDE):
        words[k] = 0
    while top < rows:
        size = rows_of_tile(rows - top)
        bits = ((<uint64_t>1 << size) - 1) << top
        count = 0
        k = 0
        while k < depth:
            count += list_bits(
                &terms.lists[tile][count], <int>k, words_sharing(&words[k], bits)
            )
            k += STRIDE
        end_list(terms, tile, count)
        top += size
        tile += 1


cdef inline vector load_up_to(const real *address, Py_ssize_t columns) noexcept nogil:
    """A vector, or as much of it as there is."""
    return load(address, columns >= VECTOR_LENGTH, <int>columns)


cdef inline void tile(
    const int rows, const int vectors, const bint whole, const int columns, Py_ssize_t top,
    Matrix left, const real *right, Py_ssize_t right_row, Py_ssize_t depth, Target target,
    const uint16_t *terms,
) noexcept nogil:
    """out = base + factor * (left @ right): `rows` rows from `top`, `vectors` vectors of columns.

    Unless it is whole, the tile is one vector wide and its last columns are missing. `terms`: the k
    that count, NULL for all. Called with constants for `rows`, `vectors` and `whole`, so that the
    sums become registers.
    """
    cdef vector sums[TALL_ROWS][ROW_VECTORS]
    cdef vector row[ROW_VECTORS]
    cdef const real *values = left.start + top * left.row
    cdef const real *base = target.base + top * target.base_row
    cdef real *out = target.out + top * target.out_row
    cdef real value
    cdef Py_ssize_t n, k
    cdef int i, v
    for i in range(rows):
        for v in range(vectors):
            sums[i][v] = zero_vector()
    for n in range(depth):
        k = n if terms == NULL else terms[n]
        # Rows one after the other the core foresees by itself.
        if terms != NULL:
            for v in range(vectors):
                prefetch_near(right + terms[n + TERMS_AHEAD] * right_row + v * VECTOR_LENGTH)
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


cdef struct Ahead:
    # Memory that is needed soon: `size` bytes of each of `rows` rows, which begin `row` bytes apart;
    # `rows_a_tile` of them are prefetched before each tile.
    const char *start
    Py_ssize_t row
    Py_ssize_t size
    Py_ssize_t rows
    Py_ssize_t rows_a_tile


cdef void prefetch_some(Ahead *ahead) noexcept nogil:
    cdef Py_ssize_t i, byte
    for i in range(min(ahead.rows, ahead.rows_a_tile)):
        byte = 0
        while byte < ahead.size:
            prefetch_line(ahead.start + byte)
            byte += CACHE_LINE
        ahead.start += ahead.row
        ahead.rows -= 1


cdef void prefetch_target(Target target, Py_ssize_t top) noexcept nogil:
    """What a tile is added to, while the tile is computed."""
    cdef Py_ssize_t i, v
    for i in range(top, top + TILE_ROWS):
        for v in range(TILE_VECTORS):
            prefetch_line(target.base + i * target.base_row + v * VECTOR_LENGTH)


cdef inline Ahead panel_ahead(
    Matrix right, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth
) noexcept nogil:
    """The panel at the beginning of `right`, spread over the tiles of the panel before it.

    The core by itself finds what lies close together, but not beyond the end of a page.
    """
    cdef Py_ssize_t tiles
    cdef Ahead ahead = Ahead(NULL, 0, 0, 0, 0)
    if max(right.row, right.column) * <Py_ssize_t>sizeof(real) < FAR:
        return ahead
    ahead.start = <const char *>right.start
    ahead.row, ahead.size, ahead.rows = right.row, columns, depth
    if right.column != 1:
        ahead.row, ahead.size, ahead.rows = right.column, depth, columns
    ahead.row *= sizeof(real)
    ahead.size *= sizeof(real)
    tiles = max(rows // TILE_ROWS, <Py_ssize_t>1)
    ahead.rows_a_tile = (ahead.rows + tiles - 1) // tiles
    return ahead


cdef inline void tile_of_terms(
    const int rows, const int vectors, const bint whole, const int columns, Py_ssize_t top,
    Matrix left, const real *right, Py_ssize_t right_row, Py_ssize_t depth, Target target,
    const Terms *terms, Py_ssize_t number,
) noexcept nogil:
    """A tile, with all of its terms or those that are listed."""
    if terms == NULL:
        tile(rows, vectors, whole, columns, top, left, right, right_row, depth, target, NULL)
    # What nothing is added to is there already.
    elif terms.counts[number] > 0 or target.base != target.out:
        tile(
            rows, vectors, whole, columns, top, left, right, right_row, terms.counts[number], target,
            terms.lists[number],
        )


cdef inline void column_of_tiles(
    const int vectors, const bint whole, const int columns, Matrix left, Py_ssize_t rows,
    const real *right, Py_ssize_t right_row, Py_ssize_t depth, Target target, Ahead *ahead,
    const Terms *terms,
) noexcept nogil:
    """The product for any number of rows: full tiles, then smaller ones."""
    cdef Py_ssize_t top = 0, number = 0
    cdef int size
    if vectors == 1:
        while top + TALL_ROWS <= rows and rows - top != 2 * LESS_TALL_ROWS:
            tile(
                TALL_ROWS, vectors, whole, columns, top, left, right, right_row, depth, target, NULL
            )
            top += TALL_ROWS
        while top + LESS_TALL_ROWS <= rows:
            tile(
                LESS_TALL_ROWS, vectors, whole, columns, top, left, right, right_row, depth, target,
                NULL,
            )
            top += LESS_TALL_ROWS
    while top < rows:
        size = rows_of_tile(rows - top)
        if size == TILE_ROWS:
            if ahead.rows > 0:
                prefetch_some(ahead)
            if target.is_far:
                prefetch_target(target, top)
            tile_of_terms(
                TILE_ROWS, vectors, whole, columns, top, left, right, right_row, depth, target,
                terms, number,
            )
        elif size == 4:
            tile_of_terms(
                4, vectors, whole, columns, top, left, right, right_row, depth, target, terms, number
            )
        elif size == 2:
            tile_of_terms(
                2, vectors, whole, columns, top, left, right, right_row, depth, target, terms, number
            )
        else:
            tile_of_terms(
                1, vectors, whole, columns, top, left, right, right_row, depth, target, terms, number
            )
        top += size
        number += 1


cdef void pack_transposed(
    Matrix right, Py_ssize_t depth, Py_ssize_t columns, real *packed
) noexcept nogil:
    """Copy `columns` columns of `right` to rows of as many values, four by four.

    A cache line of every column at a time, which may not be there any more for the next four.
    """
    cdef Py_ssize_t j, k, line = 0, size
    cdef const real *column
    while line < depth:
        size = min(CACHE_LINE // <Py_ssize_t>sizeof(real), depth - line)
        for j in range(0, columns - 3, 4):
            column = right.start + j * right.column + line
            transpose_line(
                column, right.column, <int>size, packed + line * columns + j, columns
            )
        for j in range(columns // 4 * 4, columns):
            column = right.start + j * right.column
            for k in range(line, line + size):
                packed[k * columns + j] = column[k]
        line += size


cdef inline bint is_spread(Matrix right, Py_ssize_t rows) noexcept nogil:
    """Whether the rows of the right-hand side are worth bringing together.

    At such distances they fall into the same few sets of the caches.
    """
    cdef Py_ssize_t distance = right.row * <Py_ssize_t>sizeof(real)
    return distance >= FAR and distance % (FAR // 4) == 0 and rows >= 4 * TILE_ROWS


cdef void pack(Matrix right, Py_ssize_t depth, Py_ssize_t columns, real *packed) noexcept nogil:
    """Copy `columns` columns of `right`, rows without gaps."""
    cdef Py_ssize_t k
    for k in range(depth):
        memcpy(packed + k * columns, right.start + k * right.row, <size_t>columns * sizeof(real))


cdef void multiply_panel(
    Matrix left, Matrix right, Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t columns,
    Target target, Ahead *ahead, const Terms *terms, ProductBuffers *buffers,
) noexcept nogil:
    """One panel: as wide as a tile, one vector, or what is left of one."""
    cdef real *packed = <real *>&buffers.panel[0]
    cdef const real *source = right.start
    cdef Py_ssize_t row = right.row
    if right.column != 1:
        pack_transposed(right, depth, columns, packed)
        source, row = packed, columns
    elif is_spread(right, rows):
        pack(right, depth, columns, packed)
        source, row = packed, columns
    if columns == ROW_VECTORS * VECTOR_LENGTH:
        tile(1, ROW_VECTORS, True, 0, 0, left, source, row, depth, target, NULL)
    elif columns == TILE_VECTORS * VECTOR_LENGTH:
        column_of_tiles(
            TILE_VECTORS, True, 0, left, rows, source, row, depth, target, ahead, terms
        )
    elif columns == VECTOR_LENGTH:
        column_of_tiles(1, True, 0, left, rows, source, row, depth, target, ahead, NULL)
    else:
        column_of_tiles(1, False, columns, left, rows, source, row, depth, target, ahead, NULL)


cdef inline Py_ssize_t panel_width(
    Py_ssize_t left_over, Py_ssize_t rows, Py_ssize_t depth, bint packs
) noexcept nogil:
    """How many of the columns that are left the next panel takes."""
    cdef bint is_wide = rows == 1 and not (
        packs and depth * ROW_VECTORS > DEPTH_BLOCK * TILE_VECTORS
    )
    if is_wide and left_over >= ROW_VECTORS * VECTOR_LENGTH:
        return ROW_VECTORS * VECTOR_LENGTH
    if left_over >= TILE_VECTORS * VECTOR_LENGTH:
        return TILE_VECTORS * VECTOR_LENGTH
    return min(left_over, <Py_ssize_t>VECTOR_LENGTH)


cdef void product(
    Matrix left, Matrix right, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth,
    Target target, Terms *terms, ProductBuffers *buffers,
) noexcept nogil:
    """target: left (rows, depth) @ right (depth, columns); depth at least 1.

    `terms`, unless NULL: those of `buffers`, for what is not zero in `left`, which is looked for.
    """
    if rows == 1 and right.column * <Py_ssize_t>sizeof(real) >= FAR:
        # The transpose: a row alone is not worth bringing all of the right-hand side together for.
        panels(
            Matrix(right.start, right.column, right.row), Matrix(left.start, left.column, 1),
            columns, 1, depth, Target(target.base, 1, target.factor, target.out, 1, target.is_far), NULL,
            buffers,
        )
    else:
        panels(left, right, rows, columns, depth, target, terms, buffers)


cdef void panels(
    Matrix left, Matrix right, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth,
    Target target, Terms *terms, ProductBuffers *buffers,
) noexcept nogil:
    """The product, panel by panel."""
    cdef Target panel
    cdef Py_ssize_t blocks = (depth + DEPTH_BLOCK - 1) // DEPTH_BLOCK
    cdef Py_ssize_t deep = (depth + blocks - 1) // blocks
    cdef Py_ssize_t done = 0, j, width
    cdef Ahead ahead
    if target.base == NULL:
        memset(&buffers.zeros[0], 0, sizeof(buffers.zeros))
    while done < depth:
        deep = min(deep, depth - done)
        if terms != NULL and not terms.listed:
            list_terms(
                buffers, Matrix(left.start + done * left.column, left.row, left.column), rows, deep
            )
        j = 0
        while j < columns:
            width = panel_width(columns - j, rows, deep, right.column != 1)
            panel = Target(
                NULL, target.base_row, target.factor, target.out + j, target.out_row, target.is_far
            )
            ahead = panel_ahead(
                Matrix(
                    right.start + done * right.row + (j + width) * right.column,
                    right.row, right.column,
                ),
                rows, min(columns - j - width, <Py_ssize_t>TILE_VECTORS * VECTOR_LENGTH), deep,
            )
            if done > 0:
                panel.base, panel.base_row = panel.out, panel.out_row
            elif target.base == NULL:
                panel.base, panel.base_row = <const real *>&buffers.zeros[0], 0
            else:
                panel.base = target.base + j
            multiply_panel(
                Matrix(left.start + done * left.column, left.row, left.column),
                Matrix(
                    right.start + done * right.row + j * right.column, right.row, right.column
                ),
                rows, deep, width, panel, &ahead, terms, buffers,
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
    const real[:, ::1] x, const real[:, ::1] weights, const real[::1] bias, real[:, ::1] out,
    ProductBuffers *buffers,
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
        Target(&bias[0], 0, 1, &out[0, 0], columns, False), NULL, buffers,
    )


cdef void dense_weight_gradient(
    const real[:, ::1] x, const real[:, ::1] delta, real[:, ::1] out, ProductBuffers *buffers
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
        Target(NULL, 0, 1, &out[0, 0], columns, False), NULL, buffers,
    )


cdef void dense_bias_gradient(const real[:, ::1] delta, real[::1] out) noexcept nogil:
    """out = delta.sum(axis=0)."""
    out[:] = 0
    if delta.shape[0] == 0 or delta.shape[1] == 0:
        return
    sum_of_rows(&delta[0, 0], delta.shape[1], delta.shape[0], delta.shape[1], &out[0])


cdef void dense_input_gradient(
    const real[:, ::1] delta, const real[:, ::1] weights, real[:, ::1] out,
    ProductBuffers *buffers,
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
        Target(NULL, 0, 1, &out[0, 0], columns, False), NULL, buffers,
    )


def dense_reference(
    const real[:, ::1] x, const real[:, ::1] weights, const real[::1] bias, real[:, ::1] out
):
    """out = x @ weights + bias, by the plain loops that a tile spreads over registers.

    Up to a depth of DEPTH_BLOCK, a product with fused multiply-adds has the same bits.
    """
    cdef Py_ssize_t i, j, k
    cdef real total
    for i in range(x.shape[0]):
        for j in range(weights.shape[1]):
            total = 0
            for k in range(weights.shape[0]):
                total = real_multiply_add(x[i, k], weights[k, j], total)
            out[i, j] = total + bias[j]
