"""The forward pass, the loss and its derivative, and the backward pass, for blocks of samples.

Where a layer takes all samples together they wait for each other, twice: forward_backward_block stops
there, forward_all_task does some columns for all samples, and forward_backward_block goes on; on the
way back backward_layers stops there, backward_all_task does the columns, and backward_block goes on.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from ..threads cimport run
from .activations cimport ActivationLayer, activation_backward
from .layer cimport (
    Block, Layer, LayerBuffers, Net, Prediction, Workspace, block_of, block_shape, number_of,
)
from .losses cimport CROSS_ENTROPY, Loss, cross_entropy, output_slope, row_losses
from .matrix cimport Shape, first_largest
from .samples cimport gather, gather_block, gather_targets
from .scalar cimport is_nonfinite, real
from .sparse_rows cimport any_value_nonfinite

cdef extern from "threads.h" nogil:
    void shared_store(int64_t *at, int64_t value)


cdef void forward_backward(Block *block, int threads) noexcept nogil:
    """All samples up to the last layer and down again, together where they have to wait."""
    cdef Py_ssize_t size = (<Net>block.net).size
    block.layer = -1
    while block.layer < size:
        run(forward_backward_block, block, block.blocks, threads)
        block.layer = next_barrier(block, 1)
        if block.layer < size:
            run(forward_all_task, block, barrier_tasks(block), threads)
    block.layer = next_barrier(block, -1)
    while block.layer >= 0:
        run(backward_all_task, block, barrier_tasks(block), threads)
        run(backward_block, block, block.blocks, threads)
        block.layer = next_barrier(block, -1)


cdef Py_ssize_t next_barrier(const Block *block, int direction) noexcept nogil:
    """The next layer, above (1) or below (-1), where all samples wait; one past the ends if none."""
    cdef Py_ssize_t l = block.layer + direction
    while 0 <= l < (<Net>block.net).size and (<Layer>block.layers[l]).barrier_tasks == 0:
        l += direction
    return l


cdef Py_ssize_t barrier_tasks(const Block *block) noexcept nogil:
    return (<Layer>block.layers[block.layer]).barrier_tasks


cdef void forward_backward_block(void *context, Py_ssize_t number, int thread) noexcept nogil:
    """From the layer that all have come up to, to the next where all wait, or to the end and back."""
    cdef Block block = block_of(<const Block *>context, number, thread)
    if block.layer < 0:
        gather_block(&block)
    else:
        (<Layer>block.layers[block.layer]).forward_after(
            <LayerBuffers>block.buffers[block.layer], &block
        )
    if forward_layers(&block, block.layer + 1) == (<Net>block.net).size - 1:
        loss_and_output_delta(&block)
        # The loss has gone through the last activation.
        backward_layers(&block, (<Net>block.net).size - 2)


cdef Py_ssize_t forward_layers(const Block *block, Py_ssize_t l) noexcept nogil:
    """From layer `l` on up to one where all samples wait, or to the last, which is returned."""
    while l < (<Net>block.net).size - 1 and (<Layer>block.layers[l]).barrier_tasks == 0:
        (<Layer>block.layers[l]).forward(<LayerBuffers>block.buffers[l], block)
        l += 1
    (<Layer>block.layers[l]).forward_before(<LayerBuffers>block.buffers[l], block)
    return l


cdef void forward_all_task(void *context, Py_ssize_t task, int thread) noexcept nogil:
    """A task of the layer where all samples have come together."""
    cdef const Block *block = <const Block *>context
    (<Layer>block.layers[block.layer]).forward_all(
        <LayerBuffers>block.buffers[block.layer], block, <int>task
    )


cdef void end_forward(const Block *block) noexcept nogil:
    """All samples of a step have gone forward."""
    cdef Py_ssize_t l
    for l in range((<Net>block.net).size):
        (<Layer>block.layers[l]).end_forward(<LayerBuffers>block.buffers[l], block)


cdef void backward_block(void *context, Py_ssize_t number, int thread) noexcept nogil:
    """Down from the layer that all have come to, to the next where all wait, or to the end."""
    cdef Block block = block_of(<const Block *>context, number, thread)
    (<Layer>block.layers[block.layer]).backward_after(
        <LayerBuffers>block.buffers[block.layer], &block
    )
    backward_layers(&block, block.layer - 1)


cdef void backward_layers(const Block *block, Py_ssize_t l) noexcept nogil:
    """From layer `l` down to one where all samples wait, or to the first."""
    while l >= 0 and (<Layer>block.layers[l]).barrier_tasks == 0:
        (<Layer>block.layers[l]).backward(<LayerBuffers>block.buffers[l], block)
        l -= 1
    if l >= 0:
        (<Layer>block.layers[l]).backward_before(<LayerBuffers>block.buffers[l], block)


cdef void backward_all_task(void *context, Py_ssize_t task, int thread) noexcept nogil:
    """A task of the layer where all samples have come together."""
    cdef const Block *block = <const Block *>context
    (<Layer>block.layers[block.layer]).backward_all(
        <LayerBuffers>block.buffers[block.layer], block, <int>task
    )


cdef void loss_and_output_delta(const Block *block) noexcept nogil:
    """The last activation of some samples, their losses and hits, and the delta of its inputs."""
    cdef Py_ssize_t last = (<Net>block.net).size - 1
    loss_of_block(
        <LayerBuffers>block.buffers[last], <Workspace>block.workspace,
        <ActivationLayer>block.layers[last], block,
    )


cdef void loss_of_block(
    LayerBuffers own, Workspace workspace, ActivationLayer layer, const Block *block
) noexcept nogil:
    cdef const Loss *loss = &(<Net>block.net).loss
    cdef Shape shape = block_shape(block, (<Net>block.net).outputs, workspace.target_row)
    # If all weights are 0 so is the delta, whatever it is divided by.
    cdef real total = <real>(block.total if block.total > 0 else 1)
    gather_targets(block, workspace.targets)
    if loss.name == CROSS_ENTROPY:
        cross_entropy(
            own.inputs, workspace.targets, workspace.labels, block.samples.are_labels_read, total,
            shape, block.top, own.outputs, workspace.losses, own.input_delta,
        )
    else:
        layer.forward(own, block)
        row_losses(
            loss, own.inputs, own.outputs, workspace.targets, shape, workspace.losses, block.top
        )
        if not output_slope(loss, own.outputs, workspace.targets, total, shape, own.input_delta):
            activation_backward(
                layer.activation, own.inputs, own.outputs, own.input_delta, own.input_delta, shape
            )
    count_hits(own, workspace, block, shape)
    if block.samples.weights != NULL:
        weight_samples(block, own.input_delta, shape, workspace.losses)


cdef void count_hits(
    LayerBuffers own, Workspace workspace, const Block *block, Shape shape
) noexcept nogil:
    """Whether the largest output of each sample is the largest target."""
    cdef Py_ssize_t i, at, label
    for i in range(block.top, block.top + block.rows):
        at = i * shape.row
        if block.samples.are_labels_read:
            label = at + workspace.labels[i]
        else:
            label = first_largest(workspace.targets, at, shape.columns)
        workspace.hits[i] = first_largest(own.outputs, at, shape.columns) == label


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


cdef void predict_block(void *context, Py_ssize_t number, int thread) noexcept nogil:
    """The outputs for a block of samples, straight from the caller's array if nothing is to do."""
    cdef Prediction *asked = <Prediction *>context
    cdef Block block = block_of(&asked.block, number, thread)
    cdef Py_ssize_t outputs = (<Net>block.net).outputs
    cdef Py_ssize_t i, l, last = (<Net>block.net).size - 1
    if (<LayerBuffers>block.buffers[0]).own_inputs.shape[0] == 0 and not block.samples.are_read_sparse:
        gather(&block)
    # Looked at here, where they are about to be fetched anyhow.
    if block.samples.bytes == NULL and any_nonfinite(&block):
        shared_store(&asked.nonfinite, 1)
    for l in range(last + 1):
        (<Layer>block.layers[l]).predict(<LayerBuffers>block.buffers[l], &block)
    for i in range(block.top, block.top + block.rows):
        memcpy(
            asked.out + (block.first + i) * outputs,
            &(<LayerBuffers>block.buffers[last]).outputs[i * (<LayerBuffers>block.buffers[last]).row],
            <size_t>outputs * sizeof(real),
        )


cdef bint any_nonfinite(const Block *block) noexcept nogil:
    """Whether an input, scaled, is infinite or NaN."""
    cdef Py_ssize_t inputs = (<Net>block.net).inputs, row = inputs, i, j
    cdef const real *x
    cdef int found = 0
    if block.samples.are_read_sparse:
        return any_value_nonfinite(block)
    if (<LayerBuffers>block.buffers[0]).own_inputs.shape[0] > 0:
        x = &(<LayerBuffers>block.buffers[0]).own_inputs[block.first * inputs]
    else:
        row = (<Workspace>block.workspace).input_row
        x = &(<Workspace>block.workspace).x[0]
    for i in range(block.top, block.top + block.rows):
        for j in range(inputs):
            found |= is_nonfinite(x[i * row + j])
    return found
