"""Small steps, several at once as far as the first layer goes.

A step on one sample reads and writes all weights for a handful of operations on each, and the first
layer has most of them. But its inputs are known beforehand, and plain gradient descent changes its
weights by x[i].T @ delta[i] alone. So for a group of samples from the weights W on

    z[j] = x[j] @ W + bias - rate * sum of (x[j] @ x[i] + 1) * delta[i] over the earlier steps' i

is what step after step would find: the products x @ W and x @ x.T are taken for the whole group, the
sum is made up step by step, and at the end the group's x.T @ delta goes into W in one sweep. The other
layers take their steps one by one. Only the order of roundings differs.
"""

from libc.math cimport isfinite

from .dense cimport Product, product
from .dense_layer cimport DenseLayer
from .forward_backward cimport backward_layers, forward_layers, loss_and_output_delta
from .layer cimport GROUP_ROWS, Block, Layer, LayerBuffers, Net, ThreadBuffers, Workspace
from .matrix cimport Matrix
from .samples cimport gather_block, total_of
from .update cimport update_layer

cdef enum:
    # Weights of the first layer from which on it pays.
    LEAST_WEIGHTS = 4096


cdef bint can_group(Net net):
    """Whether the steps of a network can be taken in groups."""
    cdef Layer first = net.layers[0]
    return (
        net.plain and type(first) is DenseLayer and (<DenseLayer>first).has_bias and not net.waits
        and not net.normalizes and net.scratch == 0 and first.weights_size >= LEAST_WEIGHTS
    )


cdef Py_ssize_t group_of(Net net, Py_ssize_t batch):
    """Samples of as many whole batches as a group takes; 0 if it would be one, or does not apply."""
    return GROUP_ROWS // batch * batch if net.groups and 2 * batch <= GROUP_ROWS else 0


cdef void add_earlier_steps(
    LayerBuffers buffers, const Block *block, Py_ssize_t units
) noexcept nogil:
    """Add to what the group's weights make of the samples what the steps before would have changed."""
    cdef Py_ssize_t start = block.top * buffers.row
    cdef Product extent = Product(
        block.rows, units, block.top, Matrix(block.top * GROUP_ROWS, GROUP_ROWS, 1),
        Matrix(0, buffers.row, 1), start, buffers.row, -block.step.rate, True, start, buffers.row,
    )
    product(
        (<ThreadBuffers>block.thread).gram, buffers.delta, buffers.outputs, buffers.outputs, &extent,
        False, NULL, (<ThreadBuffers>block.thread).product,
    )


cdef void products_between(
    LayerBuffers buffers, const Block *block, Py_ssize_t inputs
) noexcept nogil:
    """x @ x.T + 1, the one for the bias."""
    cdef Product extent = Product(
        block.rows, block.rows, inputs, Matrix(0, buffers.input_row, 1),
        Matrix(0, 1, buffers.input_row), 0, GROUP_ROWS, 1, True, 0, GROUP_ROWS,
    )
    (<ThreadBuffers>block.thread).gram[:] = 1
    product(
        buffers.inputs, buffers.inputs, (<ThreadBuffers>block.thread).gram,
        (<ThreadBuffers>block.thread).gram, &extent, False, NULL,
        (<ThreadBuffers>block.thread).product,
    )


cdef Py_ssize_t take_steps(Block *block, Py_ssize_t batch_size, double *total) noexcept nogil:
    """Take the steps of a group of samples, `batch_size` a step, the last one with what is left.

    The block says where the group begins, how many samples it has and what its first step is. No step
    is taken from one on whose loss is not finite; how many samples were judged is returned, and what
    they count in `total`.
    """
    cdef void *first = block.buffers[0]
    cdef Py_ssize_t size = (<Net>block.net).size, units = (<Layer>block.layers[0]).fan_out
    cdef Py_ssize_t rows = block.rows, start = 0, judged = 0, i, l
    cdef double loss = 0
    block.thread = (<Workspace>block.workspace).thread_at[0]
    gather_block(block)
    (<Layer>block.layers[0]).forward(<LayerBuffers>first, block)
    products_between(<LayerBuffers>first, block, (<Net>block.net).inputs)
    total[0] = 0
    while start < rows:
        block.top = start
        block.rows = block.batch_rows = min(batch_size, rows - start)
        block.total = total_of(block)
        if start > 0:
            add_earlier_steps(<LayerBuffers>first, block, units)
        forward_layers(block, 1)
        loss_and_output_delta(block)
        judged = start + block.rows
        total[0] += block.total
        for i in range(start, judged):
            loss += (<Workspace>block.workspace).losses[i]
        if not isfinite(loss):
            break
        backward_layers(block, size - 2)
        for l in range(1, size):
            update_layer(block, l)
        block.number += 1
        start += block.rows
    block.top = 0
    block.rows = start
    if start > 0:
        update_layer(block, 0)
    return judged
