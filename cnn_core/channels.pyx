"""Batch normalization of images: mean and variance of each channel over all pixels of all samples.

Each sample's sums are made by the thread that has it at hand, before the others are waited for; a
barrier task adds them up in the order of the samples, in float64; then each block goes on by itself.
So the samples are read once more, instead of by one thread all together. With n pixels a sample, the
variance of all is made of the samples' own (Chan, Golub and LeVeque, 1979):

    count * variance = sum over samples of (squares[i] + n * (mean[i] - mean)**2)
"""

cimport cython

from .layer cimport Block, Layer, LayerBuffers, Workspace
from .matrix cimport Range
from .normalization cimport EPSILON, NormalizationLayer, Units
from .scalar cimport multiply_add, real, real_multiply_add
from .update cimport apply_step

cdef extern from "vector.h" nogil:
    real square_root(real x)

cdef enum:
    # Channels that are taken at a time, their sums in registers.
    LANES = 16


@cython.final
cdef class ChannelNormalization(NormalizationLayer):
    """See normalization.pyx; the inputs stay as they are, and are normalized once more on the way back.

    `sums` holds two rows of channels for each sample: its sum and the squares of what is left, and on
    the way back the sums of the delta and of its products with the normalized values. `statistics`
    holds four: mean and variance, and the totals of the latter two.
    """

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        Layer.lay_out(self, workspace, buffers, training)
        if training:
            buffers.outputs = workspace.carve_rows(buffers.row)
            buffers.delta = workspace.carve_rows(buffers.row)
            buffers.sums = workspace.carve_rows(2 * self.channels)
            buffers.spread = workspace.carve_reals(self.channels)
            buffers.statistics = workspace.carve_reals(4 * self.channels)
        return 0

    cdef void forward_before(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i, first
        for i in range(block.top, block.top + block.rows):
            first = 0
            while first + LANES <= self.channels:
                sample_sums(
                    LANES, buffers.inputs, i * buffers.row + first, self.pixels, self.channels,
                    buffers.sums, 2 * i * self.channels + first,
                )
                first += LANES
            sample_sums(
                <int>(self.channels - first), buffers.inputs, i * buffers.row + first, self.pixels,
                self.channels, buffers.sums, 2 * i * self.channels + first,
            )

    cdef void forward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil:
        """Mean, variance and spread of each channel."""
        cdef Py_ssize_t c, i, at
        cdef double n = <double>self.pixels, count = n * <double>block.rows
        cdef double mean, squares, rest
        for c in range(self.channels):
            mean, squares = 0, 0
            for i in range(block.rows):
                mean += buffers.sums[2 * i * self.channels + c]
            mean = mean / count
            for i in range(block.rows):
                at = 2 * i * self.channels + c
                rest = buffers.sums[at] / n - mean
                squares = multiply_add(
                    n * rest, rest, squares + <double>buffers.sums[at + self.channels]
                )
            buffers.statistics[c] = <real>mean
            # Without bias, as running averages keep it.
            buffers.statistics[self.channels + c] = <real>(squares / max(count - 1, 1.0))
            buffers.spread[c] = <real>1 / square_root(<real>(squares / count + EPSILON))

    cdef void forward_after(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i, first
        for i in range(block.top, block.top + block.rows):
            first = 0
            while first < self.channels:
                normalize_sample(
                    <int>min(self.channels - first, <Py_ssize_t>LANES), self.units, first,
                    buffers.inputs, i * buffers.row + first, self.pixels, self.channels,
                    buffers.statistics, buffers.spread, self.arrays.parameters, buffers.outputs,
                )
                first += LANES

    cdef void backward_before(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i, first
        for i in range(block.top, block.top + block.rows):
            first = 0
            while first + LANES <= self.channels:
                sample_products(
                    LANES, first, buffers.inputs, buffers.delta, i * buffers.row + first,
                    self.pixels, self.channels, buffers.statistics, buffers.spread, buffers.sums,
                    2 * i * self.channels + first,
                )
                first += LANES
            sample_products(
                <int>(self.channels - first), first, buffers.inputs, buffers.delta,
                i * buffers.row + first, self.pixels, self.channels, buffers.statistics,
                buffers.spread, buffers.sums, 2 * i * self.channels + first,
            )

    cdef void backward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil:
        """The totals of the delta and of its products."""
        cdef Py_ssize_t c, i
        cdef double total
        for c in range(2 * self.channels):
            total = 0
            for i in range(block.rows):
                total += buffers.sums[2 * i * self.channels + c]
            buffers.statistics[2 * self.channels + c] = <real>total

    cdef void backward_after(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i, first
        for i in range(block.top, block.top + block.rows):
            first = 0
            while first < self.channels:
                sample_backward(
                    <int>min(self.channels - first, <Py_ssize_t>LANES), self.units, first,
                    buffers.inputs, buffers.delta, i * buffers.row + first, self.pixels,
                    self.channels, <real>(self.pixels * block.batch_rows), buffers.statistics,
                    buffers.spread, self.arrays.parameters, buffers.input_delta,
                )
                first += LANES

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        """The gradients of bias and gain are the totals of all samples, whichever of them the slice has."""
        cdef Range where = self.range_of(piece)
        self.arrays.gradient[where.start : where.start + where.columns] = buffers.statistics[
            2 * self.channels : 4 * self.channels
        ]
        if block.steps:
            apply_step(block, self.arrays.gradient, &where)


cdef inline void sample_sums(
    const int lanes, const real[::1] u, Py_ssize_t start, Py_ssize_t pixels, Py_ssize_t channels,
    real[::1] sums, Py_ssize_t to,
) noexcept nogil:
    """The sum of some channels of a sample, and that of the squares of what is left beside the mean."""
    cdef real totals[LANES]
    cdef real squares[LANES]
    cdef real rest
    cdef Py_ssize_t p, at
    cdef int lane
    for lane in range(lanes):
        totals[lane] = 0
        squares[lane] = 0
    for p in range(pixels):
        at = start + p * channels
        for lane in range(lanes):
            totals[lane] = totals[lane] + u[at + lane]
    for lane in range(lanes):
        sums[to + lane] = totals[lane]
        totals[lane] = totals[lane] / <real>pixels
    for p in range(pixels):
        at = start + p * channels
        for lane in range(lanes):
            rest = u[at + lane] - totals[lane]
            squares[lane] = real_multiply_add(rest, rest, squares[lane])
    for lane in range(lanes):
        sums[to + channels + lane] = squares[lane]


cdef inline void normalize_sample(
    const int lanes, Units units, Py_ssize_t first, const real[::1] u, Py_ssize_t start,
    Py_ssize_t pixels, Py_ssize_t channels, const real[::1] mean, const real[::1] spread,
    const real[::1] parameters, real[::1] z,
) noexcept nogil:
    """z = gain * (u - mean) * spread + bias."""
    cdef real factor[LANES]
    cdef real shift[LANES]
    cdef real middle[LANES]
    cdef Py_ssize_t p, at
    cdef int lane
    for lane in range(lanes):
        factor[lane] = parameters[units.gain + first + lane] * spread[first + lane]
        shift[lane] = parameters[units.bias + first + lane]
        middle[lane] = mean[first + lane]
    for p in range(pixels):
        at = start + p * channels
        for lane in range(lanes):
            z[at + lane] = real_multiply_add(u[at + lane] - middle[lane], factor[lane], shift[lane])


cdef inline void sample_products(
    const int lanes, Py_ssize_t first, const real[::1] u, const real[::1] delta, Py_ssize_t start,
    Py_ssize_t pixels, Py_ssize_t channels, const real[::1] mean, const real[::1] spread,
    real[::1] sums, Py_ssize_t to,
) noexcept nogil:
    """The sums of the delta of some channels, and of its products with the normalized values."""
    cdef real totals[LANES]
    cdef real products[LANES]
    cdef Py_ssize_t p, at
    cdef int lane
    for lane in range(lanes):
        totals[lane] = 0
        products[lane] = 0
    for p in range(pixels):
        at = start + p * channels
        for lane in range(lanes):
            totals[lane] = totals[lane] + delta[at + lane]
            products[lane] = real_multiply_add(
                delta[at + lane], u[at + lane] - mean[first + lane], products[lane]
            )
    for lane in range(lanes):
        sums[to + lane] = totals[lane]
        sums[to + channels + lane] = products[lane] * spread[first + lane]


cdef inline void sample_backward(
    const int lanes, Units units, Py_ssize_t first, const real[::1] u, const real[::1] delta,
    Py_ssize_t start, Py_ssize_t pixels, Py_ssize_t channels, real count, const real[::1] statistics,
    const real[::1] spread, const real[::1] parameters, real[::1] out,
) noexcept nogil:
    """out = gain * spread * (delta - its mean - normal * the mean of the products)."""
    cdef real factor[LANES]
    cdef real mean_delta[LANES]
    cdef real slope[LANES]
    cdef real middle[LANES]
    cdef Py_ssize_t p, at
    cdef int lane
    for lane in range(lanes):
        factor[lane] = parameters[units.gain + first + lane] * spread[first + lane]
        middle[lane] = statistics[first + lane]
        mean_delta[lane] = statistics[2 * channels + first + lane] / count
        slope[lane] = statistics[3 * channels + first + lane] / count * spread[first + lane]
    for p in range(pixels):
        at = start + p * channels
        for lane in range(lanes):
            out[at + lane] = factor[lane] * real_multiply_add(
                middle[lane] - u[at + lane], slope[lane], delta[at + lane] - mean_delta[lane]
            )


cdef NormalizationLayer channel_normalization(
    Py_ssize_t channels, Py_ssize_t pixels, Py_ssize_t bias, Py_ssize_t mean
):
    """Over images of so many pixels; the gain stands behind the bias, the variances behind the means."""
    cdef ChannelNormalization layer = ChannelNormalization.__new__(ChannelNormalization)
    layer.over_batch = True
    layer.fan_in = layer.fan_out = channels * pixels
    layer.channels, layer.pixels = channels, pixels
    layer.pieces = layer.barrier_tasks = 1
    layer.units = Units(bias + channels, bias, mean, mean + channels)
    return layer
