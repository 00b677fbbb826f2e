"""Pooling: the largest value or the mean of each window, channel by channel.

As many channels as a vector holds are taken at a time. The way back looks for the largest value once
more, which costs less than to keep where it was.
"""

cimport cython
from libc.string cimport memset

from .layer cimport Block, LayerBuffers, Workspace
from .scalar cimport real
from .vector cimport VECTOR_LENGTH, load, store, vector, zero_vector

cdef extern from "vector.h" nogil:
    vector larger(vector a, vector b)
    vector take_where_equal(vector a, vector b, vector *rest)


@cython.final
cdef class PoolLayer(Layer):
    """outputs = the largest value or the mean of each window of the inputs."""

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
        cdef Py_ssize_t row, column
        cdef int c
        for row in range(w.rows):
            for column in range(w.columns):
                c = 0
                while c + VECTOR_LENGTH <= w.channels:
                    pool_window(self.takes_largest, True, 0, &w, x + c, out + c)
                    c += VECTOR_LENGTH
                if c < w.channels:
                    pool_window(
                        self.takes_largest, False, <int>w.channels - c, &w, x + c, out + c
                    )
                out += w.channels
                x += w.step * w.channels
            x += w.step * (w.line - w.columns * w.channels)

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
                    pool_window_backward(
                        self.takes_largest, True, 0, &w, x + c, delta + c, out + c
                    )
                    c += VECTOR_LENGTH
                if c < w.channels:
                    pool_window_backward(
                        self.takes_largest, False, <int>w.channels - c, &w, x + c, delta + c, out + c
                    )
                delta += w.channels
                x += w.step * w.channels
                out += w.step * w.channels
            x += w.step * (w.line - w.columns * w.channels)
            out += w.step * (w.line - w.columns * w.channels)


cdef inline void pool_window(
    const bint takes_largest, const bint whole, const int columns, const Windows *w, const real *x,
    real *out,
) noexcept nogil:
    """Some channels of a window, as many as a vector holds, or fewer unless it is whole."""
    cdef vector found = load(x, whole, columns) if takes_largest else zero_vector(), value
    cdef Py_ssize_t i, j
    for i in range(w.height):
        for j in range(w.width):
            value = load(x + i * w.line + j * w.channels, whole, columns)
            found = larger(found, value) if takes_largest else found + value
    store(out, found if takes_largest else w.share * found, whole, columns)


cdef inline void pool_window_backward(
    const bint takes_largest, const bint whole, const int columns, const Windows *w, const real *x,
    const real *delta, real *out,
) noexcept nogil:
    """To the first of the largest values all of the delta, or to each its share.

    It is added to `out` where a value may be in other windows as well.
    """
    cdef vector rest = load(delta, whole, columns), most = load(x, whole, columns), part
    cdef Py_ssize_t i, j, at
    if takes_largest:
        for i in range(w.height):
            for j in range(w.width):
                most = larger(most, load(x + i * w.line + j * w.channels, whole, columns))
    else:
        rest = w.share * rest
    for i in range(w.height):
        for j in range(w.width):
            at = i * w.line + j * w.channels
            part = rest
            if takes_largest:
                part = take_where_equal(load(x + at, whole, columns), most, &rest)
            if not w.tile:
                part = part + load(out + at, whole, columns)
            store(out + at, part, whole, columns)


cdef PoolLayer pool_layer(description):
    """The layer of a description."""
    cdef PoolLayer layer = PoolLayer.__new__(PoolLayer)
    cdef Py_ssize_t rows, columns, channels
    rows, columns, channels = description.output_shape
    height, width = description.window
    layer.fan_in, layer.fan_out = description.fan_in, description.fan_out
    layer.takes_largest = type(description).__name__ == "MaxPool2D"
    layer.windows = Windows(
        rows, columns, channels, height, width, description.step,
        description.input_shape[1] * channels,
        (rows * height, columns * width) == description.input_shape[:2]
        and description.step == height == width,
        <real>(1.0 / (<double>height * <double>width)),
    )
    return layer
