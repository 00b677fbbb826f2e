"""Samples on their way into the workspace. How: gather.pyx."""

from .workspace cimport Block, Samples


cdef inline Py_ssize_t number_of(const Samples *samples, Py_ssize_t i) noexcept nogil:
    """Number among the caller's samples of number `i` in their order."""
    return i if samples.order == NULL else samples.order[i]


cdef bint are_sparse(const Samples *samples, Py_ssize_t inputs) noexcept nogil
cdef double total_of(const Block *block) noexcept nogil
cdef void gather_block(const Block *block) noexcept nogil
cdef void gather(const Block *block) noexcept nogil
cdef void ask_for_quarter(
    const Samples *samples, Py_ssize_t inputs, Py_ssize_t i, int quarter
) noexcept nogil
