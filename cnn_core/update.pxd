"""Gradients and updates of the parameters, in pieces. How: update.pyx."""

from .workspace cimport BatchSlice


cdef void update_layer(const BatchSlice *batch, Py_ssize_t l, int thread) noexcept nogil
# Tasks for `run`.
cdef void update_piece(void *context, Py_ssize_t piece, int thread) noexcept nogil
cdef void finish_gradient(void *context, Py_ssize_t piece, int thread) noexcept nogil
cdef void apply_clipped_step(void *context, Py_ssize_t piece, int thread) noexcept nogil
