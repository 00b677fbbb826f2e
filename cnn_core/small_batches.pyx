"""Small steps, several at once as far as the first layer goes.

A step on one sample reads and writes all weights for a handful of operations on each, and the first
layer has most of them. But its inputs are known beforehand, and plain gradient descent changes its
weights by x[i].T @ delta[i] alone. So for a group of samples from the weights W on

    z[j] = x[j] @ W + bias - rate * sum of (x[j] @ x[i] + 1) * delta[i] over the earlier steps' i

is what step after step would find: the products x @ W and x @ x.T are taken for the whole group, the
sum is made up step by step, and at the end the group's x.T @ delta goes into W in one sweep. The other
layers apply_clipped_step their steps one by one. Only the order of roundings differs.
"""

from libc.math cimport isfinite

from .backward cimport backward_layers, loss_and_output_delta
from .dense cimport Target, product
from .dense_layer cimport DenseLayer
from .forward cimport forward_layers
from .gather cimport ask_for_quarter, gather_slice, total_of
from .layer cimport Layer
from .matrix cimport Matrix
from .net cimport Net
from .scalar cimport real
from .update cimport update_layer
from .workspace cimport BatchSlice, LayerBuffers, ThreadBuffers, Workspace

cdef enum:
    # Samples of a group: enough for a full tile of the product, and few enough that the square of
    # products between them costs little.
    GROUP_ROWS = 16
    # Weights of the first layer from which on it pays.
    LEAST_WEIGHTS = 4096


cdef bint can_group(Net net):
    """Whether the steps of a network can be taken in groups."""
    cdef Layer first = net.layers[0]
    return (
        net.plain and type(first) is DenseLayer and (<DenseLayer>first).has_bias and not net.waits
        and not net.normalizes and first.weights_size >= LEAST_WEIGHTS
    )


cdef Py_ssize_t group_of(Net net, Py_ssize_t batch):
    """Samples of as many whole batches as a group takes; 0 if it would be one, or does not apply."""
    return GROUP_ROWS // batch * batch if net.groups and 2 * batch <= GROUP_ROWS else 0


cdef inline void ask_ahead(const BatchSlice *batch, Py_ssize_t group, int quarter) noexcept nogil:
    """Ask for a quarter of the samples that stand in the next group where those of this step do.

    For all of them at once the core would have to wait.
    """
    cdef Py_ssize_t i
    for i in range(batch.first + batch.top, batch.first + batch.top + batch.rows):
        ask_for_quarter(&batch.samples, (<Net>batch.net).inputs, i + group, quarter)


cdef void add_earlier_steps(
    LayerBuffers buffers, ThreadBuffers thread, const BatchSlice *batch, Py_ssize_t units,
    const real *gram,
) noexcept nogil:
    """Add to what the group's weights make of the samples what the steps before would have changed."""
    cdef real *z = &buffers.outputs[batch.top * buffers.row]
    product(
        Matrix(gram + batch.top * GROUP_ROWS, GROUP_ROWS, 1),
        Matrix(&buffers.delta[0], buffers.row, 1), batch.rows, units, batch.top,
        Target(z, buffers.row, -batch.step.rate, z, buffers.row, False), NULL, thread.product,
    )


cdef void products_between(
    LayerBuffers buffers, ThreadBuffers thread, Py_ssize_t inputs, Py_ssize_t rows, real *gram
) noexcept nogil:
    """x @ x.T + 1, the one for the bias."""
    cdef real one[GROUP_ROWS]
    cdef Py_ssize_t i
    for i in range(GROUP_ROWS):
        one[i] = 1
    product(
        Matrix(&buffers.inputs[0], buffers.input_row, 1),
        Matrix(&buffers.inputs[0], 1, buffers.input_row), rows, rows, inputs,
        Target(&one[0], 0, 1, gram, GROUP_ROWS, False), NULL, thread.product,
    )


cdef Py_ssize_t take_steps(
    BatchSlice *batch, Py_ssize_t rows, Py_ssize_t batch_size, double *total
) noexcept nogil:
    """Take the steps of a group of `rows` samples, `batch_size` a step, the last one with what is left.

    The slice says where the group begins and what its first step is. No step is taken from one on
    whose loss is not finite; how many samples were judged is returned, and what they count in `total`.
    """
    cdef void *first = (<Workspace>batch.workspace).layer_at[0]
    cdef void *own = (<Workspace>batch.workspace).thread_at[0]
    cdef Py_ssize_t size = (<Net>batch.net).size, units = (<Net>batch.net).first_units
    cdef real gram[GROUP_ROWS * GROUP_ROWS]
    cdef Py_ssize_t start = 0, judged = 0, i, l
    cdef double loss = 0
    gather_slice(batch, 0, rows)
    (<Layer>(<Net>batch.net).layer_at[0]).forward(
        <LayerBuffers>first, batch, 0, rows, <ThreadBuffers>own
    )
    products_between(
        <LayerBuffers>first, <ThreadBuffers>own, (<Net>batch.net).inputs, rows, &gram[0]
    )
    total[0] = 0
    while start < rows:
        batch.top = start
        batch.rows = batch.batch_rows = min(batch_size, rows - start)
        batch.total = total_of(batch)
        if start > 0:
            add_earlier_steps(<LayerBuffers>first, <ThreadBuffers>own, batch, units, &gram[0])
        ask_ahead(batch, rows, 0)
        forward_layers(batch, 1, start, batch.rows, 0)
        ask_ahead(batch, rows, 1)
        loss_and_output_delta(batch, start, batch.rows)
        judged = start + batch.rows
        total[0] += batch.total
        for i in range(start, judged):
            loss += (<Workspace>batch.workspace).losses[i]
        if not isfinite(loss):
            break
        ask_ahead(batch, rows, 2)
        backward_layers(batch, size - 2, start, batch.rows, 0)
        ask_ahead(batch, rows, 3)
        for l in range(1, size):
            update_layer(batch, l)
        batch.number += 1
        start += batch.rows
    batch.top = 0
    batch.rows = start
    if start > 0:
        update_layer(batch, 0)
    return judged
