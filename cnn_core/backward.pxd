"""The loss and the backward pass. How: backward.pyx."""

from .workspace cimport BatchSlice


cdef void loss_and_output_delta(
    const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil
cdef void backward_layers(
    const BatchSlice *batch, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows, int thread
) noexcept nogil
# Tasks for `run`.
cdef void forward_backward_block(void *context, Py_ssize_t block, int thread) noexcept nogil
cdef void backward_block(void *context, Py_ssize_t block, int thread) noexcept nogil
cdef void backward_all_task(void *context, Py_ssize_t task, int thread) noexcept nogil
