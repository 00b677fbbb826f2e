"""Samples on their way into the workspace. How: gather.pyx."""

from .workspace cimport BatchSlice, Samples


cdef inline Py_ssize_t number_of(const Samples *samples, Py_ssize_t i) noexcept nogil:
    """Number among the caller's samples of number `i` in their order."""
    return i if samples.order == NULL else samples.order[i]


cdef bint are_sparse(const Samples *samples, Py_ssize_t inputs) noexcept nogil
cdef double total_of(const BatchSlice *batch) noexcept nogil
cdef void gather_slice(const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows) noexcept nogil
cdef void gather(const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows) noexcept nogil
cdef void ask_for_quarter(
    const Samples *samples, Py_ssize_t inputs, Py_ssize_t i, int quarter
) noexcept nogil
