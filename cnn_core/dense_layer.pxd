"""The dense layer. How: dense_layer.pyx."""

from .layer cimport Block, Layer, LayerBuffers
from .dense cimport Product
from .matrix cimport Matrix
from .scalar cimport real


cdef class DenseLayer(Layer):
    # Where weights and biases begin in the flat arrays; without biases where there is normalization.
    cdef Py_ssize_t weights
    cdef Py_ssize_t bias
    cdef bint has_bias
    # By the article's rule: samples, each of which has biases of its own.
    cdef Py_ssize_t samples

    cdef void affine(
        self, LayerBuffers buffers, const Block *block, Py_ssize_t bias, Py_ssize_t bias_row
    ) noexcept nogil
    cdef void update_weights(
        self, LayerBuffers buffers, const Block *block, Py_ssize_t top, const real[::1] delta,
        Matrix derivatives,
    ) noexcept nogil
    cdef void update_columns(
        self, const Block *block, const real[::1] inputs, const real[::1] delta, Product extent,
        bint lists,
    ) noexcept nogil
    cdef void update_by_sparse_rows(
        self, LayerBuffers buffers, const Block *block, Py_ssize_t piece
    ) noexcept nogil
    cdef void update_bias(self, LayerBuffers buffers, const Block *block) noexcept nogil
