"""The loss and the backward pass. How: backward.pyx."""

from .workspace cimport Block


cdef void loss_and_output_delta(const Block *block) noexcept nogil
cdef void backward_layers(const Block *block, Py_ssize_t l) noexcept nogil
# Tasks for `run`.
cdef void forward_backward_block(void *context, Py_ssize_t number, int thread) noexcept nogil
cdef void backward_block(void *context, Py_ssize_t number, int thread) noexcept nogil
cdef void backward_all_task(void *context, Py_ssize_t task, int thread) noexcept nogil
