"""The forward pass, in training and in prediction. How: forward.pyx."""

from .workspace cimport BatchSlice


cdef Py_ssize_t forward_layers(
    const BatchSlice *batch, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows, int thread
) noexcept nogil
cdef void end_forward(const BatchSlice *batch) noexcept nogil
# Tasks for `run`.
cdef void forward_all_task(void *context, Py_ssize_t task, int thread) noexcept nogil
cdef void predict_block(void *context, Py_ssize_t block, int thread) noexcept nogil
