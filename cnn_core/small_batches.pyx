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
from .forward cimport affine, forward_layers
from .gather cimport ask_for_quarter, gather_slice, total_of
from .matrix cimport Matrix
from .scalar cimport real
from .update cimport update_layer
from .workspace cimport BatchSlice, Buffers, Layer, Net

cdef enum:
    # Samples of a group: enough for a full tile of the product, and few enough that the square of
    # products between them costs little.
    GROUP_ROWS = 16
    # Weights of the first layer from which on it pays.
    LEAST_WEIGHTS = 4096


cdef Py_ssize_t group_of(const Net *net, Py_ssize_t batch) noexcept nogil:
    """Samples of as many whole batches as a group takes; 0 if it would be one, or does not apply."""
    cdef const Layer *layer = &net.layers[0]
    if (
        not net.plain or net.article or net.normalizes or 2 * batch > GROUP_ROWS
        or layer.fan_in * layer.fan_out < LEAST_WEIGHTS
    ):
        return 0
    return GROUP_ROWS // batch * batch


cdef inline void ask_ahead(const BatchSlice *batch, Py_ssize_t group, int quarter) noexcept nogil:
    """Ask for a quarter of the samples that stand in the next group where those of this step do.

    For all of them at once the core would have to wait.
    """
    cdef Py_ssize_t i
    for i in range(batch.first + batch.top, batch.first + batch.top + batch.rows):
        ask_for_quarter(batch.net, &batch.samples, i + group, quarter)


cdef Py_ssize_t take_steps(
    BatchSlice *batch, Py_ssize_t rows, Py_ssize_t batch_size, double *total
) noexcept nogil:
    """Take the steps of a group of `rows` samples, `batch_size` a step, the last one with what is left.

    The slice says where the group begins and what its first step is. No step is taken from one on
    whose loss is not finite; how many samples were judged is returned, and what they count in `total`.
    """
    cdef const Net *net = batch.net
    cdef const Buffers *workspace = batch.workspace
    cdef const Layer *layer = &net.layers[0]
    cdef real *z = workspace.layers[0].z
    cdef real gram[GROUP_ROWS * GROUP_ROWS]
    cdef real one[GROUP_ROWS]
    cdef Py_ssize_t start = 0, judged = 0, i, l
    cdef double loss = 0
    for i in range(GROUP_ROWS):
        one[i] = 1
    gather_slice(batch, 0, rows)
    affine(
        net, workspace, 0, workspace.x, workspace.input_row, batch.first, 0, rows, batch.samples.are_sparse, 0
    )
    product(
        Matrix(workspace.x, workspace.input_row, 1), Matrix(workspace.x, 1, workspace.input_row),
        rows, rows, layer.fan_in, Target(&one[0], 0, 1, &gram[0], GROUP_ROWS, False), NULL,
        &workspace.threads[0].product,
    )
    total[0] = 0
    while start < rows:
        batch.top = start
        batch.rows = batch.batch_rows = min(batch_size, rows - start)
        batch.total = total_of(batch)
        if start > 0:
            product(
                Matrix(&gram[start * GROUP_ROWS], GROUP_ROWS, 1),
                Matrix(workspace.layers[0].delta, layer.row, 1),
                batch.rows, layer.fan_out, start,
                Target(z + start * layer.row, layer.row, -batch.step.rate, z + start * layer.row,
                       layer.row, False),
                NULL, &workspace.threads[0].product,
            )
        ask_ahead(batch, rows, 0)
        forward_layers(batch, 0, start, batch.rows, 0)
        ask_ahead(batch, rows, 1)
        loss_and_output_delta(batch, start, batch.rows)
        judged = start + batch.rows
        total[0] += batch.total
        for i in range(start, judged):
            loss += workspace.losses[i]
        if not isfinite(loss):
            break
        ask_ahead(batch, rows, 2)
        backward_layers(batch, net.size - 1, start, batch.rows, 0)
        ask_ahead(batch, rows, 3)
        for l in range(1, net.size):
            update_layer(batch, l, 0)
        batch.number += 1
        start += batch.rows
    batch.top = 0
    batch.rows = start
    if start > 0:
        update_layer(batch, 0, 0)
    return judged
