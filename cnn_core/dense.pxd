"""The dense layer's product. What it computes: dense.pyx."""

from .matrix cimport Matrix
from .scalar cimport real
from .zero_skipping cimport Terms

cdef extern from "vector.h" nogil:
    enum:
        ROW_VECTORS
        TILE_VECTORS


cdef enum:
    # A panel of 400 rows of 256 bytes streams from the L2 cache; docs/engine.md has the figures.
    DEPTH_BLOCK = 400
    # Memory that can be asked for ahead.
    MOST_AHEAD = 4
    # Bytes between two rows from which on the processor does not foresee the next one.
    FAR = 4096


cdef struct Product:
    # out = base + factor * (left @ right). The sizes, at least 1 deep; where the operands stand in their
    # flat arrays: left and right, which may be transposed, row i of the output from value `out` +
    # i * `out_row` on, and what is added to it from value `base` + i * `base_row` on. Without a base the
    # output starts from zeros.
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t depth
    Matrix left
    Matrix right
    Py_ssize_t out
    Py_ssize_t out_row
    real factor
    bint has_base
    Py_ssize_t base
    Py_ssize_t base_row


cdef struct Memory:
    # `rows` rows of `lines` cache lines, which begin `row` bytes apart.
    const char *start
    Py_ssize_t row
    Py_ssize_t lines
    Py_ssize_t rows


cdef struct Ahead:
    # Memory that is needed soon: tiles ask for it, a cache line at each of their terms. What is left of
    # the one they are at: lines in all, and of the row; where the next is, and what lies between rows.
    Memory memory[MOST_AHEAD]
    int count
    int number
    Py_ssize_t left
    Py_ssize_t left_in_row
    const char *next
    Py_ssize_t gap


cdef class ProductBuffers:
    # What a thread needs while it computes a product, each from a cache line on: a panel of the
    # right-hand side whose columns are brought together, zeros to start from, and the lists of what is
    # not 0.
    cdef real[::1] panel
    cdef real[::1] zeros
    cdef real[::1] lists
    cdef Terms *terms


cdef void ask_ahead(
    Ahead *ahead, const real[::1] values, Py_ssize_t start, Py_ssize_t row, Py_ssize_t columns,
    Py_ssize_t rows,
) noexcept nogil
cdef void product(
    const real[::1] left, const real[::1] right, const real[::1] base, real[::1] out,
    const Product *extent, bint lists, Ahead *ahead, ProductBuffers buffers,
) noexcept nogil
