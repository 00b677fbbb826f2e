"""The dense layer, and that of the article. How: dense_layer.pyx."""

from .layer cimport Layer
from .matrix cimport Matrix
from .scalar cimport real
from .workspace cimport BatchSlice, LayerBuffers, ThreadBuffers


cdef class DenseLayer(Layer):
    # Where weights and biases begin in the flat arrays; without biases where there is normalization.
    cdef Py_ssize_t weights
    cdef Py_ssize_t bias
    cdef bint has_bias

    cdef Matrix left(self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t top) noexcept nogil
    cdef void affine(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows,
        ThreadBuffers thread, const real *bias, Py_ssize_t bias_row,
    ) noexcept nogil
    cdef void input_gradient(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows,
        ThreadBuffers thread,
    ) noexcept nogil
    cdef void update_weights(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows,
        Matrix right, ThreadBuffers thread,
    ) noexcept nogil
    cdef void update_by_sparse_rows(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t piece, ThreadBuffers thread
    ) noexcept nogil
    cdef void update_bias(self, LayerBuffers buffers, const BatchSlice *batch) noexcept nogil


cdef class ArticleLayer(DenseLayer):
    # Samples, each of which has biases of its own.
    cdef Py_ssize_t samples

    cdef void bias_gradient(
        self, LayerBuffers buffers, const BatchSlice *batch, real[::1] gradient, Py_ssize_t top,
        Py_ssize_t rows,
    ) noexcept nogil


cdef DenseLayer dense_layer(
    Py_ssize_t fan_in, Py_ssize_t fan_out, Py_ssize_t start, bint has_bias
)
cdef DenseLayer article_layer(
    Py_ssize_t fan_in, Py_ssize_t fan_out, Py_ssize_t start, Py_ssize_t samples
)
