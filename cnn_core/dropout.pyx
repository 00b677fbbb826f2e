"""Dropout: what a unit of a sample draws in a step depends on its place alone, whoever computes it."""

cimport cython
from libc.math cimport floor
from libc.stdint cimport uint32_t, uint64_t

from .matrix cimport Shape
from .randomness cimport Counter, random_bits
from .scalar cimport real
from .workspace cimport Block, LayerBuffers, Workspace, block_shape, counter_of

cdef enum:
    # Random words at hand while a row is gone through.
    WORDS = 256


@cython.final
cdef class DropoutLayer(Layer):
    """The layer of a dropout: in predictions nothing."""

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        Layer.lay_out(self, workspace, buffers, training)
        if training:
            buffers.outputs = workspace.carve_rows(buffers.row)
        return 0

    cdef void forward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        drop(
            self.rate, block.key, counter_of(block, self.number), buffers.inputs,
            buffers.outputs, block_shape(block, self.fan_out, buffers.row),
        )

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        drop(
            self.rate, block.key, counter_of(block, self.number), buffers.delta,
            buffers.input_delta, block_shape(block, self.fan_out, buffers.row),
        )


cdef DropoutLayer dropout_layer(double rate, Py_ssize_t units):
    cdef DropoutLayer layer = DropoutLayer.__new__(DropoutLayer)
    layer.rate = rate
    layer.fan_in = layer.fan_out = units
    return layer


cdef void drop(
    double rate, uint64_t key, Counter counter, const real[::1] a, real[::1] out, Shape shape
) noexcept nogil:
    """out = a / (1 - rate) where the random word is at least rate * 2**32, else 0.

    The counter is that of the first row; its second word counts the rows.
    """
    cdef uint32_t words[WORDS]
    cdef uint32_t threshold = <uint32_t>min(floor(rate * 4294967296.0 + 0.5), 4294967295.0)
    cdef real kept = <real>(1 / (1 - rate))
    cdef Py_ssize_t i, j, at, start, count
    for i in range(shape.rows):
        start = 0
        while start < shape.columns:
            count = min(shape.columns - start, <Py_ssize_t>WORDS)
            random_bits(key, <uint32_t>(start // 4), counter, words, count)
            at = shape.start + i * shape.row + start
            for j in range(count):
                out[at + j] = a[at + j] * kept if words[j] >= threshold else 0
            start += count
        counter.second += 1
