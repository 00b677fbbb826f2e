"""The first layer on sparse rows (CSR); sparse_rows.pyx explains it."""

from .layer cimport Block, LayerBuffers
from .scalar cimport real


cdef void sparse_affine(
    const real *weights, Py_ssize_t fan_in, Py_ssize_t fan_out, LayerBuffers buffers,
    const Block *block, const real *bias,
) noexcept nogil
cdef bint any_value_nonfinite(const Block *block) noexcept nogil
cdef void sort_by_pieces(const Block *block) noexcept nogil
cdef void sparse_products(
    const Block *block, LayerBuffers buffers, Py_ssize_t piece, Py_ssize_t column,
    Py_ssize_t columns, real *out,
) noexcept nogil
