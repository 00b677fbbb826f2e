"""The forward pass, in training and in prediction. How: forward.pyx."""

from .workspace cimport Block


cdef Py_ssize_t forward_layers(const Block *block, Py_ssize_t l) noexcept nogil
cdef void end_forward(const Block *block) noexcept nogil
# Tasks for `run`.
cdef void forward_all_task(void *context, Py_ssize_t task, int thread) noexcept nogil
cdef void predict_block(void *context, Py_ssize_t number, int thread) noexcept nogil
