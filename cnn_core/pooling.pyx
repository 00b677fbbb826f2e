"""Pooling: the largest value or the mean of each window, channel by channel.

As many channels as a vector holds are taken at a time. The way back of a layer of its own looks for the
largest values once more. Where a pool is part of the layer below, `pool_row` keeps which they are, as
numbers of type real: so the image itself need not be kept.
"""

cimport cython
from libc.string cimport memset

from .layer cimport Block, Layer, LayerBuffers, Workspace
from .scalar cimport real
from .vector cimport VECTOR_LENGTH, load, store, vector, zero_vector

cdef extern from "vector.h" nogil:
    void keep_larger(vector value, vector number, vector *most, vector *winner)
    vector where_equal(vector a, vector b, vector value)


@cython.final
cdef class PoolLayer(Layer):
    """outputs = the largest value or the mean of each window of the inputs."""

    cdef bint takes_largest
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
            self.pool(&buffers.inputs[i * buffers.input_row], &buffers.outputs[i * buffers.row])

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i
        if self.is_first:
            return
        for i in range(block.top, block.top + block.rows):
            self.pool_backward(
                &buffers.inputs[i * buffers.input_row], &buffers.delta[i * buffers.row],
                &buffers.input_delta[i * buffers.input_row],
            )

    cdef void pool(self, const real *x, real *out) noexcept nogil:
        cdef Windows w = self.windows
        cdef Py_ssize_t row
        for row in range(w.rows):
            if self.takes_largest:
                pool_row(&w, x, out, NULL)
            else:
                mean_row(&w, x, out)
            out += w.columns * w.channels
            x += w.step * w.line

    cdef void pool_backward(self, const real *x, const real *delta, real *out) noexcept nogil:
        cdef Windows w = self.windows
        cdef Py_ssize_t row, column
        cdef int c
        if not w.tile:
            memset(out, 0, <size_t>self.fan_in * sizeof(real))
        for row in range(w.rows):
            for column in range(w.columns):
                c = 0
                while c + VECTOR_LENGTH <= w.channels:
                    window_backward(self.takes_largest, True, 0, &w, x + c, delta + c, out + c)
                    c += VECTOR_LENGTH
                if c < w.channels:
                    window_backward(
                        self.takes_largest, False, <int>w.channels - c, &w, x + c, delta + c, out + c
                    )
                delta += w.channels
                x += w.step * w.channels
                out += w.step * w.channels
            x += w.step * (w.line - w.columns * w.channels)
            out += w.step * (w.line - w.columns * w.channels)


# Called with constants for the usual size of a window, so that the loops over it are unrolled.


cdef inline vector largest(
    const Py_ssize_t height, const Py_ssize_t width, const bint whole, const int columns,
    const Windows *w, const real *x, vector *winner,
) noexcept nogil:
    """The largest values of some channels of a window, as many as a vector holds, or fewer.

    The first of several; NaN counts as the largest.
    """
    cdef vector most = load(x, whole, columns), number = zero_vector()
    cdef Py_ssize_t i, j
    winner[0] = number
    for i in range(height):
        for j in range(width):
            if i + j > 0:
                number = number + <real>1
                keep_larger(
                    load(x + i * w.line + j * w.channels, whole, columns), number, &most, winner
                )
    return most


cdef inline void pool_channels(
    const Py_ssize_t height, const Py_ssize_t width, const bint whole, const int columns,
    const Windows *w, const real *x, Py_ssize_t at, real *out, real *winners,
) noexcept nogil:
    """Some channels of a row of windows, from number `at` on."""
    cdef vector winner
    cdef Py_ssize_t column
    x += at
    for column in range(w.columns):
        store(out + at, largest(height, width, whole, columns, w, x, &winner), whole, columns)
        if winners != NULL:
            store(winners + at, winner, whole, columns)
        at += w.channels
        x += w.step * w.channels


cdef void pool_row(const Windows *w, const real *x, real *out, real *winners) noexcept nogil:
    cdef Py_ssize_t c = 0
    while c + VECTOR_LENGTH <= w.channels:
        if w.height == 2 and w.width == 2:
            pool_channels(2, 2, True, 0, w, x, c, out, winners)
        else:
            pool_channels(w.height, w.width, True, 0, w, x, c, out, winners)
        c += VECTOR_LENGTH
    if c < w.channels:
        pool_channels(
            w.height, w.width, False, <int>(w.channels - c), w, x, c, out, winners
        )


cdef inline void unpool_channels(
    const Py_ssize_t height, const Py_ssize_t width, const bint whole, const int columns,
    const Windows *w, Py_ssize_t at, const real *delta, const real *winners, real *out,
    Py_ssize_t line,
) noexcept nogil:
    """Some channels of a row of windows, from number `at` on."""
    cdef vector number, winner, value
    cdef Py_ssize_t column, i, j
    out += at
    for column in range(w.columns):
        winner = load(winners + at, whole, columns)
        value = load(delta + at, whole, columns)
        number = zero_vector()
        for i in range(height):
            for j in range(width):
                store(
                    out + i * line + j * w.channels, where_equal(winner, number, value), whole, columns
                )
                number = number + <real>1
        at += w.channels
        out += width * w.channels


cdef void unpool_row(
    const Windows *w, const real *delta, const real *winners, real *out, Py_ssize_t line
) noexcept nogil:
    cdef Py_ssize_t c = 0
    while c + VECTOR_LENGTH <= w.channels:
        if w.height == 2 and w.width == 2:
            unpool_channels(2, 2, True, 0, w, c, delta, winners, out, line)
        else:
            unpool_channels(w.height, w.width, True, 0, w, c, delta, winners, out, line)
        c += VECTOR_LENGTH
    if c < w.channels:
        unpool_channels(
            w.height, w.width, False, <int>(w.channels - c), w, c, delta, winners, out, line
        )


cdef void mean_row(const Windows *w, const real *x, real *out) noexcept nogil:
    """The means of a row of windows."""
    cdef Py_ssize_t column
    cdef int c
    for column in range(w.columns):
        c = 0
        while c + VECTOR_LENGTH <= w.channels:
            mean(True, 0, w, x + c, out + c)
            c += VECTOR_LENGTH
        if c < w.channels:
            mean(False, <int>w.channels - c, w, x + c, out + c)
        x += w.step * w.channels
        out += w.channels


cdef inline void mean(
    const bint whole, const int columns, const Windows *w, const real *x, real *out
) noexcept nogil:
    cdef vector total = zero_vector()
    cdef Py_ssize_t i, j
    for i in range(w.height):
        for j in range(w.width):
            total = total + load(x + i * w.line + j * w.channels, whole, columns)
    store(out, w.share * total, whole, columns)


cdef inline void window_backward(
    const bint takes_largest, const bint whole, const int columns, const Windows *w, const real *x,
    const real *delta, real *out,
) noexcept nogil:
    """To the first of the largest values all of the delta, or to each its share.

    It is added to `out` where a value may be in other windows as well.
    """
    cdef vector value = load(delta, whole, columns), number = zero_vector(), winner = zero_vector(), part
    cdef Py_ssize_t i, j, at
    if takes_largest:
        largest(w.height, w.width, whole, columns, w, x, &winner)
    else:
        value = w.share * value
    for i in range(w.height):
        for j in range(w.width):
            at = i * w.line + j * w.channels
            part = value
            if takes_largest:
                part = where_equal(winner, number, value)
            if not w.tile:
                part = part + load(out + at, whole, columns)
            store(out + at, part, whole, columns)
            number = number + <real>1


cdef Windows windows_of(description):
    cdef Py_ssize_t rows, columns, channels
    rows, columns, channels = description.output_shape
    height, width = description.window
    return Windows(
        rows, columns, channels, height, width, description.step,
        description.input_shape[1] * channels,
        (rows * height, columns * width) == description.input_shape[:2]
        and description.step == height == width,
        <real>(1.0 / (<double>height * <double>width)),
    )


cdef Layer pool_layer(description):
    """The layer of a description."""
    cdef PoolLayer layer = PoolLayer.__new__(PoolLayer)
    layer.fan_in, layer.fan_out = description.fan_in, description.fan_out
    layer.takes_largest = type(description).__name__ == "MaxPool2D"
    layer.windows = windows_of(description)
    return layer
