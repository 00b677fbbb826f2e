"""The dense layer: one matrix product in three roles.

    forward            out = x @ weights + bias
    weight gradient    out = x.T @ delta
    input gradient     out = delta @ weights.T

A register tile holds a block of the output while the loop runs over the depth k. Each step
multiplies one broadcast value of the left-hand side by a row of the right-hand side. At the end the
sum is scaled and added to the base. So `weights - learning_rate * (x.T @ delta)` is one product as
well, and the gradient is never stored.

The right-hand side is processed in panels. A panel is as wide as a tile and at most DEPTH_BLOCK
deep, so it stays in cache while all tiles use it. Each element of the output is one sum over k in
rising order. Only the depth decides how the sum is cut into blocks. So the bits depend neither on
the tile nor on the thread.

Inputs can be mostly zeros, such as the background of pictures. A tile then skips the terms whose
left-hand value is zero in all of its rows: see zero_skipping.pyx.

Operands are flat arrays, and a `Product` says which values to use. Addresses are taken only to load
or store vectors, and for the base of a tile, which can be in one of three arrays. The caller
guarantees the shapes; kernels.pyx checks them for calls from Python.
"""

cimport cython
from libc.stdint cimport uint16_t
from libc.string cimport memcpy

from .matrix cimport LINE, Matrix, transpose_line
from .scalar cimport real, real_multiply_add
from .vector cimport VECTOR_LENGTH, load, store_some, store_vector, vector, zero_vector
from .zero_skipping cimport TERMS_AHEAD, TILE_ROWS, Terms, list_terms, rows_of_tile

cdef extern from "vector.h" nogil:
    void prefetch_line(const void *address)
    void prefetch_near(const void *address)

cdef enum:
    # Rows of a tile that is one vector wide: enough sums to hide the latency of a multiply-add.
    TALL_ROWS = 12
    CACHE_LINE = 64


@cython.final
cdef class ProductBuffers:
    """Buffers of one thread for a product."""


cdef void plan_prefetch(
    Prefetch *ahead, const real[::1] values, Py_ssize_t start, Py_ssize_t row, Py_ssize_t columns,
    Py_ssize_t rows,
) noexcept nogil:
    """Add `rows` rows of `columns` values, row stride `row`, unless the array is empty."""
    cdef Py_ssize_t lines = (columns * <Py_ssize_t>sizeof(real) + CACHE_LINE - 1) // CACHE_LINE
    if values.shape[0] > 0:
        ahead.memory[ahead.count] = Memory(
            <const char *>&values[start], row * <Py_ssize_t>sizeof(real), lines, rows
        )
        ahead.count += 1


cdef inline void begin_next_memory(Prefetch *ahead) noexcept nogil:
    """Move to the next range when the current one is used up."""
    cdef const Memory *memory
    if ahead.left == 0 and ahead.number < ahead.count:
        memory = &ahead.memory[ahead.number]
        ahead.number += 1
        ahead.next, ahead.left_in_row = memory.start, memory.lines
        ahead.left = memory.lines * memory.rows
        ahead.gap = memory.row - memory.lines * CACHE_LINE


cdef inline void tile(
    const int rows, const int vectors, const bint whole, const real[::1] left,
    const real[::1] right, const real *base, real[::1] out, Product at, const uint16_t *terms,
    Py_ssize_t count, Prefetch *ahead,
) noexcept nogil:
    """Compute out = base + factor * (left @ right) for `rows` rows by `vectors` vectors.

    A tile that is not `whole` is one vector wide and has only the first `at.columns` columns.
    `terms` lists the `count` values of k to add up; NULL means all. Callers pass constants for
    `rows`, `vectors` and `whole`, so that the compiler keeps the sums in registers.
    """
    cdef vector sums[TALL_ROWS][ROW_VECTORS]
    cdef vector row[ROW_VECTORS]
    cdef int i, v, columns = <int>at.columns
    cdef real value
    cdef Py_ssize_t n, k, lines = 0, left_in_row = 0
    cdef const char *next_line = NULL
    if rows == TILE_ROWS and vectors > 1 and terms == NULL:
        begin_next_memory(ahead)
        lines, left_in_row, next_line = min(ahead.left, count), ahead.left_in_row, ahead.next
    for i in range(rows):
        for v in range(vectors):
            sums[i][v] = zero_vector()
            # The base is read only after hundreds of terms.
            if vectors > 1 and at.base_row * <Py_ssize_t>sizeof(real) >= FAR:
                prefetch_near(base + i * at.base_row + v * VECTOR_LENGTH)
    for n in range(count):
        k = n if terms == NULL else terms[n]
        # The hardware prefetches consecutive rows, but not the rows of a list.
        if terms != NULL:
            for v in range(vectors):
                prefetch_near(
                    &right[
                        at.right.start + terms[n + TERMS_AHEAD] * at.right.row + v * VECTOR_LENGTH
                    ]
                )
        if n < lines:
            prefetch_line(next_line)
            next_line += CACHE_LINE
            left_in_row -= 1
            if left_in_row == 0:
                next_line += ahead.gap
                left_in_row = ahead.memory[ahead.number - 1].lines
        for v in range(vectors):
            row[v] = load(
                &right[at.right.start + k * at.right.row + v * VECTOR_LENGTH], whole, columns
            )
        for i in range(rows):
            value = left[at.left.start + i * at.left.row + k * at.left.column]
            for v in range(vectors):
                sums[i][v] = sums[i][v] + value * row[v]
    if rows == TILE_ROWS and vectors > 1 and terms == NULL:
        ahead.left, ahead.left_in_row, ahead.next = ahead.left - lines, left_in_row, next_line
    # Load everything before the first store: a load waits for a store to the same cache line.
    for i in range(rows):
        for v in range(vectors):
            sums[i][v] = at.factor * sums[i][v] + load(
                base + i * at.base_row + v * VECTOR_LENGTH, whole, columns
            )
    for i in range(rows):
        for v in range(vectors):
            if whole:
                store_vector(&out[at.out + i * at.out_row + v * VECTOR_LENGTH], sums[i][v])
            else:
                store_some(&out[at.out + i * at.out_row], sums[i][v], columns)


cdef inline void tile_of_terms(
    const int rows, const int vectors, const bint whole, const real[::1] left,
    const real[::1] right, const real *base, real[::1] out, Product at, const Terms *terms,
    Py_ssize_t number, Prefetch *ahead,
) noexcept nogil:
    """Compute a tile from all terms, or from the listed ones."""
    if vectors == 1 or terms == NULL:
        tile(rows, vectors, whole, left, right, base, out, at, NULL, at.depth, ahead)
    # Without terms, a tile that is its own base is already complete.
    elif terms.counts[number] > 0 or base != &out[at.out]:
        tile(
            rows, vectors, whole, left, right, base, out, at, terms.lists[number],
            terms.counts[number], NULL,
        )


cdef inline int rows_of_next(Py_ssize_t rows, const int vectors) noexcept nogil:
    """Return the height of the next tile when `rows` rows are left."""
    if vectors == 1 and rows >= TALL_ROWS:
        return TALL_ROWS
    return rows_of_tile(rows)


cdef inline void column_of_tiles(
    const int vectors, const bint whole, const real[::1] left, const real[::1] right,
    const real *base, real[::1] out, Product at, const Terms *terms, Prefetch *ahead,
) noexcept nogil:
    """Compute a panel for any number of rows: full tiles, then smaller ones."""
    cdef Py_ssize_t number = 0
    cdef int rows
    while at.rows > 0:
        rows = rows_of_next(at.rows, vectors)
        if vectors == 1 and rows == TALL_ROWS:
            tile_of_terms(TALL_ROWS, vectors, whole, left, right, base, out, at, terms, number, ahead)
        elif rows == TILE_ROWS:
            tile_of_terms(TILE_ROWS, vectors, whole, left, right, base, out, at, terms, number, ahead)
        elif rows == 4:
            tile_of_terms(4, vectors, whole, left, right, base, out, at, terms, number, ahead)
        elif rows == 2:
            tile_of_terms(2, vectors, whole, left, right, base, out, at, terms, number, ahead)
        else:
            tile_of_terms(1, vectors, whole, left, right, base, out, at, terms, number, ahead)
        at.rows -= rows
        at.left.start += rows * at.left.row
        at.out += rows * at.out_row
        base += rows * at.base_row
        number += 1


cdef void multiply_panel(
    const real[::1] left, const real[::1] right, const real *base, real[::1] out,
    const Product *part, const Terms *terms, Prefetch *ahead,
) noexcept nogil:
    """Compute one panel, which is as wide as a tile, one vector, or less than a vector."""
    cdef Product at = part[0]
    if at.columns == ROW_VECTORS * VECTOR_LENGTH:
        tile(1, ROW_VECTORS, True, left, right, base, out, at, NULL, at.depth, ahead)
    elif at.columns == TILE_VECTORS * VECTOR_LENGTH:
        column_of_tiles(TILE_VECTORS, True, left, right, base, out, at, terms, ahead)
    elif at.columns == VECTOR_LENGTH:
        column_of_tiles(1, True, left, right, base, out, at, NULL, ahead)
    else:
        column_of_tiles(1, False, left, right, base, out, at, NULL, ahead)


cdef void pack_transposed(
    const real[::1] right, const Product *at, real[::1] panel
) noexcept nogil:
    """Pack columns of `right`, each contiguous, as rows of a panel: blocks of 4 x 4 values.

    A step takes one cache line of each column, which may be evicted before the next four.
    """
    cdef Py_ssize_t column = at.right.column, j, k, line = 0, size
    while line < at.depth:
        size = min(<Py_ssize_t>LINE, at.depth - line)
        for j in range(0, at.columns - 3, 4):
            transpose_line(
                &right[at.right.start + j * column + line], column, <int>size,
                &panel[line * at.columns + j], at.columns,
            )
        for j in range(at.columns // 4 * 4, at.columns):
            for k in range(line, line + size):
                panel[k * at.columns + j] = right[at.right.start + j * column + k]
        line += size


cdef void pack(const real[::1] right, const Product *at, real[::1] panel) noexcept nogil:
    """Pack columns of `right` into a panel: rows without gaps."""
    cdef Py_ssize_t k
    for k in range(at.depth):
        memcpy(
            &panel[k * at.columns], &right[at.right.start + k * at.right.row],
            <size_t>at.columns * sizeof(real),
        )


cdef inline bint is_spread(Matrix right, Py_ssize_t rows) noexcept nogil:
    """Return whether packing the rows of the right-hand side pays.

    With such row strides, all rows fall into a few sets of the caches.
    """
    cdef Py_ssize_t distance = right.row * <Py_ssize_t>sizeof(real)
    return distance >= FAR and distance % (FAR // 4) == 0 and rows >= 4 * TILE_ROWS


cdef inline Py_ssize_t panel_width(
    Py_ssize_t columns, Py_ssize_t rows, Py_ssize_t depth, bint transposes
) noexcept nogil:
    """Return the width of the next panel when `columns` columns are left."""
    cdef bint is_wide = rows == 1 and not (
        transposes and depth * ROW_VECTORS > DEPTH_BLOCK * TILE_VECTORS
    )
    if is_wide and columns >= ROW_VECTORS * VECTOR_LENGTH:
        return ROW_VECTORS * VECTOR_LENGTH
    if columns >= TILE_VECTORS * VECTOR_LENGTH:
        return TILE_VECTORS * VECTOR_LENGTH
    return min(columns, <Py_ssize_t>VECTOR_LENGTH)


cdef inline void prefetch_panel(
    Prefetch *ahead, const real[::1] right, const Product *at, Py_ssize_t columns
) noexcept nogil:
    """Let the tiles of a panel prefetch the next one, `columns` wide, if its rows are far apart."""
    cdef Py_ssize_t row = max(at.right.row, at.right.column)
    cdef Py_ssize_t start = at.right.start + at.columns * at.right.column
    ahead.count = ahead.number = 0
    ahead.left = 0
    if columns <= 0 or row * <Py_ssize_t>sizeof(real) < FAR:
        return
    if at.right.column == 1:
        plan_prefetch(ahead, right, start, row, columns, at.depth)
    else:
        plan_prefetch(ahead, right, start, row, at.depth, columns)


cdef void product(
    const real[::1] left, const real[::1] right, const real[::1] base, real[::1] out,
    const Product *extent, bint lists, Prefetch *ahead, ProductBuffers buffers,
) noexcept nogil:
    """Compute a `Product`, panel by panel.

    `lists`: list the non-zero terms of `left`, unless `buffers` already has the list.
    `ahead`: memory to prefetch meanwhile; NULL for the next panel of this product.
    """
    cdef Product at = extent[0]
    cdef Py_ssize_t blocks = (extent.depth + DEPTH_BLOCK - 1) // DEPTH_BLOCK
    cdef Py_ssize_t deep = (extent.depth + blocks - 1) // blocks
    cdef Py_ssize_t done = 0, j
    cdef bint transposes = extent.right.column != 1
    cdef bint packs = transposes or is_spread(extent.right, extent.rows)
    cdef Terms *terms = buffers.terms if lists else NULL
    cdef const real *start
    cdef Prefetch of_panels
    cdef Prefetch *asked = ahead if ahead != NULL else &of_panels
    while done < extent.depth:
        at.depth = min(deep, extent.depth - done)
        at.left.start = extent.left.start + done * at.left.column
        if lists and not terms.listed:
            list_terms(terms, left, at.left, extent.rows, at.depth)
        j = 0
        while j < extent.columns:
            at.columns = panel_width(extent.columns - j, extent.rows, at.depth, transposes)
            at.right = extent.right
            at.right.start += done * at.right.row + j * at.right.column
            at.out = extent.out + j
            if done > 0:
                start, at.base_row = &out[at.out], at.out_row
            elif extent.has_base:
                start = &base[extent.base + j]
            else:
                start, at.base_row = &buffers.zeros[0], 0
            if ahead == NULL:
                prefetch_panel(
                    asked, right, &at,
                    min(extent.columns - j - at.columns, <Py_ssize_t>TILE_VECTORS * VECTOR_LENGTH),
                )
            if packs:
                if transposes:
                    pack_transposed(right, &at, buffers.panel)
                else:
                    pack(right, &at, buffers.panel)
                at.right = Matrix(0, at.columns, 1)
                multiply_panel(left, buffers.panel, start, out, &at, terms, asked)
            else:
                multiply_panel(left, right, start, out, &at, terms, asked)
            j += at.columns
        done += at.depth


def dense_reference(
    const real[:, ::1] x, const real[:, ::1] weights, const real[::1] bias, real[:, ::1] out
):
    """Compute out = x @ weights + bias by plain loops, as a definition of what the tiles compute.

    Up to a depth of DEPTH_BLOCK, the bits are those of a product with fused multiply-adds.
    """
    cdef Py_ssize_t i, j, k
    cdef real total
    for i in range(x.shape[0]):
        for j in range(weights.shape[1]):
            total = 0
            for k in range(weights.shape[0]):
                total = real_multiply_add(x[i, k], weights[k, j], total)
            out[i, j] = total + bias[j]
