"""Pooling: the largest value or the mean of each window, channel by channel.

As many channels as a vector holds are taken at a time. The way back of a layer of its own looks for the
largest values once more. Where a pool is part of the layer below, `pool_rows` keeps which they are, as
numbers of a byte each: so the image itself need not be kept.
"""

cimport cython
from libc.string cimport memset

from .layer cimport Block, Layer, LayerBuffers, Workspace
from .scalar cimport real
from .vector cimport Lanes, each_vector, load_lanes, store_lanes, vector, zero_vector

cdef extern from "vector.h" nogil:
    void keep_larger(vector value, vector number, vector *most, vector *winner)
    vector number_vector(int number)
    vector with_number(vector numbers, vector number, int place)
    vector number_at(vector numbers, int place)
    vector where_equal(vector a, vector b, vector value)

cdef enum:
    # Windows whose numbers a value holds.
    PLACES = 4


@cython.final
cdef class PoolLayer(Layer):
    """outputs = the largest value or the mean of each window of the inputs."""

    cdef Windows windows

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        buffers.row = self.fan_out
        buffers.outputs = workspace.carve_rows(buffers.row)
        if training:
            buffers.delta = workspace.carve_rows(buffers.row)
        return 0

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(block.top, block.top + block.rows):
            pool_rows(
                &self.windows, 0, self.windows.rows, &buffers.inputs[i * buffers.input_row],
                &buffers.outputs[i * buffers.row], NULL,
            )

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i
        if self.is_first:
            return
        for i in range(block.top, block.top + block.rows):
            self.pool_backward(
                &buffers.inputs[i * buffers.input_row], &buffers.delta[i * buffers.row],
                &buffers.input_delta[i * buffers.input_row],
            )

    cdef void pool_backward(self, const real *x, const real *delta, real *out) noexcept nogil:
        cdef Windows w = self.windows
        cdef Row r = Row(&w, x, NULL, delta, out, w.line)
        cdef Py_ssize_t row
        if not w.tile:
            memset(out, 0, <size_t>self.fan_in * sizeof(real))
        for row in range(w.rows):
            each_vector(channels_backward, 1, w.channels, &r)
            r.delta += w.columns * w.channels
            r.x += w.step * w.line
            r.out += w.step * w.line


cdef struct Row:
    # A row of windows: its image, which of its window each largest value is, the delta; what is written,
    # and for an image how far apart its rows are.
    const Windows *w
    const real *x
    real *winners
    const real *delta
    real *out
    Py_ssize_t line


cdef void pool_rows(
    const Windows *w, Py_ssize_t first, Py_ssize_t end, const real *x, real *out, real *winners
) noexcept nogil:
    cdef Py_ssize_t row, size = w.columns * w.channels
    cdef Row r = Row(w, x, NULL, NULL, out + first * size, 0)
    for row in range(first, end):
        if winners != NULL:
            r.winners = winners + row * w.winners
        if w.takes_largest:
            each_vector(pool_channels, 1, w.channels, &r)
        else:
            each_vector(mean_channels, 1, w.channels, &r)
        r.x += w.step * w.line
        r.out += size


cdef void unpool_rows(
    const Windows *w, Py_ssize_t first, Py_ssize_t end, const real *delta, const real *winners,
    real *out, Py_ssize_t line,
) noexcept nogil:
    cdef Py_ssize_t row, size = w.columns * w.channels
    cdef Row r = Row(w, NULL, NULL, delta + first * size, out, line)
    for row in range(first, end):
        r.winners = <real *>winners + row * w.winners
        each_vector(unpool_channels, 1, w.channels, &r)
        r.delta += size
        r.out += w.height * line


# Loops for `each_vector`, over some channels of a row of windows. The size of a window is a constant where
# it is the usual one, so that the loops over it are unrolled.


cdef inline void pool_channels(Lanes lanes, const void *of) noexcept nogil:
    cdef const Windows *w = (<const Row *>of).w
    if w.height == 2 and w.width == 2:
        pool_windows(2, 2, lanes, <const Row *>of)
    else:
        pool_windows(w.height, w.width, lanes, <const Row *>of)


cdef inline void pool_windows(
    const Py_ssize_t height, const Py_ssize_t width, Lanes lanes, const Row *r
) noexcept nogil:
    cdef const Windows *w = r.w
    cdef const real *x = r.x
    cdef real *winners = r.winners
    cdef vector winner, numbers = zero_vector()
    cdef Py_ssize_t column
    for column in range(w.columns):
        store_lanes(
            r.out + column * w.channels, largest(height, width, lanes, w, x, &winner), lanes
        )
        x += w.step * w.channels
        if winners == NULL:
            continue
        numbers = with_number(numbers, winner, column % PLACES)
        if column % PLACES == PLACES - 1 or column == w.columns - 1:
            store_lanes(winners, numbers, lanes)
            winners += w.channels
            numbers = zero_vector()


cdef inline vector largest(
    const Py_ssize_t height, const Py_ssize_t width, Lanes lanes, const Windows *w, const real *x,
    vector *winner,
) noexcept nogil:
    """The largest values of some channels of a window, and which of it they are.

    The first of several; NaN counts as the largest.
    """
    cdef vector most = load_lanes(x, lanes)
    cdef Py_ssize_t i, j
    winner[0] = zero_vector()
    for i in range(height):
        for j in range(width):
            if i + j > 0:
                keep_larger(
                    load_lanes(x + i * w.line + j * w.channels, lanes),
                    number_vector(<int>(i * width + j)), &most, winner,
                )
    return most


cdef inline void unpool_channels(Lanes lanes, const void *of) noexcept nogil:
    cdef const Windows *w = (<const Row *>of).w
    if w.height == 2 and w.width == 2:
        unpool_windows(2, 2, lanes, <const Row *>of)
    else:
        unpool_windows(w.height, w.width, lanes, <const Row *>of)


cdef inline void unpool_windows(
    const Py_ssize_t height, const Py_ssize_t width, Lanes lanes, const Row *r
) noexcept nogil:
    cdef const Windows *w = r.w
    cdef vector winner, value
    cdef real *out = r.out
    cdef Py_ssize_t column, i, j
    for column in range(w.columns):
        value = load_lanes(r.delta + column * w.channels, lanes)
        winner = number_at(
            load_lanes(r.winners + column // PLACES * w.channels, lanes), column % PLACES
        )
        for i in range(height):
            for j in range(width):
                store_lanes(
                    out + i * r.line + j * w.channels,
                    where_equal(winner, number_vector(<int>(i * width + j)), value), lanes,
                )
        out += width * w.channels


cdef inline void mean_channels(Lanes lanes, const void *of) noexcept nogil:
    cdef const Row *r = <const Row *>of
    cdef const Windows *w = r.w
    cdef const real *x = r.x
    cdef vector total
    cdef Py_ssize_t column, i, j
    for column in range(w.columns):
        total = zero_vector()
        for i in range(w.height):
            for j in range(w.width):
                total = total + load_lanes(x + i * w.line + j * w.channels, lanes)
        store_lanes(r.out + column * w.channels, w.share * total, lanes)
        x += w.step * w.channels


cdef inline void channels_backward(Lanes lanes, const void *of) noexcept nogil:
    """To the first of the largest values all of the delta, or to each its share.

    It is added to `out` where a value may be in other windows as well.
    """
    cdef const Row *r = <const Row *>of
    cdef const Windows *w = r.w
    cdef vector value, winner, part
    cdef Py_ssize_t column, i, j, to
    for column in range(w.columns):
        value = load_lanes(r.delta + column * w.channels, lanes)
        winner = zero_vector()
        if w.takes_largest:
            largest(w.height, w.width, lanes, w, r.x + column * w.step * w.channels, &winner)
        else:
            value = w.share * value
        for i in range(w.height):
            for j in range(w.width):
                to = i * w.line + (column * w.step + j) * w.channels
                part = value
                if w.takes_largest:
                    part = where_equal(winner, number_vector(<int>(i * w.width + j)), value)
                if not w.tile:
                    part = part + load_lanes(r.out + to, lanes)
                store_lanes(r.out + to, part, lanes)


cdef Windows windows_of(description):
    cdef Py_ssize_t rows, columns, channels
    rows, columns, channels = description.output_shape
    height, width = description.window
    return Windows(
        rows, columns, channels, height, width, description.step,
        description.input_shape[1] * channels,
        (rows * height, columns * width) == description.input_shape[:2]
        and description.step == height == width,
        type(description).__name__ == "MaxPool2D",
        <real>(1.0 / (<double>height * <double>width)), (columns + PLACES - 1) // PLACES * channels,
    )


def pool_layer(description):
    """The layer of a description."""
    cdef PoolLayer layer = PoolLayer.__new__(PoolLayer)
    layer.fan_in, layer.fan_out = description.fan_in, description.fan_out
    layer.windows = windows_of(description)
    return layer
