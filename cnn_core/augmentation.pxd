"""Random changes of training images; augmentation.pyx explains them."""

from libc.stdint cimport uint64_t

from .scalar cimport real


cdef struct Changes:
    # Shape of an image; the changes, as in the fields of `Augmentation`; whether there are any.
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t channels
    bint mirror
    Py_ssize_t shift
    Py_ssize_t crop
    Py_ssize_t erase
    bint any


cdef Changes changes_of(description)
cdef void change(
    const Changes *changes, uint64_t key, Py_ssize_t sample, Py_ssize_t step, const real *image,
    real *out,
) noexcept nogil
