"""Steps of small batches, grouped for the first layer.

A step on one sample reads and writes all weights for a few operations each, and most weights are in
the first layer. But the inputs of that layer are known beforehand, and plain gradient descent
changes its weights only by x[i].T @ delta[i]. So sample j has the pre-activation

    z[j] = x[j] @ W + bias - rate * sum of (x[j] @ x[i] + 1) * delta[i] over the earlier steps' i

Here W are the weights before the group. The product x @ W and the Gram matrix x @ x.T are computed
once for the group. The sum is added step by step. At the end one pass updates W by the group's
x.T @ delta. The other layers are updated in each step. The result differs from single steps only in
the order of roundings.
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
    # Least number of weights of the first layer for which grouping pays.
    LEAST_WEIGHTS = 4096


cdef bint can_group(Net net):
    """Return whether a network can group its steps."""
    cdef Layer first = net.layers[0]
    return (
        net.plain and type(first) is DenseLayer and (<DenseLayer>first).has_bias and not net.waits
        and not net.normalizes and net.scratch == 0 and first.weights_size >= LEAST_WEIGHTS
    )


cdef Py_ssize_t group_of(Net net, Py_ssize_t batch):
    """Return the samples of a group of whole batches; 0 if there is at most one, or no grouping."""
    return GROUP_ROWS // batch * batch if net.groups and 2 * batch <= GROUP_ROWS else 0


cdef void add_earlier_steps(
    LayerBuffers buffers, const Block *block, Py_ssize_t units
) noexcept nogil:
    """Add the effect of the group's earlier steps to the pre-activations of this one."""
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
    """Compute the Gram matrix x @ x.T + 1; the 1 stands for the bias."""
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
    """Take the steps of a group, `batch_size` samples each; the last step can have fewer.

    The block gives the first sample, the number of samples and the number of the first step. Stop
    before a step whose loss is not finite. Return the number of samples whose loss was computed,
    including that step, and set `total` to the sum of their weights.
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
