"""Small steps, several at once as far as the first layer goes. How: small_batches.pyx."""

from .workspace cimport BatchSlice, Net


cdef Py_ssize_t group_of(const Net *net, Py_ssize_t batch) noexcept nogil
cdef Py_ssize_t take_steps(
    BatchSlice *batch, Py_ssize_t rows, Py_ssize_t batch, double *total
) noexcept nogil
