"""The embedding layer. How: embedding.pyx."""

from .layer cimport Block, Layer, LayerBuffers
from .scalar cimport real


cdef struct Table:
    # A column of codes: where it stands in a sample; how many codes there are, and values of a vector;
    # where its vectors begin in the flat arrays, and in the outputs.
    Py_ssize_t column
    Py_ssize_t codes
    Py_ssize_t dimension
    Py_ssize_t start
    Py_ssize_t output


cdef class EmbeddingLayer(Layer):
    cdef Table *table_at
    cdef Py_ssize_t n_tables
    # Columns that are no codes, in their order.
    cdef Py_ssize_t[::1] numbers

    cdef void look_up(
        self, const real[::1] inputs, Py_ssize_t input_row, const real[::1] parameters,
        real[::1] outputs, Py_ssize_t row, Py_ssize_t top, Py_ssize_t rows,
    ) noexcept nogil
    cdef Py_ssize_t table_of(self, Py_ssize_t *piece) noexcept nogil
    cdef void add_up(
        self, LayerBuffers buffers, const Block *block, const Table *table, real[::1] gradient,
        Py_ssize_t first, Py_ssize_t end,
    ) noexcept nogil


cdef EmbeddingLayer embedding_layer(description, Py_ssize_t start)
