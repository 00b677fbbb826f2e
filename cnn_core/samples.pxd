"""The caller's arrays, checked, and on their way into the workspace. How: samples.pyx."""

from .layer cimport Block, Layer, Net, Samples
from .scalar cimport real


cdef class Data:
    cdef const real[:, ::1] reals
    cdef const unsigned char[:, ::1] bytes
    cdef const real[::1] values
    cdef const int[::1] columns
    cdef const Py_ssize_t[::1] row_starts
    cdef const real[:, ::1] targets
    cdef const Py_ssize_t[::1] labels
    cdef const real[::1] weights
    cdef const Py_ssize_t[::1] order
    cdef Py_ssize_t rows
    cdef Samples samples
    cdef void *entry_memory

    cdef int bind(self, x, Net net) except -1
    cdef int bind_dense(self, x, Net net) except -1
    cdef bint is_read_by(self, Layer layer)
    cdef int bind_sparse(self, x, Net net) except -1
    cdef int bind_targets(self, targets, Net net) except -1
    cdef int bind_labels(self, targets, Net net) except -1
    cdef int bind_weights(self, const real[::1] weights, Net net) except -1
    cdef int reserve_entries(self, Net net) except -1
    cdef Py_ssize_t most_values(self, Py_ssize_t rows)
    cdef int bind_order(self, const Py_ssize_t[::1] order) except -1


cdef class LearningRates:
    cdef double same
    cdef const double[::1] each
    cdef bint vary

    cdef double of(self, Py_ssize_t step) noexcept nogil


cdef int require_rows(
    str argument, const real[:, ::1] array, Py_ssize_t rows, Py_ssize_t columns
) except -1
cdef double total_of(const Block *block) noexcept nogil
cdef void gather_block(const Block *block) noexcept nogil
cdef void gather(const Block *block) noexcept nogil
cdef void gather_targets(const Block *block, real[::1] out) noexcept nogil
