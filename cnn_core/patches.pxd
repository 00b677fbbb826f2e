"""The matrix product of a convolution, with a gathered left-hand side; see patches.pyx."""

from .layer cimport Block
from .scalar cimport real


cdef struct Gathered:
    # A matrix whose element (i, k) is start[rows[i] + columns[k]].
    const real *start
    const Py_ssize_t *rows
    const Py_ssize_t *columns


cdef struct GatheredProduct:
    # out = base + left @ right, depth at least 1; NULL as base means zeros. `..._row` is a row
    # stride in values. There are `products` products of one shape, with the strides `next_...`.
    Gathered left
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t depth
    const real *right
    Py_ssize_t right_row
    const real *base
    Py_ssize_t base_row
    real *out
    Py_ssize_t out_row
    Py_ssize_t products
    Py_ssize_t next_left
    Py_ssize_t next_right
    Py_ssize_t next_out


cdef void gathered_product(GatheredProduct at) noexcept nogil


cdef struct Plane:
    # An image: its first pixel, and the strides in values of pixels and of rows of pixels.
    real *pixels
    Py_ssize_t pixel
    Py_ssize_t line


cdef struct Geometry:
    # An image with margins, in pixels: height and width without margins, channels of a group,
    # margin above and to the left, height and width with all margins.
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t channels
    Py_ssize_t margin
    Py_ssize_t full_height
    Py_ssize_t full_width
    # Distance of the pixels of the image. Above 1, zeros are between them (dilation).
    Py_ssize_t spacing


cdef class Patches:
    # Geometry; patches in a row; values in a row of a patch (window x channels); offset of each
    # patch; offsets of the values of a patch from there.
    cdef Geometry image
    cdef Py_ssize_t columns
    cdef Py_ssize_t depth
    cdef Py_ssize_t[::1] starts
    cdef Py_ssize_t[::1] places
    # For each row of patches: half-open range of the rows of the window that meet pixels.
    cdef Py_ssize_t[::1] first
    cdef Py_ssize_t[::1] end

    cdef Py_ssize_t size(self) noexcept nogil
    cdef real *cleared(self, const Block *block, Py_ssize_t groups) noexcept nogil
    cdef Plane plane(self, real *image, Py_ssize_t row) noexcept nogil
    cdef void place(self, const real *pixels, Py_ssize_t channels, real *image) noexcept nogil
    cdef void multiply(
        self, const real *image, Py_ssize_t row, Py_ssize_t end, const real *weights,
        Py_ssize_t weights_row, Py_ssize_t channels, const real *bias, real *out, Py_ssize_t out_row,
    ) noexcept nogil


cdef Patches patches_of(
    Geometry image, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t step, Py_ssize_t window
)
