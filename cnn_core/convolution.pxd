"""The convolution layer. How: convolution.pyx."""

from .layer cimport Layer


cdef Layer convolution_layer(
    description, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t start, bint has_bias, pool,
    bint is_overwritten,
)
