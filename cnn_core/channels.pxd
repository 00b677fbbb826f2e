"""Batch normalization of the channels of images. How: channels.pyx."""

from .normalization cimport NormalizationLayer


cdef NormalizationLayer channel_normalization(
    Py_ssize_t channels, Py_ssize_t pixels, Py_ssize_t bias, Py_ssize_t mean, pool
)
