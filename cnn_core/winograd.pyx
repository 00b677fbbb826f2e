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

    cdef void transform_weights(self, const real *weights, real *memory) noexcept nogil:
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


# One of the matrices above times a vector whose values are `step` apart, as are those of the product.
ctypedef void (*Transform)(const vector *values, Py_ssize_t step, vector *out) noexcept nogil


cdef inline void both_ways(
    Transform transform, const Py_ssize_t size, const Py_ssize_t made, const vector *square, vector *out
) noexcept nogil:
    """Transform the rows of a square, `size` values to `made` values each, and then the columns."""
    cdef vector rows[PLACES]
    cdef Py_ssize_t i
    for i in range(size):
        transform(square + size * i, 1, &rows[made * i])
    for i in range(made):
        transform(&rows[i], made, out + i)


cdef inline void split_kernel(const vector *g, Py_ssize_t step, vector *out) noexcept nogil:
    """G g."""
    cdef vector ends = g[0] + g[2 * step]
    out[0] = g[0]
    out[step] = <real>0.5 * (ends + g[step])
    out[2 * step] = <real>0.5 * (ends - g[step])
    out[3 * step] = g[2 * step]


cdef inline void join_kernel(const vector *s, Py_ssize_t step, vector *out) noexcept nogil:
    """G' s."""
    cdef vector middle = <real>0.5 * (s[step] + s[2 * step])
    out[0] = s[0] + middle
    out[step] = <real>0.5 * (s[step] - s[2 * step])
    out[2 * step] = middle + s[3 * step]


cdef inline void split_image(const vector *d, Py_ssize_t step, vector *out) noexcept nogil:
    """B' d."""
    out[0] = d[0] - d[2 * step]
    out[step] = d[step] + d[2 * step]
    out[2 * step] = d[2 * step] - d[step]
    out[3 * step] = d[step] - d[3 * step]


cdef inline void join_output(const vector *s, Py_ssize_t step, vector *out) noexcept nogil:
    """A' s."""
    out[0] = s[0] + (s[step] + s[2 * step])
    out[step] = (s[step] - s[2 * step]) - s[3 * step]


cdef inline void split_output(const vector *m, Py_ssize_t step, vector *out) noexcept nogil:
    """A m."""
    out[0] = m[0]
    out[step] = m[0] + m[step]
    out[2 * step] = m[0] - m[step]
    out[3 * step] = zero_vector() - m[step]


cdef inline void load_places(
    const Py_ssize_t count, const real *at, Py_ssize_t place, vector *out, Lanes lanes
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        out[i] = load_lanes(at + i * place, lanes)


cdef inline void store_places(
    real *at, Py_ssize_t place, const vector *square, Lanes lanes
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(PLACES):
        store_lanes(at + i * place, square[i], lanes)


# Loops for `each_vector`: over the kernels, or over channels of all tiles.


cdef inline void kernel_to_square(Lanes lanes, const void *of) noexcept nogil:
    """Compute G g G'."""
    cdef const Kernel *k = <const Kernel *>of
    cdef vector kernel[9]
    cdef vector square[PLACES]
    load_places(9, k.kernel, k.row, kernel, lanes)
    both_ways(split_kernel, 3, 4, kernel, square)
    store_places(k.square, k.place, square, lanes)


cdef inline void add_square_to_kernel(Lanes lanes, const void *of) noexcept nogil:
    """Add G' s G."""
    cdef const Kernel *k = <const Kernel *>of
    cdef vector square[PLACES]
    cdef vector kernel[9]
    cdef Py_ssize_t i
    load_places(PLACES, k.square, k.place, square, lanes)
    both_ways(join_kernel, 4, 3, square, kernel)
    for i in range(9):
        store_lanes(k.kernel + i * k.row, load_lanes(k.kernel + i * k.row, lanes) + kernel[i], lanes)


cdef inline void image_to_squares(Lanes lanes, const void *of) noexcept nogil:
    """Compute B' d B of each tile."""
    cdef const Tiles *t = <const Tiles *>of
    cdef vector image[PLACES]
    cdef vector square[PLACES]
    cdef const real *pixels
    cdef Py_ssize_t y, x, i
    for y in range(t.rows):
        for x in range(t.columns):
            pixels = t.plane.pixels + 2 * (y * t.plane.line + x * t.plane.pixel)
            for i in range(4):
                load_places(4, pixels + i * t.plane.line, t.plane.pixel, &image[4 * i], lanes)
            both_ways(split_image, 4, 4, image, square)
            store_places(t.squares + (y * t.columns + x) * t.tile, t.place, square, lanes)


cdef inline void squares_to_output(Lanes lanes, const void *of) noexcept nogil:
    """Compute A' s A of each tile; the last ones may lack a row or a column."""
    cdef const Tiles *t = <const Tiles *>of
    cdef vector square[PLACES]
    cdef vector output[4]
    cdef vector bias = zero_vector()
    cdef real *pixels
    cdef Py_ssize_t y, x, i, j
    if t.bias != NULL:
        bias = load_lanes(t.bias, lanes)
    for y in range(t.rows):
        for x in range(t.columns):
            pixels = t.plane.pixels + 2 * (y * t.plane.line + x * t.plane.pixel)
            load_places(
                PLACES, t.squares + (y * t.columns + x) * t.tile, t.place, square, lanes
            )
            both_ways(join_output, 4, 2, square, output)
            for i in range(min(t.pixel_rows - 2 * y, <Py_ssize_t>2)):
                for j in range(min(t.pixel_columns - 2 * x, <Py_ssize_t>2)):
                    store_lanes(
                        pixels + i * t.plane.line + j * t.plane.pixel, output[2 * i + j] + bias, lanes
                    )


cdef inline void delta_to_squares(Lanes lanes, const void *of) noexcept nogil:
    """Compute A m A' of each tile; what the last ones lack is zeros."""
    cdef const Tiles *t = <const Tiles *>of
    cdef vector delta[4]
    cdef vector square[PLACES]
    cdef const real *pixels
    cdef Py_ssize_t y, x, i, j
    for y in range(t.rows):
        for x in range(t.columns):
            pixels = t.plane.pixels + 2 * (y * t.plane.line + x * t.plane.pixel)
            for i in range(2):
                for j in range(2):
                    delta[2 * i + j] = zero_vector()
                    if 2 * y + i < t.pixel_rows and 2 * x + j < t.pixel_columns:
                        delta[2 * i + j] = load_lanes(
                            pixels + i * t.plane.line + j * t.plane.pixel, lanes
                        )
            both_ways(split_output, 2, 4, delta, square)
            store_places(t.squares + (y * t.columns + x) * t.tile, t.place, square, lanes)
