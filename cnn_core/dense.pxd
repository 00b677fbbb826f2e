"""The dense layer's loops: forward, and the three gradients. What they compute: dense.pyx."""

from libc.stdint cimport uint16_t, uint64_t

from .matrix cimport Matrix
from .scalar cimport real
from .vector cimport vector

cdef extern from "vector.h" nogil:
    enum:
        ROW_VECTORS
        TILE_VECTORS


cdef struct Target:
    # Where a product goes: out = base + factor * product. Row i of the output begins at
    # out + i * out_row, what is added to it at base + i * base_row; base NULL stands for zeros.
    # `is_far`: whether it is in none of the near caches, so that each tile asks for its part first.
    const real *base
    Py_ssize_t base_row
    real factor
    real *out
    Py_ssize_t out_row
    bint is_far


cdef enum:
    # A panel of 400 rows of 256 bytes streams from the L2 cache; docs/engine.md has the figures.
    DEPTH_BLOCK = 400
    # Tiles whose terms can be listed: more than a block of 256 samples has, rounded up to whole ones.
    MOST_TILES = 48
    # Values that are looked at for a list together.
    STRIDE = 16


cdef struct Terms:
    # For each tile of a product, top to bottom, the k in a block of its depth at which any of the
    # left-hand values is not 0. `listed`: for all of the depth, so that it need not be done again.
    uint16_t lists[MOST_TILES][DEPTH_BLOCK + STRIDE]
    int counts[MOST_TILES]
    bint listed


cdef struct ProductBuffers:
    # What a thread needs while it computes a product, 64-byte aligned: a panel of the right-hand side
    # whose columns are brought together, zeros to start from, and the lists of what is not 0.
    vector panel[DEPTH_BLOCK * TILE_VECTORS]
    vector zeros[ROW_VECTORS]
    Terms terms
    # For each k, the rows whose left-hand value is not 0, as bits.
    uint64_t nonzero_rows[DEPTH_BLOCK]


cdef void list_terms(
    ProductBuffers *buffers, Matrix left, Py_ssize_t rows, Py_ssize_t depth
) noexcept nogil
cdef void product(
    Matrix left, Matrix right, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth,
    Target target, Terms *terms, ProductBuffers *buffers,
) noexcept nogil
cdef void sum_of_rows(
    const real *source, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t columns, real *out
) noexcept nogil
cdef void dense_forward(
    const real[:, ::1] x, const real[:, ::1] weights, const real[::1] bias, real[:, ::1] out,
    ProductBuffers *buffers,
) noexcept nogil
cdef void dense_weight_gradient(
    const real[:, ::1] x, const real[:, ::1] delta, real[:, ::1] out, ProductBuffers *buffers
) noexcept nogil
cdef void dense_bias_gradient(const real[:, ::1] delta, real[::1] out) noexcept nogil
cdef void dense_input_gradient(
    const real[:, ::1] delta, const real[:, ::1] weights, real[:, ::1] out,
    ProductBuffers *buffers,
) noexcept nogil
