"""The contract of a layer: what the engine asks of each, and what it does if a kind says nothing.

Samples go through in blocks, by any thread in any order: a block reads all parameters and writes the
rows of its own samples. Parameters are updated in pieces, by any thread in any order: a piece reads
all rows and writes parameters of its own. So nothing is locked, and no sum depends on who computed it.
"""

from .matrix cimport Range
from .workspace cimport Block, LayerBuffers, Workspace


cdef class Layer:
    """A layer without parameters that changes nothing: the base of all kinds."""

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        """Set outputs, row and, for training, delta; inputs and input_delta are those of the layer below."""
        buffers.outputs, buffers.row = buffers.inputs, buffers.input_row
        buffers.delta = buffers.input_delta
        return 0

    cdef void forward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """Make outputs of inputs in a step of training, for the samples of a block."""
        self.predict(buffers, block)

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """The same in a prediction."""

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """Make input_delta of delta."""

    cdef void forward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil:
        """Take the place of `forward` where there are barrier tasks: some columns of all samples."""

    cdef void backward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil:
        """Take the place of `backward` likewise."""

    cdef void end_forward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """All samples of a step have gone forward, and their loss is finite."""

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        """Where the parameters of a piece stand."""
        return Range(0, 0, 0, 0, 0, 0, False)

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        """Find the gradient of a piece over all samples of the slice, and take its step if asked for."""

    cdef void update_all(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """The same for all pieces, on one thread."""
        cdef Py_ssize_t piece
        for piece in range(self.pieces):
            self.update(buffers, block, piece)
