"""The forward pass, in training and in prediction. How: forward.pyx."""

from .scalar cimport real
from .workspace cimport BatchSlice, Buffers, Net


cdef void affine(
    const Net *net, const Buffers *workspace, Py_ssize_t l, const real *x, Py_ssize_t x_row,
    Py_ssize_t first, Py_ssize_t top, Py_ssize_t rows, bint looks_for_zeros,
    int thread,
) noexcept nogil
cdef Py_ssize_t forward_layers(
    const BatchSlice *batch, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows, int thread
) noexcept nogil
cdef void move_statistics(const BatchSlice *batch) noexcept nogil
# Tasks for `run`.
cdef void normalize_batch(void *context, Py_ssize_t block, int thread) noexcept nogil
cdef void predict_block(void *context, Py_ssize_t block, int thread) noexcept nogil
