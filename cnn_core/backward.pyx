"""The loss, its derivative, and the backward pass; a block of samples all the way and back.

Every block reads all weights and writes the rows of its own samples, so nothing is locked, and no sum
depends on who computed it.

Where a layer is normalized over the batch, all samples wait for each other, twice:
forward_backward_block stops there, normalize_batch does some columns for all samples, and
forward_backward_block goes on; on the way back backward_layers stops there, normalize_batch_backward
does the columns, and backward_block goes on.
"""

from .dense cimport Target, product
from .dropout cimport drop
from .forward cimport affine, forward_layers
from .gather cimport gather_slice, number_of
from .matrix cimport Matrix, Shape
from .normalization cimport columns_backward, rows_backward
from .scalar cimport real, sigmoid_of, sigmoid_slope
from .workspace cimport (
    BATCH,
    LAYER,
    BatchSlice,
    Buffers,
    Layer,
    LayerBuffers,
    Net,
    columns_of_block,
    counter_of,
    split_rows,
)


cdef inline void block_rows(
    const BatchSlice *batch, Py_ssize_t block, Py_ssize_t *top, Py_ssize_t *rows
) noexcept nogil:
    """The rows of the workspace that a block of samples has."""
    split_rows(batch.rows, batch.blocks, block, top, rows)
    rows[0] = rows[0] - top[0]
    top[0] = top[0] + batch.top


cdef void forward_backward_block(void *context, Py_ssize_t block, int thread) noexcept nogil:
    """From the layer that all have come up to, to the next that waits for all, or to the end."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    cdef const Buffers *workspace = batch.workspace
    cdef Py_ssize_t l = batch.layer, top, rows
    block_rows(batch, block, &top, &rows)
    if l < 0:
        l = 0
        gather_slice(batch, top, rows)
        affine(
            batch.net, workspace, 0, workspace.x + top * workspace.input_row, workspace.input_row, batch.first, top, rows,
            batch.samples.are_sparse, thread,
        )
        if batch.net.layers[0].normalization == BATCH:
            return
    if forward_layers(batch, l, top, rows, thread) == batch.net.size:
        loss_and_output_delta(batch, top, rows)
        backward_layers(batch, batch.net.size - 1, top, rows, thread)


cdef void backward_block(void *context, Py_ssize_t block, int thread) noexcept nogil:
    """Down from the layer that all have come to, to the next that waits for all, or to the end."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    cdef Py_ssize_t top, rows
    block_rows(batch, block, &top, &rows)
    backward_layer(batch, batch.layer, top, rows, thread)
    backward_layers(batch, batch.layer - 1, top, rows, thread)


cdef void normalize_batch_backward(void *context, Py_ssize_t block, int thread) noexcept nogil:
    """From dloss/dz to the same with respect to what was weighed, some units over all the samples."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    cdef const Layer *layer = &batch.net.layers[batch.layer]
    cdef const LayerBuffers *buffers = &batch.workspace.layers[batch.layer]
    cdef Py_ssize_t j
    cdef Shape shape = columns_of_block(batch, block, &j)
    columns_backward(
        buffers.normal + j, buffers.spread + j, batch.net.parameters + layer.gain + j, buffers.delta + j,
        shape, buffers.error + j,
    )


cdef void loss_and_output_delta(const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows) noexcept nogil:
    """The losses and hits of some samples, and the delta of the last layer."""
    cdef const Net *net = batch.net
    cdef const Buffers *workspace = batch.workspace
    cdef const Layer *last = &net.layers[net.size - 1]
    cdef const LayerBuffers *buffers = &workspace.layers[net.size - 1]
    cdef Py_ssize_t i, at = top * last.row
    cdef Shape shape = Shape(rows, last.fan_out, last.row)
    net.loss.of_rows(
        &net.loss, buffers.z + at, buffers.activation + at, workspace.targets + at, shape, workspace.losses + top
    )
    for i in range(rows):
        workspace.hits[top + i] = (
            largest(buffers.activation + at + i * last.row, last.fan_out)
            == largest(workspace.targets + at + i * last.row, last.fan_out)
        )
    if net.article:
        subtract(buffers.activation + at, workspace.targets + at, shape, buffers.delta + at)
    else:
        net.loss.delta(
            &net.loss, &last.activation, buffers.z + at, buffers.activation + at, workspace.targets + at,
            # If all weights are 0 so is the delta, whatever it is divided by.
            <real>(batch.total if batch.total > 0 else 1), shape, buffers.delta + at,
        )
    if batch.samples.weights != NULL:
        weight_samples(batch, top, rows)


cdef void weight_samples(const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows) noexcept nogil:
    """Let each sample count in loss and delta as much as its weight says."""
    cdef const Layer *last = &batch.net.layers[batch.net.size - 1]
    cdef real *delta = batch.workspace.layers[batch.net.size - 1].delta
    cdef real weight
    cdef Py_ssize_t i, j
    for i in range(top, top + rows):
        weight = batch.samples.weights[number_of(&batch.samples, batch.first + i)]
        batch.workspace.losses[i] *= weight
        for j in range(last.fan_out):
            delta[i * last.row + j] = weight * delta[i * last.row + j]


cdef inline Py_ssize_t largest(const real *values, Py_ssize_t size) noexcept nogil:
    """Where the largest value stands, the first one if there are more."""
    cdef Py_ssize_t j, found = 0
    for j in range(1, size):
        if values[j] > values[found]:
            found = j
    return found


cdef void backward_layers(
    const BatchSlice *batch, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows, int thread
) noexcept nogil:
    """From dloss/dz of a layer to those of all below it, or down to one that waits for all."""
    cdef const Net *net = batch.net
    cdef const Layer *layer
    cdef const LayerBuffers *buffers
    cdef Py_ssize_t at
    while True:
        layer = &net.layers[l]
        buffers = &batch.workspace.layers[l]
        if net.article:
            article_gradient(batch, l, top, rows)
        if layer.normalization == BATCH:
            return
        if layer.normalization == LAYER:
            at = top * layer.row
            rows_backward(
                buffers.normal + at, buffers.spread + top, net.parameters + layer.gain,
                buffers.delta + at, Shape(rows, layer.fan_out, layer.row), buffers.error + at,
            )
        if l == 0:
            return
        backward_layer(batch, l, top, rows, thread)
        l -= 1


cdef void backward_layer(
    const BatchSlice *batch, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows, int thread
) noexcept nogil:
    """The delta of the layer below, of which there is one."""
    cdef const Net *net = batch.net
    cdef const Layer *layer = &net.layers[l]
    cdef const Layer *below = &net.layers[l - 1]
    cdef const LayerBuffers *buffers = &batch.workspace.layers[l - 1]
    cdef Py_ssize_t at = top * below.row
    cdef Shape shape = Shape(rows, below.fan_out, below.row)
    product(
        Matrix(batch.workspace.layers[l].error + top * layer.row, layer.row, 1),
        Matrix(net.parameters + layer.weights, 1, layer.fan_out),
        rows, layer.fan_in, layer.fan_out,
        Target(NULL, 0, 1, buffers.delta + at, below.row, False), NULL,
        &batch.workspace.threads[thread].product,
    )
    if net.article:
        return
    if below.dropout > 0:
        drop(
            below.dropout, net.key, counter_of(batch, l - 1, top), buffers.delta + at, buffers.delta + at,
            shape,
        )
    below.activation.backward(
        buffers.z + at, buffers.activation + at, buffers.delta + at, buffers.delta + at, shape
    )


cdef void subtract(const real *y, const real *t, Shape shape, real *out) noexcept nogil:
    cdef Py_ssize_t i, j, at
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            out[at] = y[at] - t[at]


cdef void article_gradient(
    const BatchSlice *batch, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    """The gradient of the samples' biases, from the error in the place of the delta.

    The article takes the sigmoid a second time, of what is an activation already, and it is the
    error that goes down to the layer below, not the delta.
    """
    cdef const Layer *layer = &batch.net.layers[l]
    cdef const LayerBuffers *buffers = &batch.workspace.layers[l]
    cdef real *gradient = batch.net.gradient + layer.bias + (batch.first + top) * layer.fan_out
    cdef Py_ssize_t i, j, at
    for i in range(rows):
        for j in range(layer.fan_out):
            at = (top + i) * layer.row + j
            gradient[i * layer.fan_out + j] = buffers.delta[at] * sigmoid_slope(
                sigmoid_of(buffers.activation[at])
            )
