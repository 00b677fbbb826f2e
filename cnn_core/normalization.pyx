"""Normalization: the formulas of `Kernels.normalize` and its fellows, as loops, and the layer.

A sum over samples goes down a few columns at once, each in rising order. A sum over the units of a
sample is made of LANES sums, in the same way at every level, so that a vector can hold them.
"""

cimport cython

from .layer cimport Block, LayerBuffers, Workspace, block_shape
from .matrix cimport Range, Shape
from .scalar cimport real, real_multiply_add, square_root
from .update cimport apply_step

cdef enum:
    LANES = 16
    HALF = 8
    # Columns that are normalized over the batch at once.
    ABREAST = 64

# What `cnn_core.network` calls EPSILON and STATISTICS_MOMENTUM.
cdef double EPSILON = 1e-5
cdef double STATISTICS_MOMENTUM = 0.1


cdef class NormalizationLayer(Layer):
    """The layer of a normalization, with its gain and bias. Over the batch all samples wait for it."""

    cdef Shape shape(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """The pixels of a block, as so many rows."""
        return Shape(
            block.top * buffers.row, block.rows * self.pixels, self.channels,
            buffers.row // self.pixels,
        )

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        Layer.lay_out(self, workspace, buffers, training)
        if training:
            # The inputs become the normalized values, which the way back reads.
            buffers.outputs = workspace.carve_rows(buffers.row)
            buffers.delta = workspace.carve_rows(buffers.row)
        buffers.spread = workspace.carve_reals(workspace.rows * self.pixels + self.channels)
        buffers.statistics = workspace.carve_reals(2 * self.channels)
        return 0

    cdef void forward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        normalize_rows(
            buffers.inputs, self.arrays.parameters, self.units,
            self.shape(buffers, block), block.top * self.pixels, buffers.inputs, buffers.spread,
            buffers.outputs,
        )

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        if self.over_batch:
            normalize_by(
                self.arrays.statistics, self.arrays.parameters, self.units,
                buffers.inputs, self.shape(buffers, block), buffers.outputs,
            )
        else:
            self.forward(buffers, block)

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        rows_backward(
            buffers.inputs, buffers.spread, self.arrays.parameters, self.units, buffers.delta,
            self.shape(buffers, block), block.top * self.pixels, buffers.input_delta,
        )

    cdef void forward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil:
        normalize_few(
            buffers.inputs, self.arrays.parameters, self.units,
            self.columns(buffers, block, task), task * ABREAST, buffers.inputs, buffers.spread,
            buffers.outputs, buffers.statistics,
        )

    cdef void backward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil:
        few_backward(
            buffers.inputs, buffers.spread, self.arrays.parameters, self.units, buffers.delta,
            self.columns(buffers, block, task), task * ABREAST, buffers.input_delta,
        )

    cdef Shape columns(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil:
        """All samples of the workspace, the columns of a task."""
        cdef Py_ssize_t first = task * ABREAST
        return Shape(
            first, block.rows, min(self.channels - first, <Py_ssize_t>ABREAST), buffers.row
        )

    cdef void end_forward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        # One value has no variance to tell of.
        if self.over_batch and block.batch_rows * self.pixels > 1:
            move_averages(
                buffers.statistics, self.arrays.statistics, self.units.mean, 2 * self.channels
            )

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        return Range(
            self.units.bias, 1, 2 * self.channels, 2 * self.channels, self.units.bias,
            2 * self.channels, False,
        )

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        """The gradient of bias and gain, which stand one behind the other, and the step."""
        cdef Shape shape = self.shape(buffers, block)
        cdef Range where = self.range_of(piece)
        if not block.adds:
            self.arrays.gradient[where.start : where.start + where.columns] = 0
        add_rows(buffers.delta, shape, self.arrays.gradient, self.units.bias)
        add_products(
            buffers.delta, buffers.inputs, shape, self.arrays.gradient, self.units.gain
        )
        if block.steps:
            apply_step(block, self.arrays.gradient, &where)


cdef NormalizationLayer normalization_layer(
    str name, Py_ssize_t channels, Py_ssize_t pixels, Py_ssize_t bias, Py_ssize_t mean
):
    """Of so many channels of each pixel, the gain behind the bias, the variances behind the means.

    Over the batch it is for one pixel; channels.pyx has the one for more.
    """
    cdef NormalizationLayer layer = NormalizationLayer.__new__(NormalizationLayer)
    if name not in ("batch", "layer"):
        raise ValueError(f"normalization: expected batch or layer, found {name!r}")
    layer.over_batch = name == "batch"
    layer.fan_in = layer.fan_out = channels * pixels
    layer.channels, layer.pixels = channels, pixels
    layer.pieces = 1
    layer.barrier_tasks = (channels + ABREAST - 1) // ABREAST if layer.over_batch else 0
    layer.units = Units(bias + channels, bias, mean, mean + channels)
    return layer


cdef void normalize_few(
    const real[::1] u, const real[::1] parameters, Units units, Shape shape, Py_ssize_t first,
    real[::1] normal, real[::1] spread, real[::1] z, real[::1] statistics,
) noexcept nogil:
    """normal = (u - mean) * spread, z = gain * normal + bias, by the mean and spread of each column.

    Up to ABREAST columns from number `first` on. What running averages should move towards is written
    to `statistics`, the variances behind the means.
    """
    cdef real means[ABREAST]
    cdef real squares[ABREAST]
    cdef real count = <real>shape.rows, rest, value
    cdef real others = <real>max(shape.rows - 1, <Py_ssize_t>1)
    cdef real epsilon = <real>EPSILON
    cdef Py_ssize_t i, j, at, gain = units.gain + first, bias = units.bias + first
    for j in range(shape.columns):
        means[j] = 0
        squares[j] = 0
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        for j in range(shape.columns):
            means[j] = means[j] + u[at + j]
    for j in range(shape.columns):
        means[j] = means[j] / count
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        for j in range(shape.columns):
            rest = u[at + j] - means[j]
            squares[j] = real_multiply_add(rest, rest, squares[j])
    for j in range(shape.columns):
        spread[first + j] = 1 / square_root(squares[j] / count + epsilon)
        statistics[first + j] = means[j]
        statistics[units.variance - units.mean + first + j] = squares[j] / others
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        for j in range(shape.columns):
            value = (u[at + j] - means[j]) * spread[first + j]
            normal[at + j] = value
            z[at + j] = real_multiply_add(parameters[gain + j], value, parameters[bias + j])


cdef void move_averages(
    const real[::1] found, real[::1] averages, Py_ssize_t start, Py_ssize_t size
) noexcept nogil:
    cdef Py_ssize_t j
    cdef real pace = <real>STATISTICS_MOMENTUM
    for j in range(size):
        averages[start + j] = real_multiply_add(
            pace, found[j] - averages[start + j], averages[start + j]
        )


cdef inline real sum_of_lanes(const real *lanes) noexcept nogil:
    cdef real halves[HALF]
    cdef int lane
    for lane in range(HALF):
        halves[lane] = lanes[lane] + lanes[lane + HALF]
    return (
        ((halves[0] + halves[4]) + (halves[1] + halves[5]))
        + ((halves[2] + halves[6]) + (halves[3] + halves[7]))
    )


cdef inline real sum_of(
    const bint products, const real[::1] a, const real[::1] b, Py_ssize_t start, Py_ssize_t size
) noexcept nogil:
    """The sum of some values of `a`, or of their products with those of `b`."""
    cdef real lanes[LANES]
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
    return sum_of_lanes(lanes)


cdef void normalize_rows(
    const real[::1] u, const real[::1] parameters, Units units, Shape shape, Py_ssize_t top,
    real[::1] normal, real[::1] spread, real[::1] z,
) noexcept nogil:
    """normal = (u - mean) * spread, z = gain * normal + bias, by the mean and spread of each row.

    The spread of the first row is number `top`.
    """
    cdef Py_ssize_t i, j, at
    cdef real mean, value, count = <real>shape.columns
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        mean = sum_of(False, u, u, at, shape.columns) / count
        for j in range(at, at + shape.columns):
            normal[j] = u[j] - mean
        value = sum_of(True, normal, normal, at, shape.columns) / count
        spread[top + i] = 1 / square_root(value + <real>EPSILON)
        for j in range(shape.columns):
            value = normal[at + j] * spread[top + i]
            normal[at + j] = value
            z[at + j] = real_multiply_add(
                parameters[units.gain + j], value, parameters[units.bias + j]
            )


cdef void normalize_by(
    const real[::1] statistics, const real[::1] parameters, Units units, const real[::1] u,
    Shape shape, real[::1] z,
) noexcept nogil:
    """z = gain * (u - mean) / sqrt(variance + EPSILON) + bias."""
    cdef real spread[ABREAST]
    cdef Py_ssize_t i, j, at, columns, first = 0
    cdef real epsilon = <real>EPSILON
    while first < shape.columns:
        columns = min(shape.columns - first, <Py_ssize_t>ABREAST)
        for j in range(columns):
            spread[j] = 1 / square_root(statistics[units.variance + first + j] + epsilon)
        for i in range(shape.rows):
            at = shape.start + i * shape.row + first
            for j in range(columns):
                z[at + j] = real_multiply_add(
                    parameters[units.gain + first + j],
                    (u[at + j] - statistics[units.mean + first + j]) * spread[j],
                    parameters[units.bias + first + j],
                )
        first += ABREAST


cdef void few_backward(
    const real[::1] normal, const real[::1] spread, const real[::1] parameters, Units units,
    const real[::1] delta, Shape shape, Py_ssize_t first, real[::1] out,
) noexcept nogil:
    """From dloss/dz, `delta`, to dloss/du, where each column had its own mean and spread."""
    cdef real sums[ABREAST]
    cdef real products[ABREAST]
    cdef real count = <real>shape.rows
    cdef Py_ssize_t i, j, at, gain = units.gain + first
    for j in range(shape.columns):
        sums[j] = 0
        products[j] = 0
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        for j in range(shape.columns):
            sums[j] = sums[j] + delta[at + j]
            products[j] = real_multiply_add(delta[at + j], normal[at + j], products[j])
    for j in range(shape.columns):
        sums[j] = sums[j] / count
        products[j] = products[j] / count
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        for j in range(shape.columns):
            out[at + j] = parameters[gain + j] * spread[first + j] * (
                real_multiply_add(-normal[at + j], products[j], delta[at + j] - sums[j])
            )


cdef void rows_backward(
    const real[::1] normal, const real[::1] spread, const real[::1] parameters, Units units,
    const real[::1] delta, Shape shape, Py_ssize_t top, real[::1] out,
) noexcept nogil:
    """From dloss/dz, `delta`, to dloss/du, where each row had its own mean and spread."""
    cdef Py_ssize_t i, j, at
    cdef real mean, product, count = <real>shape.columns
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        for j in range(shape.columns):
            out[at + j] = parameters[units.gain + j] * delta[at + j]
        mean = sum_of(False, out, out, at, shape.columns) / count
        product = sum_of(True, out, normal, at, shape.columns) / count
        for j in range(at, at + shape.columns):
            out[j] = spread[top + i] * real_multiply_add(-normal[j], product, out[j] - mean)


cdef void add_products(
    const real[::1] a, const real[::1] b, Shape shape, real[::1] out, Py_ssize_t at
) noexcept nogil:
    cdef Py_ssize_t i, j, start
    for i in range(shape.rows):
        start = shape.start + i * shape.row
        for j in range(shape.columns):
            out[at + j] = real_multiply_add(a[start + j], b[start + j], out[at + j])


cdef void add_rows(
    const real[::1] a, Shape shape, real[::1] out, Py_ssize_t at
) noexcept nogil:
    cdef Py_ssize_t i, j, start
    for i in range(shape.rows):
        start = shape.start + i * shape.row
        for j in range(shape.columns):
            out[at + j] = out[at + j] + a[start + j]
