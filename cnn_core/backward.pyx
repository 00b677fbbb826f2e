"""The loss, its derivative, and the backward pass; a block of samples all the way and back.

Where a layer takes all samples together they wait for each other, twice: forward_backward_block stops
there, forward_all_task does some columns for all samples, and forward_backward_block goes on; on the
way back backward_layers stops there, backward_all_task does the columns, and backward_block goes on.
"""

from .activations cimport ActivationLayer
from .forward cimport forward_layers
from .gather cimport gather_slice, number_of
from .layer cimport Layer
from .losses cimport output_delta, row_losses
from .matrix cimport Shape, first_largest
from .net cimport Net
from .scalar cimport real
from .workspace cimport BatchSlice, LayerBuffers, ThreadBuffers, Workspace, block_rows


cdef void forward_backward_block(void *context, Py_ssize_t block, int thread) noexcept nogil:
    """From the layer that all have come up to, to the next where all wait, or to the end and back."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    cdef Py_ssize_t l = batch.layer, top, rows
    block_rows(batch, block, &top, &rows)
    if l < 0:
        gather_slice(batch, top, rows)
    if forward_layers(batch, l + 1, top, rows, thread) == (<Net>batch.net).size:
        loss_and_output_delta(batch, top, rows)
        # The loss has gone through the last activation.
        backward_layers(batch, (<Net>batch.net).size - 2, top, rows, thread)


cdef void backward_block(void *context, Py_ssize_t block, int thread) noexcept nogil:
    """Down from the layer that all have come to, to the next where all wait, or to the end."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    cdef Py_ssize_t top, rows
    block_rows(batch, block, &top, &rows)
    backward_layers(batch, batch.layer - 1, top, rows, thread)


cdef void backward_layers(
    const BatchSlice *batch, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows, int thread
) noexcept nogil:
    """From layer `l` down to one where all samples wait, or to the first."""
    cdef void **layers = (<Net>batch.net).layer_at
    cdef void **buffers = (<Workspace>batch.workspace).layer_at
    cdef void *own = (<Workspace>batch.workspace).thread_at[thread]
    while l >= 0 and (<Layer>layers[l]).barrier_tasks == 0:
        (<Layer>layers[l]).backward(
            <LayerBuffers>buffers[l], batch, top, rows, <ThreadBuffers>own
        )
        l -= 1


cdef void backward_all_task(void *context, Py_ssize_t task, int thread) noexcept nogil:
    """A task of the layer where all samples have come together."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    (<Layer>(<Net>batch.net).layer_at[batch.layer]).backward_all(
        <LayerBuffers>(<Workspace>batch.workspace).layer_at[batch.layer], batch, task
    )


cdef void loss_and_output_delta(
    const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    """The losses and hits of some samples, and the delta of what the last activation is made of."""
    cdef Py_ssize_t last = (<Net>batch.net).size - 1
    cdef Py_ssize_t row = (<Workspace>batch.workspace).target_row
    cdef void *layer = (<Net>batch.net).layer_at[last]
    cdef void *own = (<Workspace>batch.workspace).layer_at[last]
    cdef Shape shape = Shape(top * row, rows, (<Net>batch.net).outputs, row)
    row_losses(
        &(<Net>batch.net).loss, (<LayerBuffers>own).inputs, (<LayerBuffers>own).outputs,
        (<Workspace>batch.workspace).targets, shape, (<Workspace>batch.workspace).losses, top,
    )
    count_hits(
        (<LayerBuffers>own).outputs, (<Workspace>batch.workspace).targets, shape,
        (<Workspace>batch.workspace).hits, top,
    )
    output_delta(
        &(<Net>batch.net).loss, &(<ActivationLayer>layer).activation, (<LayerBuffers>own).inputs,
        (<LayerBuffers>own).outputs, (<Workspace>batch.workspace).targets,
        # If all weights are 0 so is the delta, whatever it is divided by.
        <real>(batch.total if batch.total > 0 else 1), shape, (<LayerBuffers>own).input_delta,
    )
    if batch.samples.weights != NULL:
        weight_samples(
            batch, (<LayerBuffers>own).input_delta, shape, (<Workspace>batch.workspace).losses, top
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
    const BatchSlice *batch, real[::1] delta, Shape shape, double[::1] losses, Py_ssize_t top
) noexcept nogil:
    """Let each sample count in loss and delta as much as its weight says."""
    cdef real weight
    cdef Py_ssize_t i, j, at
    for i in range(shape.rows):
        weight = batch.samples.weights[number_of(&batch.samples, batch.first + top + i)]
        losses[top + i] *= weight
        at = shape.start + i * shape.row
        for j in range(shape.columns):
            delta[at + j] = weight * delta[at + j]
