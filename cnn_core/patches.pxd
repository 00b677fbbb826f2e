"""A product whose left-hand values are found by address: what a convolution is made of."""

from .layer cimport Block
from .scalar cimport real


cdef struct Gathered:
    # A matrix whose element (i, k) stands at start[rows[i] + columns[k]].
    const real *start
    const Py_ssize_t *rows
    const Py_ssize_t *columns


cdef struct GatheredProduct:
    # out = base + left @ right; base NULL stands for zeros, depth is at least 1. Rows of the others
    # begin so many values apart. Several products of one shape follow each other, so many values apart.
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
    # Rows of pixels: values from one pixel to the next, and from one row to the next.
    real *pixels
    Py_ssize_t pixel
    Py_ssize_t line


cdef struct Geometry:
    # An image with margins, row by row, and the patches in it: height and width of the image, channels
    # of a group; pixels of margin above and to the left; height and width with the margins.
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t channels
    Py_ssize_t margin
    Py_ssize_t full_height
    Py_ssize_t full_width
    # Pixels from one pixel of the image to the next: above 1 with zeros between them.
    Py_ssize_t spacing


cdef class Patches:
    # Where the patch of each pixel starts, where the values of a patch stand from there on, and how
    # many of them are in a row of it.
    cdef Geometry image
    cdef Py_ssize_t columns
    cdef Py_ssize_t depth
    cdef Py_ssize_t[::1] starts
    cdef Py_ssize_t[::1] places
    # For each row of patches: from which of its own rows on, up to which, there are not only zeros.
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
