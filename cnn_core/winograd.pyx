"""A 3 x 3 convolution with 16 multiplications for four outputs instead of 36: F(2 x 2, 3 x 3).

This is Winograd's algorithm (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks,
2016, section 4.1). A tile is 2 x 2 pixels of the output and depends on 4 x 4 pixels d of the image.
Let g be the kernel, ' the transpose and * the element-wise product. Then

    tile = A' [(G g G') * (B' d B)] A

The sum over the channels comes before A. So each of the 16 places of these 4 x 4 squares is a matrix
product: tiles x inputs by inputs x outputs. The gradient of the kernel uses the same squares and
the delta m of a tile. The sum over all tiles and samples comes before G:

    gradient = G' [(A m A') * (B' d B)] G

The memory of a thread holds three arrays of squares, ordered by place: the kernel (or the sum of
its gradient), the image, and the outputs (or the delta). A chunk of tiles at a time stays in cache.
"""

cimport cython
from libc.string cimport memset

import numpy as np

from .matrix cimport LINE
from .patches cimport Gathered, GatheredProduct, gathered_product
from .scalar cimport real
from .vector cimport Lanes, each_vector, load_lanes, store_lanes, vector, zero_vector

cdef enum:
    PLACES = 16
    # Tiles of a chunk, unless one row has more.
    TILES = 32


cdef struct Kernel:
    # Many kernels of nine values, and their squares. `row` and `place` are the strides in values
    # from one of the nine, or of the 16 places, to the next.
    real *kernel
    Py_ssize_t row
    real *square
    Py_ssize_t place


cdef inline Py_ssize_t apart(Py_ssize_t size) noexcept nogil:
    """Return the stride of places: a cache line extra, so that they use different cache sets."""
    return size + <Py_ssize_t>LINE


@cython.final
cdef class Winograd:
    """A convolution of `inputs` by `outputs` channels, in chunks of rows."""

    cdef Py_ssize_t memory(self) noexcept nogil:
        """Return the memory that a thread needs, in values."""
        return PLACES * (
            apart(self.inputs * self.outputs) + self.squares_apart(self.inputs)
            + self.squares_apart(self.outputs)
        )

    cdef real *image_squares(self, real *memory) noexcept nogil:
        return memory + PLACES * apart(self.inputs * self.outputs)

    cdef real *output_squares(self, real *memory) noexcept nogil:
        return self.image_squares(memory) + PLACES * self.squares_apart(self.inputs)

    cdef Py_ssize_t squares_apart(self, Py_ssize_t channels) noexcept nogil:
        """Return the stride of places for a chunk of tiles."""
        return apart(self.tile_rows * self.tile_columns * channels)

    cdef void take_weights(self, const real *weights, real *memory) noexcept nogil:
        """Transform the kernel for `convolve`; its layout is pixels x inputs x outputs."""
        cdef Py_ssize_t size = self.inputs * self.outputs
        cdef Kernel kernel = Kernel(<real *>weights, size, memory, apart(size))
        each_vector(kernel_to_square, 1, size, &kernel)

    cdef void convolve(
        self, Plane image, Py_ssize_t rows, const real *bias, Plane out, real *memory
    ) noexcept nogil:
        """Compute `rows` rows of the output; `image` has margins and starts at the same row."""
        cdef Tiles read, written
        while rows > 0:
            read = self.next_tiles(rows, image, self.inputs, self.image_squares(memory))
            written = self.next_tiles(rows, out, self.outputs, self.output_squares(memory))
            written.bias = bias
            each_vector(image_to_squares, 1, self.inputs, &read)
            gathered_product(GatheredProduct(
                Gathered(read.squares, &self.tiles[0], &self.channels[0]),
                read.rows * read.columns, self.outputs, self.inputs, memory, self.outputs, NULL, 0,
                written.squares, self.outputs,
                PLACES, read.place, apart(self.inputs * self.outputs), written.place,
            ))
            each_vector(squares_to_output, 1, self.outputs, &written)
            rows -= 2 * read.rows
            image.pixels += 2 * read.rows * image.line
            out.pixels += 2 * read.rows * out.line

    cdef void clear_gradient(self, Py_ssize_t channels, real *memory) noexcept nogil:
        """Set the sums of `correlate` to 0, for `channels` channels of the output."""
        memset(memory, 0, <size_t>(PLACES * apart(self.inputs * channels)) * sizeof(real))

    cdef void correlate(
        self, Plane image, Plane delta, Py_ssize_t rows, Py_ssize_t channels, real *memory
    ) noexcept nogil:
        """Add the gradient from `rows` rows of the delta, for `channels` channels of the output."""
        cdef Tiles read, given
        while rows > 0:
            read = self.next_tiles(rows, image, self.inputs, self.image_squares(memory))
            given = self.next_tiles(rows, delta, self.outputs, self.output_squares(memory))
            each_vector(image_to_squares, 1, self.inputs, &read)
            each_vector(delta_to_squares, 1, channels, &given)
            gathered_product(GatheredProduct(
                Gathered(read.squares, &self.channels[0], &self.tiles[0]),
                self.inputs, channels, read.rows * read.columns, given.squares, self.outputs,
                memory, channels, memory, channels,
                PLACES, read.place, given.place, apart(self.inputs * channels),
            ))
            rows -= 2 * read.rows
            image.pixels += 2 * read.rows * image.line
            delta.pixels += 2 * read.rows * delta.line

    cdef void add_gradient(self, real *gradient, Py_ssize_t channels, real *memory) noexcept nogil:
        """Transform the sums of `correlate`, and add them to the gradient of the kernel."""
        cdef Kernel kernel = Kernel(
            gradient, self.inputs * self.outputs, memory, apart(self.inputs * channels)
        )
        cdef Py_ssize_t c
        for c in range(self.inputs):
            each_vector(add_square_to_kernel, 1, channels, &kernel)
            kernel.kernel += self.outputs
            kernel.square += channels

    cdef Tiles next_tiles(
        self, Py_ssize_t rows, Plane plane, Py_ssize_t channels, real *squares
    ) noexcept nogil:
        """Return the next chunk of tiles when `rows` rows of pixels are left."""
        cdef Py_ssize_t some = min(self.tile_rows, (rows + 1) // 2)
        return Tiles(
            some, self.tile_columns, rows, self.columns, plane, NULL, squares,
            self.squares_apart(channels), channels,
        )


cdef Winograd winograd_of(Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t rows, Py_ssize_t columns):
    """Make a `Winograd` for an output of rows x columns pixels."""
    cdef Winograd winograd = Winograd.__new__(Winograd)
    winograd.inputs, winograd.outputs, winograd.columns = inputs, outputs, columns
    winograd.tile_columns = (columns + 1) // 2
    winograd.tile_rows = min((rows + 1) // 2, max(TILES // winograd.tile_columns, 1))
    winograd.tiles = np.arange(winograd.tile_rows * winograd.tile_columns) * inputs
    winograd.channels = np.arange(inputs)
    return winograd


# Loops for `each_vector`: over the kernels, or over channels of all tiles.


cdef inline void kernel_to_square(Lanes lanes, const void *of) noexcept nogil:
    """Compute G g G'."""
    cdef const Kernel *k = <const Kernel *>of
    cdef vector parts[12]
    cdef vector column[4]
    cdef Py_ssize_t i, j
    for i in range(3):
        split_kernel(
            load_lanes(k.kernel + 3 * i * k.row, lanes),
            load_lanes(k.kernel + (3 * i + 1) * k.row, lanes),
            load_lanes(k.kernel + (3 * i + 2) * k.row, lanes), &parts[4 * i],
        )
    for j in range(4):
        split_kernel(parts[j], parts[4 + j], parts[8 + j], column)
        for i in range(4):
            store_lanes(k.square + (4 * i + j) * k.place, column[i], lanes)


cdef inline void split_kernel(vector a, vector b, vector c, vector *out) noexcept nogil:
    cdef vector ends = a + c
    out[0] = a
    out[1] = <real>0.5 * (ends + b)
    out[2] = <real>0.5 * (ends - b)
    out[3] = c


cdef inline void add_square_to_kernel(Lanes lanes, const void *of) noexcept nogil:
    """Add G' s G to the kernel."""
    cdef const Kernel *k = <const Kernel *>of
    cdef vector parts[12]
    cdef vector row[3]
    cdef real *to
    cdef Py_ssize_t i, j
    for i in range(4):
        join_kernel(
            load_lanes(k.square + 4 * i * k.place, lanes),
            load_lanes(k.square + (4 * i + 1) * k.place, lanes),
            load_lanes(k.square + (4 * i + 2) * k.place, lanes),
            load_lanes(k.square + (4 * i + 3) * k.place, lanes), &parts[3 * i],
        )
    for j in range(3):
        join_kernel(parts[j], parts[3 + j], parts[6 + j], parts[9 + j], row)
        for i in range(3):
            to = k.kernel + (3 * i + j) * k.row
            store_lanes(to, load_lanes(to, lanes) + row[i], lanes)


cdef inline void join_kernel(vector a, vector b, vector c, vector d, vector *out) noexcept nogil:
    cdef vector middle = <real>0.5 * (b + c)
    out[0] = a + middle
    out[1] = <real>0.5 * (b - c)
    out[2] = middle + d


cdef inline void image_to_squares(Lanes lanes, const void *of) noexcept nogil:
    """Compute B' d B of each tile."""
    cdef const Tiles *t = <const Tiles *>of
    cdef vector parts[PLACES]
    cdef vector column[4]
    cdef const real *pixels
    cdef real *to = t.squares
    cdef Py_ssize_t y, x, i, j
    for y in range(t.rows):
        for x in range(t.columns):
            pixels = t.plane.pixels + 2 * (y * t.plane.line + x * t.plane.pixel)
            for i in range(4):
                split_image(
                    load_lanes(pixels + i * t.plane.line, lanes),
                    load_lanes(pixels + i * t.plane.line + t.plane.pixel, lanes),
                    load_lanes(pixels + i * t.plane.line + 2 * t.plane.pixel, lanes),
                    load_lanes(pixels + i * t.plane.line + 3 * t.plane.pixel, lanes), &parts[4 * i],
                )
            for j in range(4):
                split_image(parts[j], parts[4 + j], parts[8 + j], parts[12 + j], column)
                for i in range(4):
                    store_lanes(to + (4 * i + j) * t.place, column[i], lanes)
            to += t.tile


cdef inline void split_image(vector a, vector b, vector c, vector d, vector *out) noexcept nogil:
    out[0] = a - c
    out[1] = b + c
    out[2] = c - b
    out[3] = b - d


cdef inline void squares_to_output(Lanes lanes, const void *of) noexcept nogil:
    """Compute A' s A + bias of each tile; the last ones may lack a row or a column."""
    cdef const Tiles *t = <const Tiles *>of
    cdef vector parts[8]
    cdef vector column[2]
    cdef vector bias = zero_vector()
    cdef const real *square = t.squares
    cdef real *pixels
    cdef Py_ssize_t y, x, i, j
    if t.bias != NULL:
        bias = load_lanes(t.bias, lanes)
    for y in range(t.rows):
        for x in range(t.columns):
            pixels = t.plane.pixels + 2 * (y * t.plane.line + x * t.plane.pixel)
            for i in range(4):
                join_output(
                    load_lanes(square + 4 * i * t.place, lanes),
                    load_lanes(square + (4 * i + 1) * t.place, lanes),
                    load_lanes(square + (4 * i + 2) * t.place, lanes),
                    load_lanes(square + (4 * i + 3) * t.place, lanes), &parts[2 * i],
                )
            for j in range(min(t.pixel_columns - 2 * x, <Py_ssize_t>2)):
                join_output(parts[j], parts[2 + j], parts[4 + j], parts[6 + j], column)
                store_lanes(pixels + j * t.plane.pixel, column[0] + bias, lanes)
                if 2 * y + 1 < t.pixel_rows:
                    store_lanes(
                        pixels + t.plane.line + j * t.plane.pixel, column[1] + bias, lanes
                    )
            square += t.tile


cdef inline void join_output(vector a, vector b, vector c, vector d, vector *out) noexcept nogil:
    out[0] = a + (b + c)
    out[1] = (b - c) - d


cdef inline void delta_to_squares(Lanes lanes, const void *of) noexcept nogil:
    """Compute A m A' of each tile; missing pixels of the last ones are zeros."""
    cdef const Tiles *t = <const Tiles *>of
    cdef vector parts[8]
    cdef vector column[4]
    cdef vector right
    cdef const real *pixels
    cdef real *to = t.squares
    cdef Py_ssize_t y, x, i, j
    for y in range(t.rows):
        for x in range(t.columns):
            for i in range(2):
                pixels = t.plane.pixels + (2 * y + i) * t.plane.line + 2 * x * t.plane.pixel
                right = zero_vector()
                if 2 * y + i == t.pixel_rows:
                    for j in range(4):
                        parts[4 + j] = right
                    continue
                if 2 * x + 1 < t.pixel_columns:
                    right = load_lanes(pixels + t.plane.pixel, lanes)
                split_output(load_lanes(pixels, lanes), right, &parts[4 * i])
            for j in range(4):
                split_output(parts[j], parts[4 + j], column)
                for i in range(4):
                    store_lanes(to + (4 * i + j) * t.place, column[i], lanes)
            to += t.tile


cdef inline void split_output(vector a, vector b, vector *out) noexcept nogil:
    out[0] = a
    out[1] = a + b
    out[2] = a - b
    out[3] = zero_vector() - b
