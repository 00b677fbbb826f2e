"""The forward pass, the loss and the backward pass. How: forward_backward.pyx."""

from .layer cimport Block


cdef void forward_backward(Block *block, int threads) noexcept nogil
cdef Py_ssize_t forward_layers(const Block *block, Py_ssize_t l) noexcept nogil
cdef void end_forward(const Block *block) noexcept nogil
cdef void loss_and_output_delta(const Block *block) noexcept nogil
cdef void backward_layers(const Block *block, Py_ssize_t l) noexcept nogil
# A task for `run`, whose context is a `Prediction`.
cdef void predict_block(void *context, Py_ssize_t number, int thread) noexcept nogil
