"""Matrices as the loops see them: where they start, and how far it is to the next row."""

from .scalar cimport real


cdef struct Matrix:
    # Element (i, k) stands at start[i * row + k * column].
    const real *start
    Py_ssize_t row
    Py_ssize_t column


cdef struct Shape:
    # Some rows of a flat array: `rows` rows of `columns` values each, beginning `row` values apart
    # from value `start` on.
    Py_ssize_t start
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t row


cdef inline Shape runs(Shape shape) noexcept nogil:
    """The same values in as few rows as possible: one, if there are no gaps between them."""
    if shape.row == shape.columns:
        return Shape(
            shape.start, min(shape.rows, 1), shape.rows * shape.columns, shape.rows * shape.columns
        )
    return shape


cdef struct Range:
    # Some parameters: `rows` rows of `columns` values, `row` apart from value `start` of the flat
    # arrays on; in an array of the gradient `gradient_row` apart from value `gradient` on.
    Py_ssize_t start
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t row
    Py_ssize_t gradient
    Py_ssize_t gradient_row
    # Whether the l2 term holds for them.
    bint decays


cdef inline Matrix rows_of(const real[:, ::1] array) noexcept nogil:
    return Matrix(&array[0, 0], array.shape[1], 1)


cdef inline Matrix columns_of(const real[:, ::1] array) noexcept nogil:
    """The transpose."""
    return Matrix(&array[0, 0], 1, array.shape[1])
