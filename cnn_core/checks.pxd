"""Checks of the arrays and numbers that Python passes to the loops, and the loops' view of an array."""

from cpython.number cimport PyNumber_Index

from .matrix cimport Shape
from .scalar cimport real


cdef inline int require(str argument, Py_ssize_t found, Py_ssize_t expected, str axis) except -1:
    if found != expected:
        raise ValueError(f"{argument}: expected {expected} {axis}, found {found}")
    return 0


cdef inline int require_shape(
    str argument, const real[:, ::1] array, Py_ssize_t rows, Py_ssize_t columns
) except -1:
    require(argument, array.shape[0], rows, "rows")
    require(argument, array.shape[1], columns, "columns")
    return 0


cdef inline double total_of(
    const real[:, ::1] z, const real[:, ::1] y, const real[:, ::1] t, const real[::1] weights
) except? -1:
    """What the samples count together; refuses arrays that do not fit each other."""
    cdef Py_ssize_t i
    cdef double total = 0
    require_shape("y", y, z.shape[0], z.shape[1])
    require_shape("t", t, z.shape[0], z.shape[1])
    if weights is None:
        return <double>z.shape[0]
    require("weights", weights.shape[0], z.shape[0], "values")
    for i in range(z.shape[0]):
        total += weights[i]
    return total


cdef inline object whole(str argument, value, limit):
    """The value as a whole number from 0 to below the limit."""
    number = PyNumber_Index(value)
    if not 0 <= number < limit:
        raise ValueError(f"{argument}: expected 0 up to below {limit}, found {value}")
    return number


cdef inline bint is_empty(const real[:, ::1] array) noexcept:
    return array.shape[0] == 0 or array.shape[1] == 0


cdef inline real[::1] flat(const real[:, ::1] array):
    """The values of an array that is not empty, row by row, as the loops take them."""
    return <real[: array.shape[0] * array.shape[1]]><real *>&array[0, 0]


cdef inline Shape shape_of(const real[:, ::1] array) noexcept:
    return Shape(0, array.shape[0], array.shape[1], array.shape[1])
