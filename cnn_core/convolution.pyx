"""The convolution layer: a product over the patches of an image, sample by sample.

Each image is copied into one with margins of zeros, which all of its patches share. The product
skips rows of patches that lie in a margin or between dilated pixels. A piece of weights is one row
of the kernel, or all rows if they are short. The last piece is the bias. Groups have own images.

A 3 x 3 kernel with a stride of 1 uses Winograd's algorithm, if there are enough channels to pay for
its additions. A piece of weights is then a range of output channels.

A pool whose windows do not overlap is fused into the convolution below. A few rows of windows at a
time are convolved into the memory of a thread and pooled there. The delta is expanded there too.
"""

cimport cython

from .layer cimport Block, Layer, LayerBuffers, ThreadBuffers, Workspace
from .matrix cimport Range
from .patches cimport (
    Gathered, GatheredProduct, Geometry, Patches, Plane, gathered_product, patches_of,
)
from .pooling cimport Windows, pool_rows, unpool_rows, windows_of
from .scalar cimport real
from .update cimport apply_step
from .vector cimport Lanes, each_vector, load_lanes, store_lanes, vector, zero_vector
from .winograd cimport Winograd, winograd_of

cdef enum:
    # Least number of pixels of the delta that are expanded at a time; they fit into the L1 cache.
    NEAR_PIXELS = 192
    # A row of the kernel with fewer values is too short for a piece of its own.
    SHORT_ROW = 16
    # Least channels for which Winograd's algorithm pays; most channels of a piece of its weights.
    WINOGRAD_CHANNELS = 8
    PIECE_CHANNELS = 32


cdef struct KernelRange:
    # A part of the kernel: first row, rows; first output channel and channels, over all groups.
    Py_ssize_t row
    Py_ssize_t rows
    Py_ssize_t channel
    Py_ssize_t channels


@cython.final
cdef class ConvolutionLayer(Layer):
    """Compute outputs = patches of inputs @ weights + bias, max pooled if a pool is fused."""

    # Start of weights and bias in the flat parameters. A layer before normalization has no bias.
    cdef Py_ssize_t weights
    cdef Py_ssize_t bias
    cdef bint has_bias
    cdef Py_ssize_t window
    cdef Py_ssize_t groups
    # Rows of the kernel and output channels of a piece.
    cdef Py_ssize_t piece_rows
    cdef Py_ssize_t piece_channels
    # Channels of the input and the output over all groups; rows and columns of output pixels.
    cdef Py_ssize_t input_channels
    cdef Py_ssize_t channels
    cdef Py_ssize_t rows
    cdef Py_ssize_t columns
    # Patches of the input, and of the delta for the input gradient.
    cdef Patches patches
    cdef Patches delta_patches
    # The same convolutions by Winograd's algorithm.
    cdef bint uses_winograd
    cdef Winograd winograd
    cdef Winograd delta_winograd
    # Whether a max pool is fused, and its windows.
    cdef bint pools
    cdef Windows windows
    # Whether the delta may overwrite the outputs, which the layer above has read by then.
    cdef bint is_overwritten

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        buffers.row = self.fan_out
        buffers.outputs = workspace.carve_rows(buffers.row)
        if training:
            buffers.rotated = workspace.carve_reals(self.weights_size)
            buffers.delta = buffers.outputs
            if not self.is_overwritten:
                buffers.delta = workspace.carve_rows(buffers.row)
            if self.pools:
                buffers.winners = workspace.carve_rows(self.windows.rows * self.windows.winners)
        return 0

    cdef void prepare(self, LayerBuffers buffers) noexcept nogil:
        cdef Py_ssize_t piece
        # Only a training has rotated weights.
        if buffers.rotated.shape[0] > 0:
            for piece in range(self.pieces):
                self.after_step(buffers, piece)

    cdef void after_step(self, LayerBuffers buffers, Py_ssize_t piece) noexcept nogil:
        if not self.is_first:
            self.rotate(self.part_of(piece), &buffers.rotated[0])

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i
        cdef real *image = self.patches.cleared(block, self.groups)
        cdef real *winners = NULL
        cdef real *tiles = &(<ThreadBuffers>block.thread).tiles[0]
        if self.uses_winograd:
            self.winograd.transform_weights(&self.arrays.parameters[self.weights], tiles)
        for i in range(block.top, block.top + block.rows):
            self.place(buffers, i, image)
            if buffers.winners.shape[0] > 0:
                winners = &buffers.winners[i * self.windows.rows * self.windows.winners]
            if self.pools:
                self.convolve_and_pool(
                    image, &(<ThreadBuffers>block.thread).near[0], &buffers.outputs[i * buffers.row],
                    winners, tiles,
                )
            else:
                self.convolve(image, 0, self.rows, &buffers.outputs[i * buffers.row], tiles)

    cdef void place(self, LayerBuffers buffers, Py_ssize_t i, real *image) noexcept nogil:
        """Copy sample `i` into the images with margins, group by group."""
        cdef Py_ssize_t g
        for g in range(self.groups):
            self.patches.place(
                &buffers.inputs[i * buffers.input_row + g * self.patches.image.channels],
                self.input_channels, image + g * self.patches.size(),
            )

    cdef void convolve(
        self, real *image, Py_ssize_t row, Py_ssize_t end, real *out, real *tiles
    ) noexcept nogil:
        """Compute rows `row` to below `end` of the convolution of one sample."""
        cdef Py_ssize_t g, columns = self.channels // self.groups
        cdef const real *bias = NULL
        if self.uses_winograd:
            if self.has_bias:
                bias = &self.arrays.parameters[self.bias]
            self.winograd.convolve(
                self.patches.plane(image, row), end - row, bias,
                Plane(out, self.channels, self.columns * self.channels), tiles,
            )
            return
        for g in range(self.groups):
            if self.has_bias:
                bias = &self.arrays.parameters[self.bias + g * columns]
            self.patches.multiply(
                image + g * self.patches.size(), row, end,
                &self.arrays.parameters[self.weights + g * columns], self.channels, columns, bias,
                out + g * columns, self.channels,
            )

    cdef void convolve_and_pool(
        self, real *image, real *near, real *out, real *winners, real *tiles
    ) noexcept nogil:
        """Convolve and pool one sample, a few rows of windows at a time."""
        cdef Windows w = self.windows
        cdef Py_ssize_t first = 0, end
        while first < w.rows:
            end = min(first + self.near_rows(), w.rows)
            self.convolve(image, first * w.height, end * w.height, near, tiles)
            pool_rows(&w, first, end, near, out, winners)
            first = end

    cdef Py_ssize_t near_rows(self) noexcept nogil:
        """Return the number of rows of windows that are processed at a time."""
        cdef Py_ssize_t pixels = self.columns * self.windows.height
        return (NEAR_PIXELS + pixels - 1) // pixels

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """Convolve the delta, as an image with margins, with the rotated weights."""
        cdef Py_ssize_t i, g, line, inputs = self.patches.image.channels
        cdef Py_ssize_t depth = self.delta_patches.places.shape[0]
        cdef real *image
        cdef real *tiles = &(<ThreadBuffers>block.thread).tiles[0]
        cdef real *out
        if self.is_first:
            return
        if self.uses_winograd:
            self.delta_winograd.transform_weights(&buffers.rotated[0], tiles)
        image = self.delta_patches.cleared(block, 1)
        for i in range(block.top, block.top + block.rows):
            if self.pools:
                self.place_delta(
                    &buffers.delta[i * buffers.row],
                    &buffers.winners[i * self.windows.rows * self.windows.winners], image,
                )
            out = &buffers.input_delta[i * buffers.input_row]
            for g in range(self.groups):
                if not self.pools:
                    self.delta_patches.place(
                        &buffers.delta[i * buffers.row + g * self.delta_patches.image.channels],
                        self.channels, image,
                    )
                if self.uses_winograd:
                    self.delta_winograd.convolve(
                        self.delta_patches.plane(image, 0), self.patches.image.height, NULL,
                        Plane(out, inputs, self.patches.image.width * inputs), tiles,
                    )
                else:
                    self.delta_patches.multiply(
                        image, 0, self.patches.image.height,
                        &buffers.rotated[g * depth * inputs], inputs, inputs, NULL,
                        out + g * inputs, self.input_channels,
                    )

    cdef void place_delta(
        self, const real *delta, const real *winners, real *image
    ) noexcept nogil:
        """Expand the delta of a pooled sample into an image with margins."""
        cdef Geometry to = self.delta_patches.image
        cdef Py_ssize_t line = to.full_width * self.channels
        unpool_rows(
            &self.windows, 0, self.windows.rows, delta, winners,
            image + to.margin * (line + self.channels), line,
        )

    cdef KernelRange part_of(self, Py_ssize_t piece) noexcept nogil:
        """Return the part of the kernel of a piece; it is empty for the bias."""
        cdef Py_ssize_t row = 0, channel = 0
        if self.uses_winograd:
            channel = piece * self.piece_channels
        else:
            row = piece * self.piece_rows
        return KernelRange(
            row, max(min(self.piece_rows, self.window - row), <Py_ssize_t>0),
            channel, max(min(self.piece_channels, self.channels - channel), <Py_ssize_t>0),
        )

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        cdef KernelRange part = self.part_of(piece)
        cdef Py_ssize_t rows = self.window * self.patches.image.channels
        cdef Py_ssize_t start = self.weights + part.row * rows * self.channels + part.channel
        if part.rows * part.channels == 0:
            return Range(self.bias, 1, self.channels, self.channels, self.bias, self.channels, False)
        return Range(
            start, part.rows * rows, part.channels, self.channels, start, self.channels, True
        )

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        cdef Range where = self.range_of(piece)
        cdef KernelRange part = self.part_of(piece)
        cdef Py_ssize_t i, start
        cdef real *gradient = &self.arrays.gradient[where.start]
        cdef Pixels pixels = Pixels(NULL, self.fan_out // self.channels, self.channels, gradient)
        if not block.adds:
            for i in range(where.rows):
                start = where.start + i * where.row
                self.arrays.gradient[start : start + where.columns] = 0
        if part.rows * part.channels > 0:
            self.add_weight_gradients(buffers, block, part, gradient)
        else:
            for i in range(block.top, block.top + block.rows):
                pixels.values = &buffers.delta[i * buffers.row]
                each_vector(add_sum_of_pixels, 1, self.channels, &pixels)
        if block.steps:
            apply_step(block, self.arrays.gradient, &where)
            self.after_step(buffers, piece)

    cdef void add_weight_gradients(
        self, LayerBuffers buffers, const Block *block, KernelRange part, real *gradient
    ) noexcept nogil:
        """Add the gradient of a part of the kernel over all samples of a block."""
        cdef Py_ssize_t i
        cdef real *image = self.patches.cleared(block, self.groups)
        cdef real *tiles = &(<ThreadBuffers>block.thread).tiles[0]
        if self.uses_winograd:
            self.winograd.clear_gradient(part.channels, tiles)
        for i in range(block.top, block.top + block.rows):
            self.place(buffers, i, image)
            if self.pools:
                self.add_pooled_gradient(
                    buffers, i, image, &(<ThreadBuffers>block.thread).near[0], part, gradient, tiles
                )
            else:
                self.add_weight_gradient(
                    image, &buffers.delta[i * buffers.row], 0, self.rows, part, gradient, tiles
                )
        if self.uses_winograd:
            self.winograd.add_gradient(gradient, part.channels, tiles)

    cdef void add_pooled_gradient(
        self, LayerBuffers buffers, Py_ssize_t i, real *image, real *near, KernelRange part,
        real *gradient, real *tiles,
    ) noexcept nogil:
        """Add the gradient from sample `i`, which was pooled, a few rows of windows at a time."""
        cdef Windows w = self.windows
        cdef Py_ssize_t first = 0, end, line = self.columns * self.channels
        while first < w.rows:
            end = min(first + self.near_rows(), w.rows)
            unpool_rows(
                &w, first, end, &buffers.delta[i * buffers.row],
                &buffers.winners[i * w.rows * w.winners], near, line,
            )
            self.add_weight_gradient(
                image, near, first * w.height, end * w.height, part, gradient, tiles
            )
            first = end

    cdef void add_weight_gradient(
        self, real *image, real *delta, Py_ssize_t row, Py_ssize_t end, KernelRange part,
        real *gradient, real *tiles,
    ) noexcept nogil:
        """Add the gradient of a part of the kernel from rows `row` to below `end` of one sample."""
        cdef Py_ssize_t g, columns = self.channels // self.groups, first = part.row
        if self.uses_winograd:
            self.winograd.correlate(
                self.patches.plane(image, row),
                Plane(delta + part.channel, self.channels, self.columns * self.channels), end - row,
                part.channels, tiles,
            )
            return
        if self.piece_rows == 1:
            # Skip rows of the delta for which this row of the kernel lies in the margin.
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
                part.rows * self.patches.depth, columns, (end - row) * self.columns,
                delta + g * columns, self.channels, gradient + g * columns, self.channels,
                gradient + g * columns, self.channels, 1, 0, 0, 0,
            ))

    cdef void rotate(self, KernelRange part, real *rotated) noexcept nogil:
        """Rotate a part of the kernel by 180 degrees, and swap its inputs and outputs."""
        cdef Py_ssize_t pixel, o, c, at, size = self.window * self.window
        cdef Py_ssize_t inputs = self.patches.image.channels
        cdef Py_ssize_t outputs = self.delta_patches.image.channels
        cdef real *out
        for pixel in range(part.row * self.window, (part.row + part.rows) * self.window):
            for o in range(part.channel, part.channel + part.channels):
                at = self.weights + pixel * inputs * self.channels + o
                out = rotated + (
                    (o // outputs * size + size - 1 - pixel) * outputs + o % outputs
                ) * inputs
                for c in range(inputs):
                    out[c] = self.arrays.parameters[at + c * self.channels]


cdef struct Pixels:
    # The pixels of a sample, and where their sum goes.
    const real *values
    Py_ssize_t count
    Py_ssize_t channels
    real *out


cdef inline void add_sum_of_pixels(Lanes lanes, const void *of) noexcept nogil:
    """Add the sum over the pixels of one sample to `out`: so no single sum is long."""
    cdef const Pixels *pixels = <const Pixels *>of
    cdef vector total = zero_vector()
    cdef Py_ssize_t p
    for p in range(pixels.count):
        total = total + load_lanes(pixels.values + p * pixels.channels, lanes)
    store_lanes(pixels.out, load_lanes(pixels.out, lanes) + total, lanes)


def convolution_layer(
    description, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t start, bint has_bias, pool,
    bint is_overwritten,
):
    """Make the layer of a description, for the first `rows` and `columns` of its output pixels.

    The weights start at value `start` of the parameters. `pool` is the description of a pool to
    fuse into the layer, or None. `is_overwritten`: see `ConvolutionLayer`.
    """
    cdef ConvolutionLayer layer = ConvolutionLayer.__new__(ConvolutionLayer)
    cdef Py_ssize_t height, width, channels
    cdef Py_ssize_t window = description.kernel, step = description.stride
    cdef Py_ssize_t margin = description.margin, groups = description.groups
    cdef Py_ssize_t below = 0
    height, width, channels = description.input_shape
    layer.channels = description.channels
    layer.fan_in, layer.fan_out = description.fan_in, rows * columns * layer.channels
    layer.window, layer.groups, layer.input_channels = window, groups, channels
    layer.rows, layer.columns = rows, columns
    layer.weights, layer.weights_size = start, window * window * (channels // groups) * layer.channels
    layer.bias, layer.has_bias = start + layer.weights_size, has_bias
    layer.uses_winograd = window == 3 and step == groups == 1 and (
        min(channels, layer.channels) >= WINOGRAD_CHANNELS
    )
    layer.piece_rows = window if window * channels // groups < SHORT_ROW else 1
    layer.piece_channels = layer.channels
    layer.pieces = window // layer.piece_rows + has_bias
    if layer.uses_winograd:
        layer.piece_rows = window
        layer.piece_channels = min((layer.channels + 31) // 32 * 16, PIECE_CHANNELS)
        layer.pieces = (layer.channels + layer.piece_channels - 1) // layer.piece_channels + has_bias
        layer.winograd = winograd_of(channels, layer.channels, rows, columns)
        layer.delta_winograd = winograd_of(layer.channels, channels, height, width)
        layer.tiles = max(layer.winograd.memory(), layer.delta_winograd.memory())
        # The last tiles read two rows below the image.
        below = 2
    layer.patches = patches_of(
        Geometry(
            height, width, channels // groups, margin, height + 2 * margin + below,
            width + 2 * margin, 1,
        ),
        rows, columns, step, window,
    )
    # One patch of the delta for each input pixel; a stride above 1 dilates the delta with zeros.
    layer.delta_patches = patches_of(
        Geometry(
            rows, columns, layer.channels // groups, window - 1 - margin,
            height + window - 1 + below, width + window - 1, step,
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
