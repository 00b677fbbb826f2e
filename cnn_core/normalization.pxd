"""Normalization of pre-activations over the samples of a batch, or over the units of a sample.

All arrays of a call have one shape, the distance between rows included. Those of the units, `gain`,
`bias`, `mean`, `variance`, have no gaps; `spread` has a value for each unit or for each sample.
"""

from .matrix cimport Shape
from .scalar cimport real


cdef void normalize_columns(
    const real *u, const real *gain, const real *bias, Shape shape,
    real *normal, real *spread, real *z, real *mean, real *variance,
) noexcept nogil
cdef void move_averages(const real *found, real *averages, Py_ssize_t size) noexcept nogil
cdef void normalize_rows(
    const real *u, const real *gain, const real *bias, Shape shape,
    real *normal, real *spread, real *z,
) noexcept nogil
cdef void normalize_by(
    const real *mean, const real *variance, const real *gain, const real *bias,
    const real *u, Shape shape, real *z,
) noexcept nogil
cdef void columns_backward(
    const real *normal, const real *spread, const real *gain, const real *delta, Shape shape,
    real *out,
) noexcept nogil
cdef void rows_backward(
    const real *normal, const real *spread, const real *gain, const real *delta, Shape shape,
    real *out,
) noexcept nogil
cdef void add_products(const real *a, const real *b, Shape shape, real *out) noexcept nogil
