"""Matrices as the loops see them: where they start, and how far it is to the next row."""

from .scalar cimport real


cdef struct Matrix:
    # Element (i, k) stands at start[i * row + k * column].
    const real *start
    Py_ssize_t row
    Py_ssize_t column


cdef struct Shape:
    # Rows of `columns` values each, beginning `row` values apart.
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t row


cdef inline Shape runs(Shape shape) noexcept nogil:
    """The same values in as few rows as possible: one, if there are no gaps between them."""
    if shape.row == shape.columns:
        return Shape(min(shape.rows, 1), shape.rows * shape.columns, shape.rows * shape.columns)
    return shape


cdef inline Matrix rows_of(const real[:, ::1] array) noexcept nogil:
    return Matrix(&array[0, 0], array.shape[1], 1)


cdef inline Matrix columns_of(const real[:, ::1] array) noexcept nogil:
    """The transpose."""
    return Matrix(&array[0, 0], 1, array.shape[1])


cdef inline Shape shape_of(const real[:, ::1] array) noexcept nogil:
    return Shape(array.shape[0], array.shape[1], array.shape[1])
