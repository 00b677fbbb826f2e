"""A matrix product that gathers its left-hand side (implicit im2col).

A patch is the window of an image, with margins, from which one output pixel is computed. Patches
overlap, so they are not copied to an im2col matrix. Value k of patch p is at rows[p] + columns[k].
All three roles of a convolution are products with such a left-hand side:

    forward            out[p, o] = sum over k of image[rows[p] + columns[k]] * weights[k, o]
    weight gradient    out[k, o] = sum over p of image[columns[k] + rows[p]] * delta[p, o]
    input gradient     as forward, with the delta as image and the kernel rotated by 180 degrees

As in dense.pyx, a tile of the output stays in registers. Each sum runs over the depth in rising
order, in blocks that depend on the depth alone.
"""

cimport cython
from libc.string cimport memcpy, memset

import numpy as np

from .dense cimport DEPTH_BLOCK
from .layer cimport Block, ThreadBuffers
from .scalar cimport real
from .vector cimport VECTOR_LENGTH, load, store_some, store_vector, vector, zero_vector

cdef extern from "vector.h" nogil:
    enum:
        TILE_ROWS
        TILE_VECTORS

cdef enum:
    # Rows of a tile of at most NARROW_VECTORS vectors: enough sums to hide the latency of a
    # multiply-add, and few enough addresses for the registers.
    TALL_ROWS = 8
    NARROW_VECTORS = 2


cdef inline void tile(
    const int rows, const int vectors, const bint whole, GatheredProduct at
) noexcept nogil:
    """Compute a tile of `rows` rows by `vectors` vectors; if not `whole`, by `at.columns` columns.

    Callers pass constants for `rows`, `vectors` and `whole`, so that the sums stay in registers.
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
    """Use few tiles of nearly equal height: a tile of one row would wait for its own additions."""
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
    cdef Py_ssize_t product
    for product in range(at.products):
        one_product(at)
        at.left.start += at.next_left
        at.right += at.next_right
        at.out += at.next_out
        if at.base != NULL:
            at.base += at.next_out


cdef inline void one_product(GatheredProduct at) noexcept nogil:
    """Compute one product by blocks of the depth, and each block by panels as wide as a tile."""
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


@cython.final
cdef class Patches:
    """The patches of an image with margins, `columns` in a row."""

    cdef Py_ssize_t size(self) noexcept nogil:
        """Return the number of values of an image with its margins."""
        return self.image.full_height * self.image.full_width * self.image.channels

    cdef real *cleared(self, const Block *block, Py_ssize_t groups) noexcept nogil:
        """Return a thread's images with margins, zeroed once: samples only write pixels."""
        cdef real *image = &(<ThreadBuffers>block.thread).image[0]
        memset(image, 0, <size_t>(groups * self.size()) * sizeof(real))
        return image

    cdef Plane plane(self, real *image, Py_ssize_t row) noexcept nogil:
        """Return an image with margins as a plane that starts at row `row`."""
        cdef Py_ssize_t line = self.image.full_width * self.image.channels
        return Plane(image + row * line, self.image.channels, line)

    cdef void place(self, const real *pixels, Py_ssize_t channels, real *image) noexcept nogil:
        """Copy the channels of one group of an image into an image with margins."""
        cdef Geometry to = self.image
        cdef Py_ssize_t y, x, size = to.channels
        cdef Py_ssize_t line = to.full_width * size
        image += to.margin * (line + size)
        for y in range(to.height):
            if to.spacing == 1 and size == channels:
                memcpy(image, pixels, <size_t>(to.width * size) * sizeof(real))
            else:
                for x in range(to.width):
                    memcpy(
                        image + x * to.spacing * size, pixels + x * channels,
                        <size_t>size * sizeof(real),
                    )
            pixels += to.width * channels
            image += to.spacing * line

    cdef void multiply(
        self, const real *image, Py_ssize_t row, Py_ssize_t end, const real *weights,
        Py_ssize_t weights_row, Py_ssize_t channels, const real *bias, real *out, Py_ssize_t out_row,
    ) noexcept nogil:
        """Compute out = patches @ weights + bias for rows `row` to below `end` of patches."""
        cdef Py_ssize_t stop, skipped
        while row < end:
            stop = row + 1
            while (
                stop < end and self.first[stop] == self.first[row]
                and self.end[stop] == self.end[row]
            ):
                stop += 1
            skipped = self.first[row] * self.depth
            gathered_product(GatheredProduct(
                Gathered(image, &self.starts[row * self.columns], &self.places[skipped]),
                (stop - row) * self.columns, channels, (self.end[row] - self.first[row]) * self.depth,
                weights + skipped * weights_row, weights_row, bias, 0, out, out_row, 1, 0, 0, 0,
            ))
            out += (stop - row) * self.columns * out_row
            row = stop


cdef Patches patches_of(
    Geometry image, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t step, Py_ssize_t window
):
    """Make rows x columns patches of window x window pixels, with a stride of `step` pixels."""
    cdef Patches patches = Patches.__new__(Patches)
    cdef Py_ssize_t line = image.full_width * image.channels
    patches.image, patches.columns, patches.depth = image, columns, window * image.channels
    patches.starts = added(np.arange(rows) * (step * line), np.arange(columns) * (step * image.channels))
    patches.places = added(np.arange(window) * line, np.arange(patches.depth))
    # The row of pixels of each row of the windows, also outside of the image.
    met = np.add.outer(np.arange(rows) * step - image.margin, np.arange(window))
    is_met = (met >= 0) & (met < image.height * image.spacing) & (met % image.spacing == 0)
    # A product needs a depth of at least 1.
    is_met[~is_met.any(axis=1), 0] = True
    patches.first = is_met.argmax(axis=1).astype(np.intp)
    patches.end = (window - is_met[:, ::-1].argmax(axis=1)).astype(np.intp)
    return patches


cdef added(rows, columns):
    """Return rows[i] + columns[j] for all i and j, row by row."""
    return np.add.outer(rows, columns).ravel().astype(np.intp)
