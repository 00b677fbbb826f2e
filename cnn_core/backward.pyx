"""The loss, its derivative, and the backward pass; a block of samples all the way and back.

Where a layer takes all samples together they wait for each other, twice: forward_backward_block stops
there, forward_all_task does some columns for all samples, and forward_backward_block goes on; on the
way back backward_layers stops there, backward_all_task does the columns, and backward_block goes on.
"""

from .activations cimport ActivationLayer
from .forward cimport forward_layers
from .gather cimport gather_block, number_of
from .layer cimport Layer
from .losses cimport output_delta, row_losses
from .matrix cimport Shape, first_largest
from .net cimport Net
from .scalar cimport real
from .workspace cimport Block, LayerBuffers, Workspace, block_of, block_shape


cdef void forward_backward_block(void *context, Py_ssize_t number, int thread) noexcept nogil:
    """From the layer that all have come up to, to the next where all wait, or to the end and back."""
    cdef Block block = block_of(<const Block *>context, number, thread)
    if block.layer < 0:
        gather_block(&block)
    if forward_layers(&block, block.layer + 1) == (<Net>block.net).size:
        loss_and_output_delta(&block)
        # The loss has gone through the last activation.
        backward_layers(&block, (<Net>block.net).size - 2)


cdef void backward_block(void *context, Py_ssize_t number, int thread) noexcept nogil:
    """Down from the layer that all have come to, to the next where all wait, or to the end."""
    cdef Block block = block_of(<const Block *>context, number, thread)
    backward_layers(&block, block.layer - 1)


cdef void backward_layers(const Block *block, Py_ssize_t l) noexcept nogil:
    """From layer `l` down to one where all samples wait, or to the first."""
    cdef void **layers = (<Net>block.net).layer_at
    cdef void **buffers = (<Workspace>block.workspace).layer_at
    while l >= 0 and (<Layer>layers[l]).barrier_tasks == 0:
        (<Layer>layers[l]).backward(<LayerBuffers>buffers[l], block)
        l -= 1


cdef void backward_all_task(void *context, Py_ssize_t task, int thread) noexcept nogil:
    """A task of the layer where all samples have come together."""
    cdef const Block *block = <const Block *>context
    (<Layer>(<Net>block.net).layer_at[block.layer]).backward_all(
        <LayerBuffers>(<Workspace>block.workspace).layer_at[block.layer], block, <int>task
    )


cdef void loss_and_output_delta(const Block *block) noexcept nogil:
    """The losses and hits of some samples, and the delta of what the last activation is made of."""
    cdef Py_ssize_t last = (<Net>block.net).size - 1
    cdef void *layer = (<Net>block.net).layer_at[last]
    cdef void *own = (<Workspace>block.workspace).layer_at[last]
    cdef Shape shape = block_shape(
        block, (<Net>block.net).outputs, (<Workspace>block.workspace).target_row
    )
    row_losses(
        &(<Net>block.net).loss, (<LayerBuffers>own).inputs, (<LayerBuffers>own).outputs,
        (<Workspace>block.workspace).targets, shape, (<Workspace>block.workspace).losses, block.top,
    )
    count_hits(
        (<LayerBuffers>own).outputs, (<Workspace>block.workspace).targets, shape,
        (<Workspace>block.workspace).hits, block.top,
    )
    output_delta(
        &(<Net>block.net).loss, &(<ActivationLayer>layer).activation, (<LayerBuffers>own).inputs,
        (<LayerBuffers>own).outputs, (<Workspace>block.workspace).targets,
        # If all weights are 0 so is the delta, whatever it is divided by.
        <real>(block.total if block.total > 0 else 1), shape, (<LayerBuffers>own).input_delta,
    )
    if block.samples.weights != NULL:
        weight_samples(
            block, (<LayerBuffers>own).input_delta, shape, (<Workspace>block.workspace).losses
        )


cdef void count_hits(
    const real[::1] y, const real[::1] t, Shape shape, unsigned char[::1] hits, Py_ssize_t top
) noexcept nogil:
    """Whether the largest output of each sample is the largest target."""
    cdef Py_ssize_t i, at
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        hits[top + i] = first_largest(y, at, shape.columns) == first_largest(t, at, shape.columns)


cdef void weight_samples(
    const Block *block, real[::1] delta, Shape shape, double[::1] losses
) noexcept nogil:
    """Let each sample count in loss and delta as much as its weight says."""
    cdef real weight
    cdef Py_ssize_t i, j, at
    for i in range(block.top, block.top + block.rows):
        weight = block.samples.weights[number_of(block.samples, block.first + i)]
        losses[i] *= weight
        at = i * shape.row
        for j in range(at, at + shape.columns):
            delta[j] = weight * delta[j]
