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
# Rows of windows of a sample, from row `first` to below `end`; x begins with the first of them. The largest
# values or the means, and which of its window each largest is, unless `winners` is NULL.
cdef void pool_rows(
    const Windows *w, Py_ssize_t first, Py_ssize_t end, const real *x, real *out, real *winners
) noexcept nogil
# The delta of rows of windows that tile, to an image that begins with the first of them, with rows `line`
# values apart.
cdef void unpool_rows(
    const Windows *w, Py_ssize_t first, Py_ssize_t end, const real *delta, const real *winners,
    real *out, Py_ssize_t line,
) noexcept nogil
