"""Samples on their way into the workspace. How: gather.pyx."""

from .scalar cimport real
from .workspace cimport BatchSlice, Net, Samples


cdef inline Py_ssize_t number_of(const Samples *samples, Py_ssize_t i) noexcept nogil:
    """Number among the caller's samples of number `i` in their order."""
    return i if samples.order == NULL else samples.order[i]


cdef bint are_sparse(const Samples *samples, Py_ssize_t inputs) noexcept nogil
cdef double total_of(const BatchSlice *batch) noexcept nogil
cdef void gather_slice(const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows) noexcept nogil
cdef void gather(
    const Net *net, const Samples *samples, Py_ssize_t first, Py_ssize_t rows, real *out,
    Py_ssize_t row,
) noexcept nogil
cdef void ask_for_quarter(
    const Net *net, const Samples *samples, Py_ssize_t i, int quarter
) noexcept nogil
