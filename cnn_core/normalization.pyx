"""Normalization: the formulas of `Kernels.normalize` and its fellows, as loops.

A sum over samples goes down a few columns at once, each in rising order. A sum over the units of a
sample is made of LANES sums, in the same way at every level, so that a vector can hold them.
"""

from .matrix cimport Shape
from .scalar cimport real, real_multiply_add

cdef extern from "vector.h" nogil:
    real square_root(real x)

cdef enum:
    LANES = 16
    HALF = 8
    # Columns that are summed at once.
    ABREAST = 64

# What `cnn_core.network` calls EPSILON and STATISTICS_MOMENTUM.
cdef double EPSILON = 1e-5
cdef double STATISTICS_MOMENTUM = 0.1


cdef inline Shape columns_from(Shape shape, Py_ssize_t first) noexcept nogil:
    """The next few columns."""
    return Shape(shape.rows, min(shape.columns - first, <Py_ssize_t>ABREAST), shape.row)


cdef void normalize_columns(
    const real *u, const real *gain, const real *bias, Shape shape,
    real *normal, real *spread, real *z, real *mean, real *variance,
) noexcept nogil:
    """normal = (u - mean) * spread, z = gain * normal + bias, by the mean and spread of each column.

    What running averages should move towards is written to `mean` and `variance`, if they are given.
    """
    cdef Py_ssize_t j = 0
    while j < shape.columns:
        normalize_few(
            u + j, gain + j, bias + j, columns_from(shape, j), normal + j, spread + j, z + j,
            mean + j if mean != NULL else NULL, variance + j if mean != NULL else NULL,
        )
        j += ABREAST


cdef void normalize_few(
    const real *u, const real *gain, const real *bias, Shape shape,
    real *normal, real *spread, real *z, real *mean, real *variance,
) noexcept nogil:
    cdef real means[ABREAST]
    cdef real squares[ABREAST]
    cdef real count = <real>shape.rows, rest, value
    cdef real others = <real>max(shape.rows - 1, <Py_ssize_t>1)
    cdef real epsilon = <real>EPSILON
    cdef Py_ssize_t i, j, at
    for j in range(shape.columns):
        means[j] = 0
        squares[j] = 0
    for i in range(shape.rows):
        for j in range(shape.columns):
            means[j] = means[j] + u[i * shape.row + j]
    for j in range(shape.columns):
        means[j] = means[j] / count
    for i in range(shape.rows):
        for j in range(shape.columns):
            rest = u[i * shape.row + j] - means[j]
            squares[j] = real_multiply_add(rest, rest, squares[j])
    for j in range(shape.columns):
        spread[j] = 1 / square_root(squares[j] / count + epsilon)
    if mean != NULL:
        for j in range(shape.columns):
            mean[j] = means[j]
            variance[j] = squares[j] / others
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            value = (u[at] - means[j]) * spread[j]
            normal[at] = value
            z[at] = real_multiply_add(gain[j], value, bias[j])


cdef void move_averages(const real *found, real *averages, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t j
    cdef real pace = <real>STATISTICS_MOMENTUM
    for j in range(size):
        averages[j] = real_multiply_add(pace, found[j] - averages[j], averages[j])


cdef inline real sum_of_lanes(const real *lanes) noexcept nogil:
    cdef real halves[HALF]
    cdef int lane
    for lane in range(HALF):
        halves[lane] = lanes[lane] + lanes[lane + HALF]
    return (
        ((halves[0] + halves[4]) + (halves[1] + halves[5]))
        + ((halves[2] + halves[6]) + (halves[3] + halves[7]))
    )


cdef inline real sum_of(const real *values, Py_ssize_t size) noexcept nogil:
    cdef real lanes[LANES]
    cdef Py_ssize_t j = 0
    cdef int lane
    for lane in range(LANES):
        lanes[lane] = 0
    while j + LANES <= size:
        for lane in range(LANES):
            lanes[lane] = lanes[lane] + values[j + lane]
        j += LANES
    for lane in range(<int>(size - j)):
        lanes[lane] = lanes[lane] + values[j + lane]
    return sum_of_lanes(lanes)


cdef inline real sum_of_products(const real *a, const real *b, Py_ssize_t size) noexcept nogil:
    cdef real lanes[LANES]
    cdef Py_ssize_t j = 0
    cdef int lane
    for lane in range(LANES):
        lanes[lane] = 0
    while j + LANES <= size:
        for lane in range(LANES):
            lanes[lane] = real_multiply_add(a[j + lane], b[j + lane], lanes[lane])
        j += LANES
    for lane in range(<int>(size - j)):
        lanes[lane] = real_multiply_add(a[j + lane], b[j + lane], lanes[lane])
    return sum_of_lanes(lanes)


cdef void normalize_rows(
    const real *u, const real *gain, const real *bias, Shape shape,
    real *normal, real *spread, real *z,
) noexcept nogil:
    """normal = (u - mean) * spread, z = gain * normal + bias, by the mean and spread of each row."""
    cdef Py_ssize_t i, j, at
    cdef real mean, value, count = <real>shape.columns
    for i in range(shape.rows):
        at = i * shape.row
        mean = sum_of(u + at, shape.columns) / count
        for j in range(shape.columns):
            normal[at + j] = u[at + j] - mean
        value = sum_of_products(normal + at, normal + at, shape.columns) / count
        spread[i] = 1 / square_root(value + <real>EPSILON)
        for j in range(shape.columns):
            value = normal[at + j] * spread[i]
            normal[at + j] = value
            z[at + j] = real_multiply_add(gain[j], value, bias[j])


cdef void normalize_by(
    const real *mean, const real *variance, const real *gain, const real *bias,
    const real *u, Shape shape, real *z,
) noexcept nogil:
    """z = gain * (u - mean) / sqrt(variance + EPSILON) + bias."""
    cdef real spread[ABREAST]
    cdef Py_ssize_t i, j, at, first = 0
    cdef real epsilon = <real>EPSILON
    cdef Shape few
    while first < shape.columns:
        few = columns_from(shape, first)
        for j in range(few.columns):
            spread[j] = 1 / square_root(variance[first + j] + epsilon)
        for i in range(few.rows):
            for j in range(few.columns):
                at = i * shape.row + first + j
                z[at] = real_multiply_add(
                    gain[first + j], (u[at] - mean[first + j]) * spread[j], bias[first + j]
                )
        first += ABREAST


cdef void columns_backward(
    const real *normal, const real *spread, const real *gain, const real *delta, Shape shape,
    real *out,
) noexcept nogil:
    """From dloss/dz, `delta`, to dloss/du, where each column had its own mean and spread."""
    cdef real sums[ABREAST]
    cdef real products[ABREAST]
    cdef real count = <real>shape.rows
    cdef Py_ssize_t i, j, at, first = 0
    cdef Shape few
    while first < shape.columns:
        few = columns_from(shape, first)
        for j in range(few.columns):
            sums[j] = 0
            products[j] = 0
        for i in range(shape.rows):
            for j in range(few.columns):
                at = i * shape.row + first + j
                sums[j] = sums[j] + delta[at]
                products[j] = real_multiply_add(delta[at], normal[at], products[j])
        for j in range(few.columns):
            sums[j] = sums[j] / count
            products[j] = products[j] / count
        for i in range(shape.rows):
            for j in range(few.columns):
                at = i * shape.row + first + j
                out[at] = gain[first + j] * spread[first + j] * (
                    real_multiply_add(-normal[at], products[j], delta[at] - sums[j])
                )
        first += ABREAST


cdef void rows_backward(
    const real *normal, const real *spread, const real *gain, const real *delta, Shape shape,
    real *out,
) noexcept nogil:
    """From dloss/dz, `delta`, to dloss/du, where each row had its own mean and spread."""
    cdef Py_ssize_t i, j, at
    cdef real mean, product, count = <real>shape.columns
    for i in range(shape.rows):
        at = i * shape.row
        for j in range(shape.columns):
            out[at + j] = gain[j] * delta[at + j]
        mean = sum_of(out + at, shape.columns) / count
        product = sum_of_products(out + at, normal + at, shape.columns) / count
        for j in range(shape.columns):
            out[at + j] = spread[i] * real_multiply_add(
                -normal[at + j], product, out[at + j] - mean
            )


cdef void add_products(const real *a, const real *b, Shape shape, real *out) noexcept nogil:
    """out += the sum over the rows of a * b, in rising order."""
    cdef Py_ssize_t i, j, at
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            out[j] = real_multiply_add(a[at], b[at], out[j])
