"""Gradients and updates of the parameters, in pieces. How: update.pyx."""

from .matrix cimport Range
from .scalar cimport real
from .workspace cimport Block


cdef void apply_step(const Block *block, real[::1] gradient, const Range *where) noexcept nogil
cdef void update_layer(const Block *block, Py_ssize_t l) noexcept nogil
cdef double squared_weights(void *net) noexcept nogil
# Tasks for `run`.
cdef void update_piece(void *context, Py_ssize_t piece, int thread) noexcept nogil
cdef void finish_gradient(void *context, Py_ssize_t piece, int thread) noexcept nogil
cdef void apply_clipped_step(void *context, Py_ssize_t piece, int thread) noexcept nogil
