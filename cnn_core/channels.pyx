"""Batch normalization of images: mean and variance of each channel over all pixels of all samples.

Each sample's sums are made by the thread that has it at hand, before the others are waited for; a
barrier task adds them up in the order of the samples, in float64; then each block goes on by itself.
So the samples are read once more, instead of by one thread all together. With n pixels a sample, the
variance of all is made of the samples' own (Chan, Golub and LeVeque, 1979):

    count * variance = sum over samples of (squares[i] + n * (mean[i] - mean)**2)

A pool of windows that do not overlap is part of the layer if one is above it: a row of windows is
normalized into a thread's own memory and pooled there. So the normalized image is never stored.
"""

cimport cython
from libc.string cimport memset

from .layer cimport Block, Layer, LayerBuffers, ThreadBuffers, Workspace
from .matrix cimport Range
from .normalization cimport EPSILON, NormalizationLayer, Units
from .pooling cimport Windows, pool_row, unpool_row, windows_of
from .scalar cimport multiply_add, real, square_root
from .update cimport apply_step
from .vector cimport Lanes, each_vector, load_lanes, store_lanes, vector, zero_vector

cdef enum:
    # Sums of a channel that are made side by side, since each addition waits for the one before it.
    ABREAST = 4

cdef enum Sum:
    VALUES
    SQUARES
    PRODUCTS


cdef struct Pixels:
    # Some pixels of a sample, its delta and what becomes of it; of each channel what is added up, and
    # what it is normalized by.
    Py_ssize_t count
    Py_ssize_t channels
    const real *u
    const real *delta
    real *out
    real *sums
    const real *gain
    const real *bias
    const real *statistics
    const real *spread
    # 1 / pixels: of a sample, or of all on the way back.
    real share


@cython.final
cdef class ChannelNormalization(NormalizationLayer):
    """See normalization.pyx; the inputs stay as they are, and are normalized once more on the way back.

    `sums` holds two rows of channels for each sample: its sum and the squares of what is left, and on
    the way back the sums of the delta and of its products with the normalized values. `statistics`
    holds four: mean and variance, and the totals of the latter two.
    """

    # The image goes through in bands of so many pixels: rows of windows if it is pooled, else whole.
    cdef Py_ssize_t band
    cdef bint pools
    cdef Windows windows

    def __cinit__(
        self, Py_ssize_t channels, Py_ssize_t pixels, Py_ssize_t bias, Py_ssize_t mean, pool
    ):
        """The gain stands behind the bias, the variances behind the means.

        `pool` is the description of a pool that becomes part of the layer, or None.
        """
        self.over_batch = True
        self.fan_in = self.fan_out = channels * pixels
        self.channels, self.pixels = channels, pixels
        self.pieces = self.barrier_tasks = 1
        self.units = Units(bias + channels, bias, mean, mean + channels)
        self.band, self.windows.rows = pixels, 1
        if pool is not None:
            self.pools, self.windows = True, windows_of(pool)
            self.fan_out, self.scratch = pool.fan_out, self.windows.height * self.windows.line
            self.band = self.scratch // channels

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        Layer.lay_out(self, workspace, buffers, training)
        buffers.row = self.fan_out
        if training or self.pools:
            buffers.outputs = workspace.carve_rows(buffers.row)
        if training:
            buffers.delta = workspace.carve_rows(buffers.row)
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
            buffers.statistics[c] = self.arrays.statistics[self.units.mean + c]
            buffers.spread[c] = <real>1 / square_root(
                self.arrays.statistics[self.units.variance + c] + <real>EPSILON
            )

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        self.forward_after(buffers, block)

    cdef void forward_before(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Pixels p = self.pixels_of(buffers, self.pixels)
        cdef Py_ssize_t i
        p.share = <real>1 / <real>self.pixels
        for i in range(block.top, block.top + block.rows):
            p.u = &buffers.inputs[i * buffers.input_row]
            p.sums = &buffers.sums[2 * i * self.channels]
            each_vector(sums_of_channels, 1, self.channels, &p)

    cdef Pixels pixels_of(self, LayerBuffers buffers, Py_ssize_t count) noexcept nogil:
        cdef Pixels p
        memset(&p, 0, sizeof(Pixels))
        p.count, p.channels = count, self.channels
        p.gain = &self.arrays.parameters[self.units.gain]
        p.bias = &self.arrays.parameters[self.units.bias]
        p.statistics, p.spread = &buffers.statistics[0], &buffers.spread[0]
        return p

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
        """z = gain * (u - mean) * spread + bias."""
        cdef Windows w = self.windows
        cdef Pixels p = self.pixels_of(buffers, self.band)
        cdef Py_ssize_t i, row
        cdef real *out
        cdef real *winners = NULL
        for i in range(block.top, block.top + block.rows):
            p.u, out = &buffers.inputs[i * buffers.input_row], &buffers.outputs[i * buffers.row]
            if buffers.winners.shape[0] > 0:
                winners = &buffers.winners[i * w.rows * w.winners]
            for row in range(w.rows):
                p.out = &(<ThreadBuffers>block.thread).near[0] if self.pools else out
                each_vector(normalize_channels, 1, self.channels, &p)
                if self.pools:
                    pool_row(&w, p.out, out, winners)
                p.u += self.band * self.channels
                out += w.columns * w.channels
                if winners != NULL:
                    winners += w.winners

    cdef void backward_before(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Pixels p = self.pixels_of(buffers, self.band)
        cdef Py_ssize_t i, c, row
        for i in range(block.top, block.top + block.rows):
            p.u, p.sums = &buffers.inputs[i * buffers.input_row], &buffers.sums[2 * i * self.channels]
            memset(p.sums, 0, <size_t>(2 * self.channels) * sizeof(real))
            # What is in no window has no delta.
            for row in range(self.windows.rows):
                p.delta = self.delta_of(buffers, block, i, row)
                each_vector(products_of_channels, 1, self.channels, &p)
                p.u += self.band * self.channels
            for c in range(self.channels):
                p.sums[self.channels + c] = p.sums[self.channels + c] * buffers.spread[c]

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
            unpool_row(
                &w, delta + row * w.columns * w.channels,
                &buffers.winners[(i * w.rows + row) * w.winners], near, w.line,
            )
        return near

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
        """out = gain * spread * (delta - its mean - normal * the mean of the products)."""
        cdef Pixels p = self.pixels_of(buffers, self.band)
        cdef Py_ssize_t i, first
        p.share = <real>1 / <real>(self.pixels * block.batch_rows)
        for i in range(block.top, block.top + block.rows):
            p.u, p.out = &buffers.inputs[i * buffers.input_row], &buffers.input_delta[i * buffers.input_row]
            first = 0
            while first < self.pixels:
                p.delta = self.delta_of(buffers, block, i, first // self.band)
                p.count = min(self.band, self.pixels - first)
                each_vector(denormalize_channels, 1, self.channels, &p)
                p.u += self.band * self.channels
                p.out += self.band * self.channels
                first += self.band

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        """The gradients of bias and gain are the totals of all samples, whichever of them the slice has."""
        cdef Range where = self.range_of(piece)
        self.arrays.gradient[where.start : where.start + where.columns] = buffers.statistics[
            2 * self.channels : 4 * self.channels
        ]
        if block.steps:
            apply_step(block, self.arrays.gradient, &where)


# Loops for `each_vector`, over the channels of some pixels.


cdef inline vector term(
    const Sum what, const real *a, const real *delta, vector mean, Lanes lanes
) noexcept nogil:
    cdef vector value = load_lanes(a, lanes)
    if what == VALUES:
        return value
    value = value - mean
    return value * (value if what == SQUARES else load_lanes(delta, lanes))


cdef inline vector sum_of(
    const Sum what, const real *a, const real *delta, vector mean, const Pixels *pixels, Lanes lanes
) noexcept nogil:
    """Over some pixels the sum of a, of the squares of a - mean, or of delta * (a - mean)."""
    cdef Py_ssize_t channels = pixels.channels, p = 0, k
    cdef vector sums[ABREAST]
    for k in range(ABREAST):
        sums[k] = zero_vector()
    while p + ABREAST <= pixels.count:
        for k in range(ABREAST):
            sums[k] = sums[k] + term(
                what, a + (p + k) * channels, delta + (p + k) * channels, mean, lanes
            )
        p += ABREAST
    while p < pixels.count:
        sums[0] = sums[0] + term(what, a + p * channels, delta + p * channels, mean, lanes)
        p += 1
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


cdef inline void sums_of_channels(Lanes lanes, const void *of) noexcept nogil:
    """The sum of each channel of a sample, and that of the squares of what is left beside the mean."""
    cdef const Pixels *pixels = <const Pixels *>of
    cdef const real *u = pixels.u
    cdef vector total = sum_of(VALUES, u, u, zero_vector(), pixels, lanes)
    store_lanes(pixels.sums, total, lanes)
    store_lanes(
        pixels.sums + pixels.channels,
        sum_of(SQUARES, u, u, pixels.share * total, pixels, lanes), lanes,
    )


cdef inline void normalize_channels(Lanes lanes, const void *of) noexcept nogil:
    cdef const Pixels *pixels = <const Pixels *>of
    cdef vector factor = load_lanes(pixels.gain, lanes)
    cdef vector shift = load_lanes(pixels.bias, lanes)
    cdef vector mean = load_lanes(pixels.statistics, lanes)
    cdef Py_ssize_t p, i = 0
    factor = factor * load_lanes(pixels.spread, lanes)
    for p in range(pixels.count):
        store_lanes(pixels.out + i, (load_lanes(pixels.u + i, lanes) - mean) * factor + shift, lanes)
        i += pixels.channels


cdef inline void products_of_channels(Lanes lanes, const void *of) noexcept nogil:
    """Add the sums of the delta, and behind them those of its products with what u has beside its mean."""
    cdef const Pixels *pixels = <const Pixels *>of
    cdef real *sums = pixels.sums
    cdef vector mean = load_lanes(pixels.statistics, lanes)
    cdef vector total = sum_of(VALUES, pixels.delta, pixels.delta, mean, pixels, lanes)
    store_lanes(sums, load_lanes(sums, lanes) + total, lanes)
    sums += pixels.channels
    total = sum_of(PRODUCTS, pixels.u, pixels.delta, mean, pixels, lanes)
    store_lanes(sums, load_lanes(sums, lanes) + total, lanes)


cdef inline void denormalize_channels(Lanes lanes, const void *of) noexcept nogil:
    """`out` may be u."""
    cdef const Pixels *pixels = <const Pixels *>of
    cdef const real *statistics = pixels.statistics
    cdef Py_ssize_t p, i = 0, channels = pixels.channels
    cdef vector spread = load_lanes(pixels.spread, lanes)
    cdef vector factor = load_lanes(pixels.gain, lanes) * spread
    cdef vector mean = load_lanes(statistics, lanes)
    cdef vector mean_delta = pixels.share * load_lanes(statistics + 2 * channels, lanes)
    cdef vector slope = pixels.share * load_lanes(statistics + 3 * channels, lanes) * spread
    for p in range(pixels.count):
        store_lanes(
            pixels.out + i,
            factor * (
                (mean - load_lanes(pixels.u + i, lanes)) * slope
                + (load_lanes(pixels.delta + i, lanes) - mean_delta)
            ),
            lanes,
        )
        i += channels
