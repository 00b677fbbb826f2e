"""The contract of a layer.

A kind of layer is a subclass of `Layer` in a file of its own. The engine calls these methods and
knows no kinds; what each has to do stands in layer.pyx.
"""

from .matrix cimport Range
from .workspace cimport Arrays, Block, LayerBuffers, Workspace


cdef class Layer:
    # The network's: all layers have their parameters, and the gradients of these, in one of each.
    cdef Arrays arrays
    # Values of a sample that come in and that go out; the number of the layer in the network's
    # description, and whether nothing is below it.
    cdef Py_ssize_t fan_in
    cdef Py_ssize_t fan_out
    cdef Py_ssize_t number
    cdef bint is_first
    # Pieces in which its parameters are updated, 0 without any, and the number of the first of them.
    cdef Py_ssize_t pieces
    cdef Py_ssize_t first_piece
    # Tasks in which all samples are taken together, 0 if each goes through by itself.
    cdef Py_ssize_t barrier_tasks
    # Weights that each sample meets.
    cdef Py_ssize_t weights_size

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1
    cdef void forward(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef void forward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil
    cdef void backward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil
    cdef void end_forward(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil
    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil
    cdef void update_all(self, LayerBuffers buffers, const Block *block) noexcept nogil
