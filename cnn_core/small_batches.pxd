"""Steps of small batches in groups, for the first layer; small_batches.pyx explains them."""

from .layer cimport Block, Net


cdef bint can_group(Net net)
cdef Py_ssize_t group_of(Net net, Py_ssize_t batch)
cdef Py_ssize_t take_steps(Block *block, Py_ssize_t batch_size, double *total) noexcept nogil
