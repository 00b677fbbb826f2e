"""Normalization of pre-activations over the samples of a batch, or over the units of a sample.

All arrays of samples of a call have one shape, the distance between rows included.
"""

from .layer cimport Block, Layer, LayerBuffers
from .matrix cimport Shape
from .scalar cimport real


cdef struct Units:
    # Where gain, bias, mean and variance of the units begin in the arrays that hold them.
    Py_ssize_t gain
    Py_ssize_t bias
    Py_ssize_t mean
    Py_ssize_t variance


# What `cnn_core.network` calls EPSILON.
cdef double EPSILON


cdef class NormalizationLayer(Layer):
    # Over the batch, or over the units of a sample.
    cdef bint over_batch
    cdef Units units
    # Of images: a unit is a channel of every pixel; else 1 pixel.
    cdef Py_ssize_t channels
    cdef Py_ssize_t pixels

    cdef Shape shape(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef Shape columns(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil


cdef NormalizationLayer normalization_layer(
    str name, Py_ssize_t channels, Py_ssize_t pixels, Py_ssize_t bias, Py_ssize_t mean
)
# out[at + j] += the sum over the rows of a, in rising order.
cdef void add_rows(const real[::1] a, Shape shape, real[::1] out, Py_ssize_t at) noexcept nogil
