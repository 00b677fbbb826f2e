"""Dropout. The random number of a unit depends only on step, sample, layer and unit.

So it does not depend on the thread. The numbers are those of Philox 4x32-10, a counter-based
generator: any number can be computed without those before it. Ten rounds of multiplying and mixing
turn four words of counter and two of key into four random words (Salmon, Moraes, Dror, Shaw,
"Parallel random numbers: as easy as 1, 2, 3", 2011).
"""

cimport cython
from libc.math cimport floor
from libc.stdint cimport uint32_t, uint64_t

from .layer cimport Block, Layer, LayerBuffers, Workspace, block_shape
from .matrix cimport Shape
from .scalar cimport real

cdef enum:
    ROUNDS = 10
    # Random words that are generated at a time.
    WORDS = 256


@cython.final
cdef class DropoutLayer(Layer):
    """The dropout layer, which does nothing in predictions."""

    cdef double rate
    # Channels of an image that loses whole channels; else the number of units.
    cdef Py_ssize_t channels

    def __cinit__(self, double rate, Py_ssize_t units, Py_ssize_t channels):
        self.rate, self.channels = rate, channels
        self.fan_in = self.fan_out = units

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        Layer.lay_out(self, workspace, buffers, training)
        if training:
            buffers.outputs = workspace.carve_rows(buffers.row)
        return 0

    cdef void forward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        drop(
            self.rate, block, self.number, buffers.inputs, buffers.outputs,
            block_shape(block, self.fan_out, buffers.row), self.channels,
        )

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        drop(
            self.rate, block, self.number, buffers.delta, buffers.input_delta,
            block_shape(block, self.fan_out, buffers.row), self.channels,
        )


cdef void drop(
    double rate, const Block *block, Py_ssize_t layer, const real[::1] a, real[::1] out, Shape shape,
    Py_ssize_t channels,
) noexcept nogil:
    """Compute out = a / (1 - rate) where a channel's random word is at least rate * 2**32, else 0.

    The second word of the counter is the number of the sample in its batch.
    """
    cdef uint32_t words[WORDS]
    cdef uint32_t threshold = <uint32_t>min(floor(rate * 4294967296.0 + 0.5), 4294967295.0)
    cdef real kept = <real>(1 / (1 - rate))
    cdef Counter counter = Counter(
        <uint32_t>block.first_in_batch, <uint32_t>layer, <uint32_t>block.number
    )
    cdef Py_ssize_t i, j, p, at, start, count
    for i in range(shape.rows):
        start = 0
        while start < channels:
            count = min(channels - start, <Py_ssize_t>WORDS)
            random_bits(block.key, <uint32_t>(start // 4), counter, words, count)
            for p in range(shape.columns // channels):
                at = shape.start + i * shape.row + p * channels + start
                for j in range(count):
                    out[at + j] = a[at + j] * kept if words[j] >= threshold else 0
            start += count
        counter.second += 1


cdef inline void philox(
    uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t key_0, uint32_t key_1, uint32_t *out
) noexcept nogil:
    cdef uint64_t of_a, of_c
    cdef int i
    for i in range(ROUNDS):
        of_a = <uint64_t>a * <uint64_t>0xD2511F53u
        of_c = <uint64_t>c * <uint64_t>0xCD9E8D57u
        a = <uint32_t>(of_c >> 32) ^ b ^ key_0
        b = <uint32_t>of_c
        c = <uint32_t>(of_a >> 32) ^ d ^ key_1
        d = <uint32_t>of_a
        key_0 += <uint32_t>0x9E3779B9u
        key_1 += <uint32_t>0xBB67AE85u
    out[0] = a
    out[1] = b
    out[2] = c
    out[3] = d


cdef void random_bits(
    uint64_t key, uint32_t first, Counter counter, uint32_t *out, Py_ssize_t size
) noexcept nogil:
    """Fill `out` with `size` random words, four a block; blocks count from `first` on."""
    cdef uint32_t block[4]
    cdef uint32_t key_0 = <uint32_t>key, key_1 = <uint32_t>(key >> 32)
    cdef Py_ssize_t i, j, whole = size // 4
    for i in range(whole):
        philox(
            <uint32_t>(first + i), counter.second, counter.third, counter.fourth, key_0, key_1,
            out + 4 * i,
        )
    if 4 * whole < size:
        philox(
            <uint32_t>(first + whole), counter.second, counter.third, counter.fourth, key_0, key_1,
            block,
        )
        for j in range(size - 4 * whole):
            out[4 * whole + j] = block[j]
