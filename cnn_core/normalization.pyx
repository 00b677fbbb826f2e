"""Batch normalization, by the formulas of `Kernels.normalize` and its fellows, and the layer of each kind.

Over the batch each channel has its mean and variance, over all pixels of all samples; the units of a
sample are the channels of a single pixel. Each sample's sums are made by the thread that has it at hand,
before the others are waited for; a barrier task adds them up in the order of the samples; then each block
goes on by itself. So the samples are read once more, instead of by one thread all together. With n pixels
a sample, the variance of all is made of the samples' own (Chan, Golub and LeVeque, 1979):

    count * variance = sum over samples of (squares[i] + n * (mean[i] - mean)**2)

A pool of windows that do not overlap is part of the layer if one is above it: a row of windows is
normalized into a thread's own memory and pooled there. So the normalized image is never stored.
"""

cimport cython
from libc.string cimport memset

from cnn_core import layers

from .layer_normalization import LayerNormalization

from .layer cimport Block, Layer, LayerBuffers, ThreadBuffers, Workspace
from .matrix cimport Range
from .pooling cimport Windows, pool_rows, unpool_rows, windows_of
from .scalar cimport real, real_multiply_add, square_root
from .update cimport apply_step
from .vector cimport Lanes, each_vector, load_lanes, store_lanes, vector, zero_vector

cdef enum:
    # Channels of a barrier task.
    TASK_CHANNELS = 64
    # Sums of a channel that are made side by side, since each addition waits for the one before it.
    ABREAST = 4

cdef double EPSILON = layers.EPSILON
cdef double STATISTICS_MOMENTUM = layers.STATISTICS_MOMENTUM


cdef enum Sum:
    VALUES
    SQUARES
    PRODUCTS


cdef struct Rows:
    # Rows of channels, so many values apart: the pixels of a sample, or in a barrier task what all samples
    # have. What is normalized, its delta, and what becomes of it; the sums of a sample. Of each channel
    # gain and bias, what it is normalized by, and the means over the batch of the delta and, behind them,
    # of its products with the normalized values.
    Py_ssize_t count
    Py_ssize_t row
    Py_ssize_t channels
    Py_ssize_t pixels
    const real *u
    const real *delta
    real *out
    real *sums
    const real *gain
    const real *bias
    const real *mean
    const real *spread
    const real *delta_means


@cython.final
cdef class BatchNormalization(Layer):
    """Over the pixels of all samples; all of them are waited for.

    `sums` holds two rows of channels for each sample of more than one pixel: its sum and the squares of
    what is left, and on the way back the sums of the delta and of its products with the normalized values.
    `statistics` holds four: mean and variance, and the means of the latter two.
    """

    cdef Py_ssize_t channels
    cdef Py_ssize_t pixels
    # Where the biases begin in the parameters, and the gains behind them; where the running means begin,
    # and the variances behind them.
    cdef Py_ssize_t bias
    cdef Py_ssize_t gain
    cdef Py_ssize_t mean
    # The image goes through in bands of so many pixels: rows of windows if it is pooled, else whole.
    cdef Py_ssize_t band
    cdef bint pools
    cdef Windows windows

    def __cinit__(
        self, Py_ssize_t channels, Py_ssize_t pixels, Py_ssize_t bias, Py_ssize_t mean, pool
    ):
        self.channels, self.pixels = channels, pixels
        self.fan_in = self.fan_out = channels * pixels
        self.bias, self.gain, self.mean = bias, bias + channels, mean
        self.pieces = 1
        self.barrier_tasks = (channels + TASK_CHANNELS - 1) // TASK_CHANNELS
        self.band, self.windows.rows = pixels, 1
        if pool is not None:
            self.pools, self.windows = True, windows_of(pool)
            self.fan_out, self.scratch = pool.fan_out, self.windows.height * self.windows.line
            self.band = self.scratch // channels

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        Layer.lay_out(self, workspace, buffers, training)
        if self.pools:
            buffers.row = self.fan_out
        if training or self.pools:
            buffers.outputs = workspace.carve_rows(buffers.row)
        if training:
            buffers.delta = workspace.carve_rows(buffers.row)
            if self.pixels > 1:
                buffers.sums = workspace.carve_rows(2 * self.channels)
            if self.pools:
                buffers.winners = workspace.carve_rows(self.windows.rows * self.windows.winners)
        buffers.spread = workspace.carve_reals(self.channels)
        buffers.statistics = workspace.carve_reals(4 * self.channels)
        return 0

    cdef void prepare(self, LayerBuffers buffers) noexcept nogil:
        """A prediction normalizes by the running averages."""
        cdef Py_ssize_t c
        for c in range(self.channels):
            buffers.statistics[c] = self.arrays.statistics[self.mean + c]
            buffers.spread[c] = <real>1 / square_root(
                self.arrays.statistics[self.mean + self.channels + c] + <real>EPSILON
            )

    cdef Rows rows_of(self, LayerBuffers buffers, Py_ssize_t first) noexcept nogil:
        """The channels from the first one on, of no pixels yet."""
        cdef Rows rows
        memset(&rows, 0, sizeof(Rows))
        rows.row, rows.channels, rows.pixels = self.channels, self.channels, self.pixels
        rows.gain = &self.arrays.parameters[self.gain + first]
        rows.bias = &self.arrays.parameters[self.bias + first]
        rows.mean, rows.spread = &buffers.statistics[first], &buffers.spread[first]
        rows.delta_means = rows.mean + 2 * self.channels
        return rows

    cdef Rows batch_of(
        self, LayerBuffers buffers, const Block *block, Py_ssize_t first
    ) noexcept nogil:
        """The same of all samples: their sums, but those of a single pixel as they are."""
        cdef Rows rows = self.rows_of(buffers, first)
        rows.count, rows.row = block.rows, buffers.row
        rows.u, rows.delta = &buffers.inputs[first], &buffers.delta[first]
        if self.pixels > 1:
            rows.sums, rows.row = &buffers.sums[first], 2 * self.channels
        return rows

    cdef void forward_before(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Rows rows = self.rows_of(buffers, 0)
        cdef Py_ssize_t i
        if self.pixels == 1:
            return
        rows.count = self.pixels
        for i in range(block.top, block.top + block.rows):
            rows.u = &buffers.inputs[i * buffers.input_row]
            rows.sums = &buffers.sums[2 * i * self.channels]
            each_vector(sums_of_sample, 1, self.channels, &rows)

    cdef void forward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil:
        """Mean, variance and spread of some channels."""
        cdef Py_ssize_t c, first = task * TASK_CHANNELS
        cdef Py_ssize_t end = min(first + TASK_CHANNELS, self.channels)
        cdef real count = <real>(block.rows * self.pixels)
        cdef real *variances = &buffers.statistics[self.channels]
        cdef Rows batch = self.batch_of(buffers, block, first)
        batch.out = &buffers.statistics[first]
        each_vector(moments_of_batch, 1, end - first, &batch)
        for c in range(first, end):
            buffers.spread[c] = <real>1 / square_root(variances[c] / count + <real>EPSILON)
            # Without bias, as running averages keep it.
            variances[c] = variances[c] / max(count - 1, <real>1)

    cdef void forward_after(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        self.predict(buffers, block)

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """z = gain * normal + bias, with normal = (u - mean) * spread."""
        cdef Windows w = self.windows
        cdef Rows rows = self.rows_of(buffers, 0)
        cdef Py_ssize_t i, row
        cdef real *out
        cdef real *winners = NULL
        rows.count = self.band
        for i in range(block.top, block.top + block.rows):
            rows.u, out = &buffers.inputs[i * buffers.input_row], &buffers.outputs[i * buffers.row]
            if buffers.winners.shape[0] > 0:
                winners = &buffers.winners[i * w.rows * w.winners]
            for row in range(w.rows):
                rows.out = &(<ThreadBuffers>block.thread).near[0] if self.pools else out
                each_vector(normalize, 1, self.channels, &rows)
                if self.pools:
                    pool_rows(&w, row, row + 1, rows.out, out, winners)
                rows.u += self.band * self.channels

    cdef void end_forward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef real *averages = &self.arrays.statistics[self.mean]
        cdef Py_ssize_t c
        # One value has no variance to tell of.
        if block.batch_rows * self.pixels == 1:
            return
        for c in range(2 * self.channels):
            averages[c] = real_multiply_add(
                <real>STATISTICS_MOMENTUM, buffers.statistics[c] - averages[c], averages[c]
            )

    cdef void backward_before(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Rows rows = self.rows_of(buffers, 0)
        cdef Py_ssize_t i, row
        if self.pixels == 1:
            return
        rows.count = self.band
        for i in range(block.top, block.top + block.rows):
            rows.u = &buffers.inputs[i * buffers.input_row]
            rows.sums = &buffers.sums[2 * i * self.channels]
            memset(rows.sums, 0, <size_t>(2 * self.channels) * sizeof(real))
            # What is in no window has no delta.
            for row in range(self.windows.rows):
                rows.delta = self.delta_of(buffers, block, i, row)
                each_vector(products_of_sample, 1, self.channels, &rows)
                rows.u += self.band * self.channels

    cdef const real *delta_of(
        self, LayerBuffers buffers, const Block *block, Py_ssize_t i, Py_ssize_t row
    ) noexcept nogil:
        """The delta of a sample, or of one that is pooled the delta of a row of windows, written out."""
        cdef Windows w = self.windows
        cdef const real *delta = &buffers.delta[i * buffers.row]
        cdef real *near
        if not self.pools:
            return delta
        near = &(<ThreadBuffers>block.thread).near[0]
        if w.columns * w.width * w.channels != w.line or row == w.rows:
            memset(near, 0, <size_t>(w.height * w.line) * sizeof(real))
        if row < w.rows:
            unpool_rows(
                &w, row, row + 1, delta, &buffers.winners[i * w.rows * w.winners], near, w.line
            )
        return near

    cdef void backward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil:
        """The gradients of some biases and gains: the totals of the delta and of its products."""
        cdef Py_ssize_t c, first = task * TASK_CHANNELS
        cdef Py_ssize_t end = min(first + TASK_CHANNELS, self.channels)
        cdef real count = <real>(block.rows * self.pixels)
        cdef real *means = &buffers.statistics[2 * self.channels]
        cdef Rows batch = self.batch_of(buffers, block, first)
        batch.out = &self.arrays.gradient[self.bias + first]
        each_vector(totals_of_batch, 1, end - first, &batch)
        for c in range(first, end):
            means[c] = self.arrays.gradient[self.bias + c] / count
            means[self.channels + c] = self.arrays.gradient[self.gain + c] / count

    cdef void backward_after(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """out = gain * spread * (delta - its mean - normal * the mean of the products)."""
        cdef Rows rows = self.rows_of(buffers, 0)
        cdef Py_ssize_t i, first
        for i in range(block.top, block.top + block.rows):
            rows.u = &buffers.inputs[i * buffers.input_row]
            rows.out = &buffers.input_delta[i * buffers.input_row]
            first = 0
            while first < self.pixels:
                rows.delta = self.delta_of(buffers, block, i, first // self.band)
                rows.count = min(self.band, self.pixels - first)
                each_vector(denormalize, 1, self.channels, &rows)
                rows.u += self.band * self.channels
                rows.out += self.band * self.channels
                first += self.band

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        cdef Py_ssize_t size = 2 * self.channels
        return Range(self.bias, 1, size, size, self.bias, size, False)

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        """The step; the gradient is that of all samples, whichever of them the slice has."""
        cdef Range where = self.range_of(piece)
        if block.steps:
            apply_step(block, self.arrays.gradient, &where)


def normalization_layer(
    str name, Py_ssize_t channels, Py_ssize_t pixels, Py_ssize_t bias, Py_ssize_t mean, pool
):
    """Of so many channels of each pixel; units are those of a single pixel.

    The biases begin at number `bias` of the parameters, the gains behind them; the running means at
    number `mean` of the statistics, the variances behind them. `pool` is the description of a pool that
    becomes part of the layer, or None.
    """
    if name == "layer":
        return LayerNormalization(channels, pixels, bias)
    return BatchNormalization(channels, pixels, bias, mean, pool)


# Loops for `each_vector`, over some channels.


cdef inline vector term(
    const Sum what, const real *a, const real *delta, vector mean, Lanes lanes
) noexcept nogil:
    cdef vector value = load_lanes(a, lanes)
    if what == VALUES:
        return value
    value = value - mean
    return value * (value if what == SQUARES else load_lanes(delta, lanes))


cdef inline vector sum_of(
    const Sum what, const real *a, const real *delta, vector mean, const Rows *rows, Lanes lanes
) noexcept nogil:
    """Over some pixels the sum of a, of the squares of a - mean, or of delta * (a - mean)."""
    cdef Py_ssize_t channels = rows.channels, p = 0, k
    cdef vector sums[ABREAST]
    for k in range(ABREAST):
        sums[k] = zero_vector()
    while p + ABREAST <= rows.count:
        for k in range(ABREAST):
            sums[k] = sums[k] + term(
                what, a + (p + k) * channels, delta + (p + k) * channels, mean, lanes
            )
        p += ABREAST
    while p < rows.count:
        sums[0] = sums[0] + term(what, a + p * channels, delta + p * channels, mean, lanes)
        p += 1
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


cdef inline void sums_of_sample(Lanes lanes, const void *of) noexcept nogil:
    """The sum of each channel of a sample, and that of the squares of what is left beside the mean."""
    cdef const Rows *rows = <const Rows *>of
    cdef const real *u = rows.u
    cdef vector total = sum_of(VALUES, u, u, zero_vector(), rows, lanes)
    cdef vector mean = <real>1 / <real>rows.pixels * total
    store_lanes(rows.sums, total, lanes)
    store_lanes(rows.sums + rows.channels, sum_of(SQUARES, u, u, mean, rows, lanes), lanes)


cdef inline void moments_of_batch(Lanes lanes, const void *of) noexcept nogil:
    """The mean of all pixels, and the sum of the squares of what is left beside it."""
    cdef const Rows *rows = <const Rows *>of
    cdef const real *sums = rows.u if rows.pixels == 1 else rows.sums
    cdef real pixels = <real>rows.pixels, share = <real>1 / pixels
    cdef vector count = zero_vector() + <real>(rows.count * rows.pixels)
    cdef vector mean = zero_vector(), squares = zero_vector(), rest
    cdef Py_ssize_t i
    for i in range(rows.count):
        mean = mean + load_lanes(sums + i * rows.row, lanes)
    mean = mean / count
    for i in range(rows.count):
        rest = share * load_lanes(sums + i * rows.row, lanes) - mean
        if rows.pixels > 1:
            squares = squares + load_lanes(sums + i * rows.row + rows.channels, lanes)
        squares = squares + pixels * rest * rest
    store_lanes(rows.out, mean, lanes)
    store_lanes(rows.out + rows.channels, squares, lanes)


cdef inline void normalize(Lanes lanes, const void *of) noexcept nogil:
    cdef const Rows *rows = <const Rows *>of
    cdef vector gain = load_lanes(rows.gain, lanes), bias = load_lanes(rows.bias, lanes)
    cdef vector mean = load_lanes(rows.mean, lanes), spread = load_lanes(rows.spread, lanes), value
    cdef Py_ssize_t p, at = 0
    for p in range(rows.count):
        value = (load_lanes(rows.u + at, lanes) - mean) * spread
        store_lanes(rows.out + at, gain * value + bias, lanes)
        at += rows.row


cdef inline void products_of_sample(Lanes lanes, const void *of) noexcept nogil:
    """Add the sums of the delta, and behind them those of its products with the normalized values."""
    cdef const Rows *rows = <const Rows *>of
    cdef real *sums = rows.sums
    cdef vector mean = load_lanes(rows.mean, lanes)
    cdef vector total = sum_of(VALUES, rows.delta, rows.delta, mean, rows, lanes)
    store_lanes(sums, load_lanes(sums, lanes) + total, lanes)
    sums += rows.channels
    total = load_lanes(rows.spread, lanes) * sum_of(PRODUCTS, rows.u, rows.delta, mean, rows, lanes)
    store_lanes(sums, load_lanes(sums, lanes) + total, lanes)


cdef inline void totals_of_batch(Lanes lanes, const void *of) noexcept nogil:
    """The sum of all deltas, and that of their products with the normalized values."""
    cdef const Rows *rows = <const Rows *>of
    cdef vector mean = load_lanes(rows.mean, lanes), spread = load_lanes(rows.spread, lanes)
    cdef vector total = zero_vector(), products = zero_vector(), delta
    cdef Py_ssize_t i, at = 0
    for i in range(rows.count):
        if rows.pixels == 1:
            delta = load_lanes(rows.delta + at, lanes)
            total = total + delta
            products = products + delta * ((load_lanes(rows.u + at, lanes) - mean) * spread)
        else:
            total = total + load_lanes(rows.sums + at, lanes)
            products = products + load_lanes(rows.sums + at + rows.channels, lanes)
        at += rows.row
    store_lanes(rows.out, total, lanes)
    store_lanes(rows.out + rows.channels, products, lanes)


cdef inline void denormalize(Lanes lanes, const void *of) noexcept nogil:
    """`out` may be u."""
    cdef const Rows *rows = <const Rows *>of
    cdef vector mean = load_lanes(rows.mean, lanes), spread = load_lanes(rows.spread, lanes)
    cdef vector factor = load_lanes(rows.gain, lanes) * spread, rest
    cdef vector mean_delta = load_lanes(rows.delta_means, lanes)
    cdef vector mean_product = load_lanes(rows.delta_means + rows.channels, lanes)
    cdef Py_ssize_t p, at = 0
    for p in range(rows.count):
        rest = load_lanes(rows.delta + at, lanes) - mean_delta
        rest = rest - (load_lanes(rows.u + at, lanes) - mean) * spread * mean_product
        store_lanes(rows.out + at, factor * rest, lanes)
        at += rows.row
