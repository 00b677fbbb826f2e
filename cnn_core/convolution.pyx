"""The convolution layer: a product over the patches of an image, sample by sample.

The image is copied into one with margins of zeros, where the patches of all pixels overlap. Rows of
patches that lie in a margin, or between pixels, are left out of the product. A piece of weights is a row
of the kernel, or all of them where they are short; the last piece is the bias. Groups of channels have
images of their own.

A pool whose windows tile is part of the convolution below: a row of windows at a time is convolved into a
thread's own memory and pooled there; going back, the delta is written out there again.
"""

cimport cython
from libc.string cimport memcpy, memset

import numpy as np

from .layer cimport Block, Layer, LayerBuffers, ThreadBuffers, Workspace
from .matrix cimport Range
from .patches cimport Gathered, GatheredProduct, gathered_product
from .pooling cimport Windows, pool_row, unpool_row, windows_of
from .scalar cimport real
from .update cimport apply_step

cdef enum:
    # Channels that are summed at a time, in registers.
    LANES = 16
    # Pixels of the delta that are written out at a time, at least: not more than the nearest cache holds.
    NEAR_PIXELS = 192
    # A row of the kernel of fewer values is not worth a piece.
    SHORT_ROW = 16


cdef struct Geometry:
    # An image with margins, row by row, and the patches in it: height and width of the image, channels
    # of a group; pixels of margin above and to the left; height and width with the margins.
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t channels
    Py_ssize_t margin
    Py_ssize_t full_height
    Py_ssize_t full_width
    # Pixels from one pixel of the image to the next: above 1 with zeros between them.
    Py_ssize_t spacing


@cython.final
cdef class Patches:
    """Rows of patches of an image with margins, `columns` in each."""

    # Where the patch of each pixel starts, where the values of a patch stand from there on, and how
    # many of them are in a row of it.
    cdef Geometry image
    cdef Py_ssize_t columns
    cdef Py_ssize_t depth
    cdef Py_ssize_t[::1] starts
    cdef Py_ssize_t[::1] places
    # For each row of patches: from which of its own rows on, up to which, there are not only zeros.
    cdef Py_ssize_t[::1] first
    cdef Py_ssize_t[::1] end

    cdef Py_ssize_t size(self) noexcept nogil:
        """Values of an image with its margins."""
        return self.image.full_height * self.image.full_width * self.image.channels

    cdef real *cleared(self, const Block *block, Py_ssize_t groups) noexcept nogil:
        """A thread's own images with margins, all zeros: no sample changes what is between its pixels."""
        cdef real *image = &(<ThreadBuffers>block.thread).image[0]
        memset(image, 0, <size_t>(groups * self.size()) * sizeof(real))
        return image

    cdef void place(self, const real *pixels, Py_ssize_t channels, real *image) noexcept nogil:
        """Copy an image to one with margins; of the channels of a pixel those of a group."""
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
        """out = patches @ weights + bias, for some rows of patches."""
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
                weights + skipped * weights_row, weights_row, bias, 0, out, out_row,
            ))
            out += (stop - row) * self.columns * out_row
            row = stop


@cython.final
cdef class ConvolutionLayer(Layer):
    """outputs = patches of inputs @ weights + bias, or the largest values of that."""

    # Where weights and biases begin in the flat arrays; without biases where there is normalization.
    cdef Py_ssize_t weights
    cdef Py_ssize_t bias
    cdef bint has_bias
    cdef Py_ssize_t window
    cdef Py_ssize_t groups
    # Rows of the kernel that are a piece.
    cdef Py_ssize_t piece_rows
    # Channels of all groups together; rows and columns of the convolution.
    cdef Py_ssize_t input_channels
    cdef Py_ssize_t channels
    cdef Py_ssize_t rows
    cdef Py_ssize_t columns
    # Of the input, and of the delta as the input gradient takes it.
    cdef Patches patches
    cdef Patches delta_patches
    # Whether the outputs are the largest values of windows; else the outputs are the convolution.
    cdef bint pools
    cdef Windows windows
    # Whether the layer above has read its inputs when it writes their delta.
    cdef bint is_overwritten

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        buffers.row = self.fan_out
        buffers.outputs = workspace.carve_rows(buffers.row)
        if training:
            buffers.turned = workspace.carve_reals(self.weights_size)
            buffers.delta = buffers.outputs
            if not self.is_overwritten:
                buffers.delta = workspace.carve_rows(buffers.row)
            if self.pools:
                buffers.winners = workspace.carve_rows(self.windows.rows * self.windows.winners)
        return 0

    cdef void prepare(self, LayerBuffers buffers) noexcept nogil:
        cdef Py_ssize_t piece
        # A prediction has none.
        if buffers.turned.shape[0] > 0:
            for piece in range(self.pieces):
                self.after_step(buffers, piece)

    cdef void after_step(self, LayerBuffers buffers, Py_ssize_t piece) noexcept nogil:
        cdef Py_ssize_t column, row = piece * self.piece_rows
        if not self.is_first:
            for column in range(row * self.window, min(row + self.piece_rows, self.window) * self.window):
                self.turn(column, &buffers.turned[0])

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i
        cdef real *image = self.patches.cleared(block, self.groups)
        cdef real *winners = NULL
        for i in range(block.top, block.top + block.rows):
            self.place(buffers, i, image)
            if buffers.winners.shape[0] > 0:
                winners = &buffers.winners[i * self.windows.rows * self.windows.winners]
            if self.pools:
                self.convolve_and_pool(
                    image, &(<ThreadBuffers>block.thread).near[0], &buffers.outputs[i * buffers.row],
                    winners,
                )
            else:
                self.convolve(image, 0, self.rows, &buffers.outputs[i * buffers.row])

    cdef void place(self, LayerBuffers buffers, Py_ssize_t i, real *image) noexcept nogil:
        """Copy sample `i`, group by group."""
        cdef Py_ssize_t g
        for g in range(self.groups):
            self.patches.place(
                &buffers.inputs[i * buffers.input_row + g * self.patches.image.channels],
                self.input_channels, image + g * self.patches.size(),
            )

    cdef void convolve(
        self, const real *image, Py_ssize_t row, Py_ssize_t end, real *out
    ) noexcept nogil:
        """Rows of the output for one sample."""
        cdef Py_ssize_t g, columns = self.channels // self.groups
        cdef const real *bias = NULL
        for g in range(self.groups):
            if self.has_bias:
                bias = &self.arrays.parameters[self.bias + g * columns]
            self.patches.multiply(
                image + g * self.patches.size(), row, end,
                &self.arrays.parameters[self.weights + g * columns], self.channels, columns, bias,
                out + g * columns, self.channels,
            )

    cdef void convolve_and_pool(
        self, const real *image, real *near, real *out, real *winners
    ) noexcept nogil:
        """One sample, a row of windows at a time."""
        cdef Py_ssize_t row, size = self.windows.columns * self.channels
        for row in range(self.windows.rows):
            self.convolve(
                image, row * self.windows.height, (row + 1) * self.windows.height, near
            )
            pool_row(&self.windows, near, out, winners)
            out += size
            if winners != NULL:
                winners += self.windows.winners

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """A convolution of the delta, as an image with margins, by the turned weights."""
        cdef Py_ssize_t i, g, columns = self.patches.image.channels
        cdef Py_ssize_t channels = self.delta_patches.image.channels
        cdef Py_ssize_t depth = self.delta_patches.places.shape[0]
        cdef real *image
        if self.is_first:
            return
        image = self.delta_patches.cleared(block, 1)
        for i in range(block.top, block.top + block.rows):
            if self.pools:
                self.place_delta(
                    &buffers.delta[i * buffers.row],
                    &buffers.winners[i * self.windows.rows * self.windows.winners], image,
                )
            for g in range(self.groups):
                if not self.pools:
                    self.delta_patches.place(
                        &buffers.delta[i * buffers.row + g * channels], self.channels, image
                    )
                self.delta_patches.multiply(
                    image, 0, self.patches.image.height,
                    &buffers.turned[g * depth * columns], columns, columns, NULL,
                    &buffers.input_delta[i * buffers.input_row + g * columns], self.input_channels,
                )

    cdef void place_delta(
        self, const real *delta, const real *winners, real *image
    ) noexcept nogil:
        """Write out the delta of a sample that was pooled."""
        cdef Geometry to = self.delta_patches.image
        cdef Py_ssize_t row, size = self.windows.columns * self.channels
        cdef Py_ssize_t line = to.full_width * self.channels
        image += to.margin * (line + self.channels)
        for row in range(self.windows.rows):
            unpool_row(
                &self.windows, delta + row * size, winners + row * self.windows.winners, image, line
            )
            image += self.windows.height * line

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        cdef Py_ssize_t row = self.weights_size // self.window
        cdef Py_ssize_t size = self.piece_rows * row
        cdef Py_ssize_t start = self.weights + piece * size
        if piece * self.piece_rows < self.window:
            return Range(start, 1, size, size, start, size, True)
        return Range(self.bias, 1, self.channels, self.channels, self.bias, self.channels, False)

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        cdef Range where = self.range_of(piece)
        cdef Py_ssize_t i
        cdef real *image = self.patches.cleared(block, self.groups)
        cdef real *gradient = &self.arrays.gradient[where.start]
        if not block.adds:
            self.arrays.gradient[where.start : where.start + where.columns] = 0
        for i in range(block.top, block.top + block.rows):
            if piece * self.piece_rows >= self.window:
                add_sum_of_pixels(
                    &buffers.delta[i * buffers.row], self.fan_out // self.channels, self.channels,
                    gradient,
                )
                continue
            self.place(buffers, i, image)
            if self.pools:
                self.add_pooled_gradient(
                    buffers, i, image, &(<ThreadBuffers>block.thread).near[0], piece, gradient
                )
            else:
                self.add_weight_gradient(
                    image, &buffers.delta[i * buffers.row], 0, self.rows, piece, gradient
                )
        if block.steps:
            apply_step(block, self.arrays.gradient, &where)
            self.after_step(buffers, piece)

    cdef void add_pooled_gradient(
        self, LayerBuffers buffers, Py_ssize_t i, const real *image, real *near, Py_ssize_t piece,
        real *gradient,
    ) noexcept nogil:
        """Of sample `i`: some rows of windows at a time."""
        cdef Windows w = self.windows
        cdef Py_ssize_t row, first = 0, end, line = self.columns * self.channels
        cdef Py_ssize_t some = (NEAR_PIXELS + self.columns * w.height - 1) // (self.columns * w.height)
        while first < w.rows:
            end = min(first + some, w.rows)
            for row in range(first, end):
                unpool_row(
                    &w, &buffers.delta[i * buffers.row + row * w.columns * self.channels],
                    &buffers.winners[(i * w.rows + row) * w.winners],
                    near + (row - first) * w.height * line, line,
                )
            self.add_weight_gradient(
                image, near, first * w.height, end * w.height, piece, gradient
            )
            first = end

    cdef void add_weight_gradient(
        self, const real *image, const real *delta, Py_ssize_t row, Py_ssize_t end, Py_ssize_t piece,
        real *gradient,
    ) noexcept nogil:
        """Add the gradient of a piece by the delta of some rows of the output of one sample."""
        cdef Py_ssize_t g, columns = self.channels // self.groups, first = piece * self.piece_rows
        if self.piece_rows == 1:
            # Where this row of the kernel lies in the margin it adds nothing.
            while row < end and not self.patches.first[row] <= first < self.patches.end[row]:
                delta += self.columns * self.channels
                row += 1
            while row < end and not self.patches.first[end - 1] <= first < self.patches.end[end - 1]:
                end -= 1
        if row == end:
            return
        for g in range(self.groups):
            gathered_product(GatheredProduct(
                Gathered(
                    image + g * self.patches.size(), &self.patches.places[first * self.patches.depth],
                    &self.patches.starts[row * self.columns],
                ),
                self.piece_rows * self.patches.depth, columns, (end - row) * self.columns,
                delta + g * columns, self.channels, gradient + g * columns, self.channels,
                gradient + g * columns, self.channels,
            ))

    cdef void turn(self, Py_ssize_t column, real *turned) noexcept nogil:
        """Exchange inputs and outputs of a pixel of the kernel, turned by half a circle."""
        cdef Py_ssize_t g, o, c, at, size = self.window * self.window
        cdef Py_ssize_t inputs = self.patches.image.channels
        cdef Py_ssize_t outputs = self.delta_patches.image.channels
        cdef real *out
        for g in range(self.groups):
            out = turned + (g * size + size - 1 - column) * outputs * inputs
            for o in range(outputs):
                at = self.weights + column * inputs * self.channels + g * outputs + o
                for c in range(inputs):
                    out[c] = self.arrays.parameters[at + c * self.channels]
                out += inputs


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


cdef Layer convolution_layer(
    description, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t start, bint has_bias, pool,
    bint is_overwritten,
):
    """The first rows and columns of what a description says, all of them or fewer.

    The weights stand from number `start` of the parameters on. `pool` is the description of a pool that
    becomes part of the layer, or None. `is_overwritten`: see `ConvolutionLayer`.
    """
    cdef ConvolutionLayer layer = ConvolutionLayer.__new__(ConvolutionLayer)
    cdef Py_ssize_t height, width, channels
    cdef Py_ssize_t window = description.kernel, step = description.stride
    cdef Py_ssize_t margin = description.margin, groups = description.groups
    height, width, channels = description.input_shape
    layer.channels = description.channels
    layer.fan_in, layer.fan_out = description.fan_in, rows * columns * layer.channels
    layer.window, layer.groups, layer.input_channels = window, groups, channels
    layer.rows, layer.columns = rows, columns
    layer.weights, layer.weights_size = start, window * window * (channels // groups) * layer.channels
    layer.bias, layer.has_bias = start + layer.weights_size, has_bias
    layer.piece_rows = window if window * channels // groups < SHORT_ROW else 1
    layer.pieces = window // layer.piece_rows + has_bias
    layer.patches = patches_of(
        Geometry(
            height, width, channels // groups, margin, height + 2 * margin, width + 2 * margin, 1
        ),
        rows, columns, step, window,
    )
    # A patch of the delta for each pixel of the input, and zeros between the pixels of a larger step.
    layer.delta_patches = patches_of(
        Geometry(
            rows, columns, layer.channels // groups, window - 1 - margin, height + window - 1,
            width + window - 1, step,
        ),
        height, width, 1, window,
    )
    layer.scratch = max(
        groups * layer.patches.size(), layer.delta_patches.size(), layer.fan_out
    )
    layer.work = layer.fan_out * layer.weights_size // layer.channels
    layer.is_overwritten = is_overwritten
    if pool is not None:
        layer.pools, layer.windows = True, windows_of(pool)
        layer.fan_out = pool.fan_out
    return layer


cdef Patches patches_of(
    Geometry image, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t step, Py_ssize_t window
):
    """Rows x columns patches, `step` pixels from one to the next."""
    cdef Patches patches = Patches.__new__(Patches)
    cdef Py_ssize_t line = image.full_width * image.channels
    patches.image, patches.columns, patches.depth = image, columns, window * image.channels
    patches.starts = added(np.arange(rows) * (step * line), np.arange(columns) * (step * image.channels))
    patches.places = added(np.arange(window) * line, np.arange(patches.depth))
    # Rows of pixels that each row of each patch would be, were there no end to them.
    met = np.add.outer(np.arange(rows) * step - image.margin, np.arange(window))
    is_met = (met >= 0) & (met < image.height * image.spacing) & (met % image.spacing == 0)
    # A product has a depth of 1 at least.
    is_met[~is_met.any(axis=1), 0] = True
    patches.first = is_met.argmax(axis=1).astype(np.intp)
    patches.end = (window - is_met[:, ::-1].argmax(axis=1)).astype(np.intp)
    return patches


cdef added(rows, columns):
    """The sum of each row and each column, row by row."""
    return np.add.outer(rows, columns).ravel().astype(np.intp)
