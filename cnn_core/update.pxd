"""Gradients and updates of the parameters, in pieces. How: update.pyx."""

from .layer cimport Block
from .matrix cimport Range
from .scalar cimport real


cdef void update_parameters(const Block *samples, int threads) noexcept nogil
cdef void finish_step(Block *block, bint steps, int threads) noexcept nogil
cdef void update_layer(const Block *block, Py_ssize_t l) noexcept nogil
cdef void take_gradient(const Block *block, real[::1] found, Range *where) noexcept nogil
cdef void apply_step(const Block *block, real[::1] gradient, const Range *where) noexcept nogil
cdef double squared_weights(void *net) noexcept nogil
