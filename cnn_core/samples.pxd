"""The caller's arrays, and their way into the workspace. How: samples.pyx."""

from .layer cimport Block, Net, Samples
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
    # Room for the values of a batch of sparse rows.
    cdef unsigned char[::1] entries

    cdef int bind_training(
        self, targets, const Py_ssize_t[::1] order, const real[::1] weights, Net net
    ) except -1


cdef Data data_of(x, Net net)
cdef double total_of(const Block *block) noexcept nogil
cdef void gather_block(const Block *block) noexcept nogil
cdef void gather(const Block *block) noexcept nogil
cdef void gather_targets(const Block *block, real[::1] out) noexcept nogil
