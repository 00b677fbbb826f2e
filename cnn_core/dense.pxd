"""The matrix product of the dense layer; dense.pyx explains it."""

from .matrix cimport Matrix
from .scalar cimport real
from .zero_skipping cimport Terms

cdef extern from "vector.h" nogil:
    enum:
        ROW_VECTORS
        TILE_VECTORS


cdef enum:
    # Most rows of a panel: 400 rows of 256 bytes stream from the L2 cache (see docs/engine.md).
    DEPTH_BLOCK = 400
    # Memory ranges that a `Prefetch` can hold.
    MOST_PREFETCHED = 4
    # Row stride in bytes. From here on the hardware does not prefetch the next row.
    FAR = 4096


cdef struct Product:
    # out = base + factor * (left @ right). Left is rows x depth, right is depth x columns, and the
    # depth at least 1. All operands are in flat arrays; left and right may be transposed. Row i of
    # the output starts at value `out` + i * `out_row`, and row i of the base at value
    # `base` + i * `base_row`. Without a base, the output starts from zeros.
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
    # A range to prefetch: `rows` rows of `lines` cache lines, with a row stride of `row` bytes.
    const char *start
    Py_ssize_t row
    Py_ssize_t lines
    Py_ssize_t rows


cdef struct Prefetch:
    # Ranges that are needed soon. Tiles prefetch one cache line of them with each term of a sum.
    # `number` is the next range. The other fields are of the current one: lines left in all, and in
    # the row; address of the next line; bytes between the end of a row and the next row.
    Memory memory[MOST_PREFETCHED]
    int count
    int number
    Py_ssize_t left
    Py_ssize_t left_in_row
    const char *next
    Py_ssize_t gap


cdef class ProductBuffers:
    # Buffers of one thread, aligned to cache lines: a packed panel of the right-hand side, zeros
    # for a product without a base, and the lists of non-zero terms, which `terms` points to.
    cdef real[::1] panel
    cdef real[::1] zeros
    cdef real[::1] lists
    cdef Terms *terms


cdef void plan_prefetch(
    Prefetch *ahead, const real[::1] values, Py_ssize_t start, Py_ssize_t row, Py_ssize_t columns,
    Py_ssize_t rows,
) noexcept nogil
cdef void product(
    const real[::1] left, const real[::1] right, const real[::1] base, real[::1] out,
    const Product *extent, bint lists, Prefetch *ahead, ProductBuffers buffers,
) noexcept nogil
