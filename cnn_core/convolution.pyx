"""The convolution layer: a product over the patches of an image, sample by sample.

The image is copied into one with margins of zeros, where the patches of all pixels overlap. That costs
a few percent of the product, and leaves nothing to decide in its loops. A piece of weights is a row of
the kernel; the last piece is the bias. Groups of channels have images of their own.
"""

cimport cython
from libc.string cimport memcpy, memset

import numpy as np

from .layer cimport Block, LayerBuffers, ThreadBuffers, Workspace
from .matrix cimport Range
from .patches cimport Gathered, gathered_product
from .scalar cimport real
from .update cimport apply_step

cdef enum:
    # Channels that are summed at a time, in registers.
    LANES = 16


cdef inline Py_ssize_t values_of(const Geometry *image) noexcept nogil:
    return image.full_height * image.full_width * image.channels


@cython.final
cdef class ConvolutionLayer(Layer):
    """outputs = patches of inputs @ weights + bias."""

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        buffers.row = self.fan_out
        buffers.outputs = workspace.carve_rows(buffers.row)
        buffers.images = workspace.carve_rows(self.image_values())
        if training:
            buffers.delta = workspace.carve_rows(buffers.row)
            buffers.turned = workspace.carve_reals(self.weights_size)
        return 0

    cdef void prepare(self, LayerBuffers buffers) noexcept nogil:
        cdef Py_ssize_t piece
        # A prediction has none.
        if buffers.turned.shape[0] > 0:
            for piece in range(self.window):
                self.after_step(buffers, piece)

    cdef void after_step(self, LayerBuffers buffers, Py_ssize_t piece) noexcept nogil:
        if piece < self.window and not self.is_first:
            self.turn(&self.arrays.parameters[self.weights], piece, &buffers.turned[0])

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i, size = self.image_values()
        cdef const real *bias = NULL
        if self.has_bias:
            bias = &self.arrays.parameters[self.bias]
        for i in range(block.top, block.top + block.rows):
            self.place_image(&buffers.inputs[i * buffers.input_row], &buffers.images[i * size])
            self.convolve(
                &self.arrays.parameters[self.weights], bias, &buffers.images[i * size],
                &buffers.outputs[i * buffers.row],
            )

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i
        if self.is_first:
            return
        for i in range(block.top, block.top + block.rows):
            self.input_gradient(
                &buffers.turned[0], &buffers.delta[i * buffers.row],
                &(<ThreadBuffers>block.thread).image[0],
                &buffers.input_delta[i * buffers.input_row],
            )

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        cdef Py_ssize_t size = self.weights_size // self.window
        cdef Py_ssize_t start = self.weights + piece * size
        if piece < self.window:
            return Range(start, 1, size, size, start, size, True)
        return Range(self.bias, 1, self.channels, self.channels, self.bias, self.channels, False)

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        cdef Range where = self.range_of(piece)
        cdef Py_ssize_t i, size = self.image_values()
        cdef real *gradient = &self.arrays.gradient[where.start]
        if not block.adds:
            self.arrays.gradient[where.start : where.start + where.columns] = 0
        for i in range(block.top, block.top + block.rows):
            if piece < self.window:
                self.add_weight_gradient(
                    &buffers.images[i * size], &buffers.delta[i * buffers.row], piece, gradient
                )
            else:
                add_sum_of_pixels(
                    &buffers.delta[i * buffers.row], self.pixels, self.channels, gradient
                )
        if block.steps:
            apply_step(block, self.arrays.gradient, &where)
            self.after_step(buffers, piece)

    cdef Py_ssize_t image_values(self) noexcept nogil:
        """Values of a sample with margins."""
        return self.groups * values_of(&self.image)

    cdef void place_image(self, const real *x, real *image) noexcept nogil:
        """Copy a sample to one with margins, group by group."""
        cdef Py_ssize_t g
        for g in range(self.groups):
            place(&self.image, x + g * self.image.channels, self.input_channels, image)
            image += values_of(&self.image)

    cdef void convolve(
        self, const real *weights, const real *bias, const real *image, real *out
    ) noexcept nogil:
        """One sample, from what `place_image` has made."""
        cdef Py_ssize_t g, columns = self.channels // self.groups
        for g in range(self.groups):
            gathered_product(
                Gathered(image, &self.starts[0], &self.places[0]), self.pixels,
                self.places.shape[0], weights + g * columns, self.channels, columns,
                bias, 0, out + g * columns, self.channels,
            )
            image += values_of(&self.image)
            if bias != NULL:
                bias += columns

    cdef void add_weight_gradient(
        self, const real *image, const real *delta, Py_ssize_t piece, real *gradient
    ) noexcept nogil:
        """Add the gradient of a row of the kernel by one sample, from what `place_image` has made."""
        cdef Py_ssize_t g, columns = self.channels // self.groups
        cdef Py_ssize_t rows = self.places.shape[0] // self.window
        for g in range(self.groups):
            gathered_product(
                Gathered(image, &self.places[piece * rows], &self.starts[0]), rows, self.pixels,
                delta + g * columns, self.channels, columns, gradient + g * columns, self.channels,
                gradient + g * columns, self.channels,
            )
            image += values_of(&self.image)

    cdef void input_gradient(
        self, const real *turned, const real *delta, real *image, real *out
    ) noexcept nogil:
        """One sample: a convolution of the delta, which `image` is room for, by the turned weights."""
        cdef Py_ssize_t g, depth = self.delta_places.shape[0], columns = self.image.channels
        for g in range(self.groups):
            place(
                &self.delta_image, delta + g * self.delta_image.channels, self.channels, image
            )
            gathered_product(
                Gathered(image, &self.delta_starts[0], &self.delta_places[0]), self.input_pixels,
                depth, turned, columns, columns, NULL, 0, out + g * columns, self.input_channels,
            )
            turned += depth * columns

    cdef void turn(self, const real *weights, Py_ssize_t piece, real *turned) noexcept nogil:
        """Turn a row of the kernel by half a circle, and exchange inputs and outputs, group by group."""
        cdef Py_ssize_t g, column, o, c, at, last = self.window * self.window - 1
        cdef Py_ssize_t inputs = self.image.channels, outputs = self.delta_image.channels
        cdef real *out
        for g in range(self.groups):
            for column in range(piece * self.window, (piece + 1) * self.window):
                out = turned + (g * (last + 1) + last - column) * outputs * inputs
                for o in range(outputs):
                    at = column * inputs * self.channels + g * outputs + o
                    for c in range(inputs):
                        out[c] = weights[at + c * self.channels]
                    out += inputs


cdef void place(
    const Geometry *image, const real *pixels, Py_ssize_t channels, real *out
) noexcept nogil:
    """Copy an image to one with margins of zeros; of the channels of a pixel those of a group."""
    cdef Py_ssize_t y, x, size = image.channels, left = image.margin * size
    cdef Py_ssize_t line = image.full_width * size, next_row = image.margin
    cdef Py_ssize_t y_full
    y = 0
    for y_full in range(image.full_height):
        if y == image.height or y_full != next_row:
            memset(out, 0, <size_t>line * sizeof(real))
        else:
            if image.spacing == 1 and size == channels:
                memset(out, 0, <size_t>left * sizeof(real))
                memcpy(out + left, pixels, <size_t>(image.width * size) * sizeof(real))
                memset(
                    out + left + image.width * size, 0,
                    <size_t>(line - left - image.width * size) * sizeof(real),
                )
            else:
                memset(out, 0, <size_t>line * sizeof(real))
                for x in range(image.width):
                    memcpy(
                        out + left + x * image.spacing * size, pixels + x * channels,
                        <size_t>size * sizeof(real),
                    )
            pixels += image.width * channels
            next_row += image.spacing
            y += 1
        out += line


cdef void add_sum_of_pixels(
    const real *values, Py_ssize_t pixels, Py_ssize_t channels, real *out
) noexcept nogil:
    """out += the sum over the pixels of a sample, which is made on its own: so no sum is long."""
    cdef Py_ssize_t first = 0
    while first + LANES <= channels:
        add_sums(LANES, values + first, pixels, channels, out + first)
        first += LANES
    add_sums(<int>(channels - first), values + first, pixels, channels, out + first)


cdef inline void add_sums(
    const int lanes, const real *values, Py_ssize_t pixels, Py_ssize_t channels, real *out
) noexcept nogil:
    cdef real sums[LANES]
    cdef Py_ssize_t p
    cdef int lane
    for lane in range(lanes):
        sums[lane] = 0
    for p in range(pixels):
        for lane in range(lanes):
            sums[lane] = sums[lane] + values[p * channels + lane]
    for lane in range(lanes):
        out[lane] = out[lane] + sums[lane]


cdef ConvolutionLayer convolution_layer(
    description, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t start, bint has_bias
):
    """The first rows and columns of what a description says, all of them or fewer.

    The weights stand from number `start` of the parameters on.
    """
    cdef ConvolutionLayer layer = ConvolutionLayer.__new__(ConvolutionLayer)
    cdef Py_ssize_t height, width, channels
    cdef Py_ssize_t window = description.kernel, step = description.stride
    cdef Py_ssize_t margin = description.margin, groups = description.groups
    height, width, channels = description.input_shape
    layer.channels = description.channels
    layer.fan_in, layer.fan_out = description.fan_in, rows * columns * layer.channels
    layer.window, layer.groups, layer.input_channels = window, groups, channels
    layer.pixels, layer.input_pixels = rows * columns, height * width
    layer.weights, layer.weights_size = start, window * window * (channels // groups) * layer.channels
    layer.bias, layer.has_bias = start + layer.weights_size, has_bias
    layer.pieces = window + has_bias
    layer.image = Geometry(
        height, width, channels // groups, margin, height + 2 * margin, width + 2 * margin, 1
    )
    layer.starts, layer.places = addresses(&layer.image, rows, columns, step, window)
    # A patch of the delta for each pixel of the input, and zeros between the pixels of a larger step.
    layer.delta_image = Geometry(
        rows, columns, layer.channels // groups, window - 1 - margin, height + window - 1,
        width + window - 1, step,
    )
    layer.delta_starts, layer.delta_places = addresses(
        &layer.delta_image, height, width, 1, window
    )
    layer.scratch = values_of(&layer.delta_image)
    layer.work = layer.pixels * layer.weights_size
    return layer


cdef tuple addresses(
    const Geometry *image, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t step, Py_ssize_t window
):
    """Where the patches of rows x columns pixels start, and where the values of a patch stand."""
    line, channels = image.full_width * image.channels, image.channels
    places = np.arange(window) * line
    starts = np.arange(rows) * (step * line)
    return (
        np.add.outer(starts, np.arange(columns) * (step * channels)).ravel().astype(np.intp),
        np.add.outer(places, np.arange(window * channels)).ravel().astype(np.intp),
    )
