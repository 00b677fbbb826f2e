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
from .scalar cimport multiply_add, real
from .update cimport apply_step
from .vector cimport VECTOR_LENGTH, load, store, vector, zero_vector

cdef extern from "vector.h" nogil:
    real square_root(real x)

cdef enum:
    # Sums of a channel that are made side by side, since each addition waits for the one before it.
    ABREAST = 4


@cython.final
cdef class ChannelNormalization(NormalizationLayer):
    """See normalization.pyx; the inputs stay as they are, and are normalized once more on the way back.

    `sums` holds two rows of channels for each sample: its sum and the squares of what is left, and on
    the way back the sums of the delta and of its products with the normalized values. `statistics`
    holds four: mean and variance, and the totals of the latter two.
    """

    cdef bint pools
    cdef Windows windows

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        Layer.lay_out(self, workspace, buffers, training)
        buffers.row = self.fan_out
        if training or self.pools:
            buffers.outputs = workspace.carve_rows(buffers.row)
        if training:
            buffers.delta = workspace.carve_rows(buffers.row)
            buffers.sums = workspace.carve_rows(2 * self.channels)
            if self.pools:
                buffers.winners = workspace.carve_rows(buffers.row)
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
        cdef Py_ssize_t i
        for i in range(block.top, block.top + block.rows):
            sample_sums(
                &buffers.inputs[i * buffers.input_row], self.pixels, self.channels,
                &buffers.sums[2 * i * self.channels],
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
        cdef Windows w = self.windows
        cdef Py_ssize_t i, row
        cdef const real *u
        cdef real *out
        cdef real *winners = NULL
        cdef real *near
        for i in range(block.top, block.top + block.rows):
            u, out = &buffers.inputs[i * buffers.input_row], &buffers.outputs[i * buffers.row]
            if not self.pools:
                self.normalize(buffers, u, self.pixels, out)
                continue
            near = &(<ThreadBuffers>block.thread).image[0]
            if buffers.winners.shape[0] > 0:
                winners = &buffers.winners[i * buffers.row]
            for row in range(w.rows):
                self.normalize(
                    buffers, u + row * w.height * w.line, w.height * (w.line // w.channels), near
                )
                pool_row(&w, near, out, winners)
                out += w.columns * w.channels
                if winners != NULL:
                    winners += w.columns * w.channels

    cdef void normalize(
        self, LayerBuffers buffers, const real *u, Py_ssize_t pixels, real *out
    ) noexcept nogil:
        """z = gain * (u - mean) * spread + bias."""
        cdef const real *gain = &self.arrays.parameters[self.units.gain]
        cdef const real *bias = &self.arrays.parameters[self.units.bias]
        cdef const real *mean = &buffers.statistics[0]
        cdef const real *spread = &buffers.spread[0]
        cdef Py_ssize_t c = 0
        while c + VECTOR_LENGTH <= self.channels:
            normalize_channels(
                True, 0, c, gain, bias, mean, spread, u, pixels, self.channels, out
            )
            c += VECTOR_LENGTH
        if c < self.channels:
            normalize_channels(
                False, <int>(self.channels - c), c, gain, bias, mean, spread, u, pixels,
                self.channels, out,
            )

    cdef void backward_before(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Windows w = self.windows
        cdef Py_ssize_t i, c, row
        cdef const real *u
        cdef real *sums
        for i in range(block.top, block.top + block.rows):
            u, sums = &buffers.inputs[i * buffers.input_row], &buffers.sums[2 * i * self.channels]
            memset(sums, 0, <size_t>(2 * self.channels) * sizeof(real))
            if self.pools:
                # What is in no window has no delta.
                for row in range(w.rows):
                    add_products(
                        u + row * w.height * w.line, self.delta_of(buffers, block, i, row),
                        &buffers.statistics[0], w.height * (w.line // w.channels), self.channels, sums,
                    )
            else:
                add_products(
                    u, &buffers.delta[i * buffers.row], &buffers.statistics[0], self.pixels,
                    self.channels, sums,
                )
            for c in range(self.channels):
                sums[self.channels + c] = sums[self.channels + c] * buffers.spread[c]

    cdef const real *delta_of(
        self, LayerBuffers buffers, const Block *block, Py_ssize_t i, Py_ssize_t row
    ) noexcept nogil:
        """The delta of a row of windows, written out."""
        cdef Windows w = self.windows
        cdef real *near = &(<ThreadBuffers>block.thread).image[0]
        cdef Py_ssize_t at = i * buffers.row + row * w.columns * w.channels
        if w.columns * w.width * w.channels != w.line or row == w.rows:
            memset(near, 0, <size_t>(w.height * w.line) * sizeof(real))
        if row < w.rows:
            unpool_row(&w, &buffers.delta[at], &buffers.winners[at], near, w.line)
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
        cdef Windows w = self.windows
        cdef Py_ssize_t i, at, row, rows, line
        cdef const real *delta
        for i in range(block.top, block.top + block.rows):
            at = i * buffers.input_row
            if not self.pools:
                self.denormalize(
                    buffers, block, &buffers.inputs[at], &buffers.delta[i * buffers.row],
                    self.pixels, &buffers.input_delta[at],
                )
                continue
            line = w.line // w.channels
            rows = self.pixels // line
            for row in range((rows + w.height - 1) // w.height):
                delta = self.delta_of(buffers, block, i, row)
                self.denormalize(
                    buffers, block, &buffers.inputs[at], delta,
                    min(w.height, rows - row * w.height) * line, &buffers.input_delta[at],
                )
                at += w.height * w.line

    cdef void denormalize(
        self, LayerBuffers buffers, const Block *block, const real *u, const real *delta,
        Py_ssize_t pixels, real *out,
    ) noexcept nogil:
        """out = gain * spread * (delta - its mean - normal * the mean of the products)."""
        cdef const real *gain = &self.arrays.parameters[self.units.gain]
        cdef const real *statistics = &buffers.statistics[0]
        cdef const real *spread = &buffers.spread[0]
        cdef real share = <real>1 / <real>(self.pixels * block.batch_rows)
        cdef Py_ssize_t c = 0
        while c + VECTOR_LENGTH <= self.channels:
            denormalize_channels(
                True, 0, c, gain, statistics, spread, share, u, delta, pixels, self.channels, out
            )
            c += VECTOR_LENGTH
        if c < self.channels:
            denormalize_channels(
                False, <int>(self.channels - c), c, gain, statistics, spread, share, u, delta,
                pixels, self.channels, out,
            )

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        """The gradients of bias and gain are the totals of all samples, whichever of them the slice has."""
        cdef Range where = self.range_of(piece)
        self.arrays.gradient[where.start : where.start + where.columns] = buffers.statistics[
            2 * self.channels : 4 * self.channels
        ]
        if block.steps:
            apply_step(block, self.arrays.gradient, &where)


cdef void sample_sums(
    const real *u, Py_ssize_t pixels, Py_ssize_t channels, real *sums
) noexcept nogil:
    """The sum of each channel of a sample, and that of the squares of what is left beside the mean."""
    cdef Py_ssize_t c = 0
    while c + VECTOR_LENGTH <= channels:
        sums_of_channels(True, 0, u + c, pixels, channels, sums + c)
        c += VECTOR_LENGTH
    if c < channels:
        sums_of_channels(False, <int>(channels - c), u + c, pixels, channels, sums + c)


cdef inline vector added(vector *sums) noexcept nogil:
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


cdef inline void sums_of_channels(
    const bint whole, const int columns, const real *u, Py_ssize_t pixels, Py_ssize_t channels,
    real *sums,
) noexcept nogil:
    cdef vector totals[ABREAST]
    cdef vector squares[ABREAST]
    cdef vector mean, rest
    cdef real share = <real>1 / <real>pixels
    cdef Py_ssize_t p, k
    for k in range(ABREAST):
        totals[k] = squares[k] = zero_vector()
    p = 0
    while p + ABREAST <= pixels:
        for k in range(ABREAST):
            totals[k] = totals[k] + load(u + (p + k) * channels, whole, columns)
        p += ABREAST
    while p < pixels:
        totals[0] = totals[0] + load(u + p * channels, whole, columns)
        p += 1
    mean = added(totals)
    store(sums, mean, whole, columns)
    mean = share * mean
    p = 0
    while p + ABREAST <= pixels:
        for k in range(ABREAST):
            rest = load(u + (p + k) * channels, whole, columns) - mean
            squares[k] = squares[k] + rest * rest
        p += ABREAST
    while p < pixels:
        rest = load(u + p * channels, whole, columns) - mean
        squares[0] = squares[0] + rest * rest
        p += 1
    store(sums + channels, added(squares), whole, columns)


cdef inline void normalize_channels(
    const bint whole, const int columns, Py_ssize_t c, const real *gain, const real *bias,
    const real *mean, const real *spread, const real *u, Py_ssize_t pixels, Py_ssize_t channels,
    real *out,
) noexcept nogil:
    """Some channels from number `c` on, as many as a vector holds, or fewer unless it is whole."""
    cdef vector factor = load(gain + c, whole, columns) * load(spread + c, whole, columns)
    cdef vector shift = load(bias + c, whole, columns), middle = load(mean + c, whole, columns)
    cdef Py_ssize_t p
    for p in range(pixels):
        store(
            out + c, (load(u + c, whole, columns) - middle) * factor + shift, whole, columns
        )
        u += channels
        out += channels


cdef void add_products(
    const real *u, const real *delta, const real *mean, Py_ssize_t pixels, Py_ssize_t channels,
    real *sums,
) noexcept nogil:
    """Add the sums of the delta, and behind them those of its products with what u has beside its mean."""
    cdef Py_ssize_t c = 0
    while c + VECTOR_LENGTH <= channels:
        products_of_channels(True, 0, u + c, delta + c, mean + c, pixels, channels, sums + c)
        c += VECTOR_LENGTH
    if c < channels:
        products_of_channels(
            False, <int>(channels - c), u + c, delta + c, mean + c, pixels, channels, sums + c
        )


cdef inline void products_of_channels(
    const bint whole, const int columns, const real *u, const real *delta, const real *mean,
    Py_ssize_t pixels, Py_ssize_t channels, real *sums,
) noexcept nogil:
    cdef vector totals[ABREAST]
    cdef vector products[ABREAST]
    cdef vector middle = load(mean, whole, columns), value
    cdef Py_ssize_t p, k
    for k in range(ABREAST):
        totals[k] = products[k] = zero_vector()
    p = 0
    while p + ABREAST <= pixels:
        for k in range(ABREAST):
            value = load(delta + (p + k) * channels, whole, columns)
            totals[k] = totals[k] + value
            products[k] = products[k] + value * (
                load(u + (p + k) * channels, whole, columns) - middle
            )
        p += ABREAST
    while p < pixels:
        value = load(delta + p * channels, whole, columns)
        totals[0] = totals[0] + value
        products[0] = products[0] + value * (load(u + p * channels, whole, columns) - middle)
        p += 1
    store(sums, load(sums, whole, columns) + added(totals), whole, columns)
    sums += channels
    store(sums, load(sums, whole, columns) + added(products), whole, columns)


cdef inline void denormalize_channels(
    const bint whole, const int columns, Py_ssize_t c, const real *gain, const real *statistics,
    const real *spread, real share, const real *u, const real *delta, Py_ssize_t pixels,
    Py_ssize_t channels, real *out,
) noexcept nogil:
    """As in `normalize_channels`; `out` may be u."""
    cdef vector own_spread = load(spread + c, whole, columns)
    cdef vector factor = load(gain + c, whole, columns) * own_spread
    cdef vector middle = load(statistics + c, whole, columns)
    cdef vector mean_delta = share * load(statistics + 2 * channels + c, whole, columns)
    cdef vector slope = share * load(statistics + 3 * channels + c, whole, columns) * own_spread
    cdef Py_ssize_t p
    for p in range(pixels):
        store(
            out + c,
            factor * (
                (middle - load(u + c, whole, columns)) * slope
                + (load(delta + c, whole, columns) - mean_delta)
            ),
            whole, columns,
        )
        u += channels
        delta += channels
        out += channels


cdef NormalizationLayer channel_normalization(
    Py_ssize_t channels, Py_ssize_t pixels, Py_ssize_t bias, Py_ssize_t mean, pool
):
    """Over images of so many pixels; the gain stands behind the bias, the variances behind the means.

    `pool` is the description of a pool that becomes part of the layer, or None.
    """
    cdef ChannelNormalization layer = ChannelNormalization.__new__(ChannelNormalization)
    layer.over_batch = True
    layer.fan_in = layer.fan_out = channels * pixels
    layer.channels, layer.pixels = channels, pixels
    layer.pieces = layer.barrier_tasks = 1
    layer.units = Units(bias + channels, bias, mean, mean + channels)
    if pool is not None:
        layer.pools, layer.windows = True, windows_of(pool)
        layer.fan_out, layer.scratch = pool.fan_out, layer.windows.height * layer.windows.line
    return layer
