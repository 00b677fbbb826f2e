"""Layer normalization: over the units of a sample, or over the channels of a pixel, by the formulas of
`Kernels.normalize` and `normalize_backward`.

A sum over the units is made of LANES sums, in the same way at every level, so that a vector can hold them.
"""

cimport cython

from cnn_core import layers

from .layer cimport Block, Layer, LayerBuffers, Workspace
from .matrix cimport Range, Shape, add_rows
from .scalar cimport real, real_multiply_add, square_root
from .update cimport apply_step

cdef enum:
    LANES = 16
    HALF = 8

cdef double EPSILON = layers.EPSILON


@cython.final
cdef class LayerNormalization(Layer):
    """Over the channels of each pixel; the units of a sample are those of a single pixel.

    The normalized values take the place of the inputs, where the way back reads them.
    """

    cdef Py_ssize_t channels
    cdef Py_ssize_t pixels
    # Where the biases begin in the parameters, and the gains behind them.
    cdef Py_ssize_t bias
    cdef Py_ssize_t gain

    def __cinit__(self, Py_ssize_t channels, Py_ssize_t pixels, Py_ssize_t bias):
        self.channels, self.pixels = channels, pixels
        self.fan_in = self.fan_out = channels * pixels
        self.bias, self.gain, self.pieces = bias, bias + channels, 1

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        Layer.lay_out(self, workspace, buffers, training)
        if training:
            buffers.outputs = workspace.carve_rows(buffers.row)
            buffers.delta = workspace.carve_rows(buffers.row)
        buffers.spread = workspace.carve_rows(self.pixels)
        return 0

    cdef Shape shape(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """The pixels of a block, as so many rows."""
        return Shape(
            block.top * buffers.row, block.rows * self.pixels, self.channels,
            buffers.row // self.pixels,
        )

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        normalize_rows(
            buffers.inputs, self.arrays.parameters, self.gain, self.bias,
            self.shape(buffers, block), block.top * self.pixels, buffers.spread, buffers.outputs,
        )

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        rows_backward(
            buffers.inputs, buffers.spread, self.arrays.parameters, self.gain, buffers.delta,
            self.shape(buffers, block), block.top * self.pixels, buffers.input_delta,
        )

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        cdef Py_ssize_t size = 2 * self.channels
        return Range(self.bias, 1, size, size, self.bias, size, False)

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        cdef Shape shape = self.shape(buffers, block)
        cdef Range where = self.range_of(piece)
        if not block.adds:
            self.arrays.gradient[where.start : where.start + where.columns] = 0
        add_rows(buffers.delta, shape, self.arrays.gradient, self.bias)
        add_products(buffers.delta, buffers.inputs, shape, self.arrays.gradient, self.gain)
        if block.steps:
            apply_step(block, self.arrays.gradient, &where)


cdef void normalize_rows(
    real[::1] u, const real[::1] parameters, Py_ssize_t gain, Py_ssize_t bias, Shape shape,
    Py_ssize_t top, real[::1] spread, real[::1] z,
) noexcept nogil:
    """normal = (u - mean) * spread, in the place of u, and z = gain * normal + bias.

    The spread of the first row is number `top`.
    """
    cdef Py_ssize_t i, j, at
    cdef real mean, value, count = <real>shape.columns
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        mean = sum_of(False, u, u, at, shape.columns) / count
        for j in range(at, at + shape.columns):
            u[j] = u[j] - mean
        value = sum_of(True, u, u, at, shape.columns) / count
        spread[top + i] = 1 / square_root(value + <real>EPSILON)
        for j in range(shape.columns):
            value = u[at + j] * spread[top + i]
            u[at + j] = value
            z[at + j] = real_multiply_add(parameters[gain + j], value, parameters[bias + j])


cdef void rows_backward(
    const real[::1] normal, const real[::1] spread, const real[::1] parameters, Py_ssize_t gain,
    const real[::1] delta, Shape shape, Py_ssize_t top, real[::1] out,
) noexcept nogil:
    """From dloss/dz, `delta`, to dloss/du."""
    cdef Py_ssize_t i, j, at
    cdef real mean, product, count = <real>shape.columns
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        for j in range(shape.columns):
            out[at + j] = parameters[gain + j] * delta[at + j]
        mean = sum_of(False, out, out, at, shape.columns) / count
        product = sum_of(True, out, normal, at, shape.columns) / count
        for j in range(at, at + shape.columns):
            out[j] = spread[top + i] * real_multiply_add(-normal[j], product, out[j] - mean)


cdef inline real sum_of(
    const bint products, const real[::1] a, const real[::1] b, Py_ssize_t start, Py_ssize_t size
) noexcept nogil:
    """The sum of some values of `a`, or of their products with those of `b`."""
    cdef real lanes[LANES]
    cdef real halves[HALF]
    cdef Py_ssize_t j = start, end = start + size
    cdef int lane
    for lane in range(LANES):
        lanes[lane] = 0
    while j + LANES <= end:
        for lane in range(LANES):
            lanes[lane] = real_multiply_add(a[j + lane], b[j + lane] if products else 1, lanes[lane])
        j += LANES
    for lane in range(<int>(end - j)):
        lanes[lane] = real_multiply_add(a[j + lane], b[j + lane] if products else 1, lanes[lane])
    for lane in range(HALF):
        halves[lane] = lanes[lane] + lanes[lane + HALF]
    return (
        ((halves[0] + halves[4]) + (halves[1] + halves[5]))
        + ((halves[2] + halves[6]) + (halves[3] + halves[7]))
    )


cdef void add_products(
    const real[::1] a, const real[::1] b, Shape shape, real[::1] out, Py_ssize_t at
) noexcept nogil:
    cdef Py_ssize_t i, j, start
    for i in range(shape.rows):
        start = shape.start + i * shape.row
        for j in range(shape.columns):
            out[at + j] = real_multiply_add(a[start + j], b[start + j], out[at + j])
