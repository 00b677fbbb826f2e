"""Pooling: the largest value or the mean of each window. How: pooling.pyx."""

from .scalar cimport real


cdef struct Windows:
    # Windows of an image without gaps: of the output rows, columns and channels; height and width of a
    # window, and pixels from one to the next; values of a row of the image.
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t channels
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t step
    Py_ssize_t line
    # Whether each value of the image is in one window; whether the largest values are taken, else the
    # means, and what a value counts in these.
    bint tile
    bint takes_largest
    real share
    # Values that hold which are the largest, of a row of windows: each those of four windows.
    Py_ssize_t winners


cdef Windows windows_of(description)
# A row of windows, which begins at x: the largest values, and which of its window each of them is,
# unless `winners` is NULL.
cdef void pool_row(const Windows *w, const real *x, real *out, real *winners) noexcept nogil
# The delta of a row of windows that tile, to an image with rows `line` values apart.
cdef void unpool_row(
    const Windows *w, const real *delta, const real *winners, real *out, Py_ssize_t line
) noexcept nogil
