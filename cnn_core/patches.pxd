"""A product whose left-hand values are found by address: what a convolution is made of."""

from .scalar cimport real


cdef struct Gathered:
    # A matrix whose element (i, k) stands at start[rows[i] + columns[k]].
    const real *start
    const Py_ssize_t *rows
    const Py_ssize_t *columns


cdef struct GatheredProduct:
    # out = base + left @ right; base NULL stands for zeros, depth is at least 1. Rows of the others
    # begin so many values apart.
    Gathered left
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t depth
    const real *right
    Py_ssize_t right_row
    const real *base
    Py_ssize_t base_row
    real *out
    Py_ssize_t out_row


cdef void gathered_product(GatheredProduct at) noexcept nogil
