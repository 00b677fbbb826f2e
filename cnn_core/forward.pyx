"""The forward pass: dense product, normalization, activation and dropout, layer after layer."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from .dense cimport ProductBuffers, Target, Terms, product
from .dropout cimport drop
from .gather cimport gather
from .matrix cimport Matrix, Shape
from .normalization cimport move_averages, normalize_by, normalize_columns, normalize_rows
from .scalar cimport real
from .workspace cimport (
    BATCH,
    LAYER,
    NONE,
    BatchSlice,
    Buffers,
    Layer,
    LayerBuffers,
    Net,
    Prediction,
    columns_of_block,
    counter_of,
    next_to_wait,
    split_rows,
)

cdef extern from "threads.h" nogil:
    void shared_store(int64_t *at, int64_t value)

cdef extern from "vector.h" nogil:
    int is_nonfinite(real x)


cdef void affine(
    const Net *net, const Buffers *workspace, Py_ssize_t l, const real *x, Py_ssize_t x_row,
    Py_ssize_t first, Py_ssize_t top, Py_ssize_t rows, bint looks_for_zeros,
    int thread,
) noexcept nogil:
    """x @ weights, and the bias unless there is normalization, into the workspace from row `top`.

    The sample in row 0 of the workspace is the caller's sample number `first`. `looks_for_zeros`: whether
    it is worth while in `x`.
    """
    cdef const Layer *layer = &net.layers[l]
    cdef const real *bias = net.parameters + layer.bias
    cdef ProductBuffers *buffers = &workspace.threads[thread].product
    cdef Terms *terms = NULL
    if looks_for_zeros:
        terms = &buffers.terms
        terms.listed = False
    if net.article:
        bias += (first + top) * layer.fan_out
    elif layer.normalization != NONE:
        bias = NULL
    product(
        Matrix(x, x_row, 1), Matrix(net.parameters + layer.weights, layer.fan_out, 1),
        rows, layer.fan_out, layer.fan_in,
        Target(
            bias, layer.fan_out if net.article else 0, 1,
            workspace.layers[l].normal + top * layer.row, layer.row, False,
        ),
        terms, buffers,
    )


cdef inline void normalize_samples(
    const Net *net, const Buffers *workspace, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    """From what was weighed to the pre-activations, each sample by itself."""
    cdef const Layer *layer = &net.layers[l]
    cdef const LayerBuffers *buffers = &workspace.layers[l]
    cdef Py_ssize_t at = top * layer.row
    normalize_rows(
        buffers.normal + at, net.parameters + layer.gain, net.parameters + layer.bias,
        Shape(rows, layer.fan_out, layer.row), buffers.normal + at, buffers.spread + top, buffers.z + at,
    )


cdef inline void activate(
    const Net *net, const Buffers *workspace, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    cdef const Layer *layer = &net.layers[l]
    cdef const LayerBuffers *buffers = &workspace.layers[l]
    cdef Py_ssize_t at = top * layer.row
    layer.activation.forward(
        buffers.z + at, buffers.activation + at, Shape(rows, layer.fan_out, layer.row)
    )


cdef Py_ssize_t forward_layers(
    const BatchSlice *batch, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows, int thread
) noexcept nogil:
    """From what was weighed in a layer to the activations of the last one, with dropout.

    What is to be normalized over the batch has been, in this layer; the next such layer, which is
    weighed and waits, is returned, or the number of layers.
    """
    cdef const Net *net = batch.net
    cdef const Layer *layer
    cdef const LayerBuffers *buffers
    cdef Py_ssize_t at
    while True:
        layer = &net.layers[l]
        buffers = &batch.workspace.layers[l]
        at = top * layer.row
        if layer.normalization == LAYER:
            normalize_samples(net, batch.workspace, l, top, rows)
        activate(net, batch.workspace, l, top, rows)
        if layer.dropout > 0:
            drop(
                layer.dropout, net.key, counter_of(batch, l, top), buffers.activation + at,
                buffers.output + at, Shape(rows, layer.fan_out, layer.row),
            )
        l += 1
        if l == net.size:
            return l
        affine(net, batch.workspace, l, buffers.output + at, layer.row, batch.first, top, rows, False, thread)
        if net.layers[l].normalization == BATCH:
            return l


cdef void normalize_batch(void *context, Py_ssize_t block, int thread) noexcept nogil:
    """From what was weighed to the pre-activations, some units over all the samples."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    cdef const Net *net = batch.net
    cdef const Layer *layer = &net.layers[batch.layer]
    cdef const LayerBuffers *buffers = &batch.workspace.layers[batch.layer]
    cdef Py_ssize_t j
    cdef Shape shape = columns_of_block(batch, block, &j)
    cdef real *mean = buffers.statistics + j
    normalize_columns(
        buffers.normal + j, net.parameters + layer.gain + j, net.parameters + layer.bias + j, shape,
        buffers.normal + j, buffers.spread + j, buffers.z + j, mean, mean + layer.fan_out,
    )


cdef void move_statistics(const BatchSlice *batch) noexcept nogil:
    """Let the running averages of batch normalization follow a batch that has gone through.

    One sample has no variance to tell of.
    """
    cdef const Net *net = batch.net
    cdef Py_ssize_t l = next_to_wait(net, -1)
    while l < net.size and batch.batch_rows > 1:
        move_averages(
            batch.workspace.layers[l].statistics, net.statistics + net.layers[l].statistics,
            2 * net.layers[l].fan_out,
        )
        l = next_to_wait(net, l)


cdef void predict_block(void *context, Py_ssize_t block, int thread) noexcept nogil:
    """The outputs for a block of samples, straight from the caller's array if nothing is to do."""
    cdef Prediction *asked = <Prediction *>context
    cdef const Net *net = asked.net
    cdef const Buffers *workspace = asked.workspace
    cdef const Layer *last = &net.layers[net.size - 1]
    cdef Py_ssize_t top, end, i, l, x_row = net.inputs
    cdef const real *x
    split_rows(asked.rows, asked.blocks, block, &top, &end)
    if asked.samples.reals == NULL or net.input_scale != 1:
        gather(net, &asked.samples, asked.first + top, end - top, workspace.x + top * workspace.input_row,
               workspace.input_row)
        x, x_row = workspace.x + top * workspace.input_row, workspace.input_row
    else:
        x = asked.samples.reals + (asked.first + top) * net.inputs
    # Looked at here, where they are about to be fetched anyhow.
    if asked.samples.bytes == NULL and any_nonfinite(x, x_row, end - top, net.inputs):
        shared_store(&asked.nonfinite, 1)
    for l in range(net.size):
        affine(
            net, workspace, l, x, x_row, asked.first, top, end - top,
            l == 0 and asked.samples.are_sparse, thread,
        )
        normalize_by_what_was_learned(net, workspace, l, top, end - top)
        activate(net, workspace, l, top, end - top)
        x, x_row = workspace.layers[l].activation + top * net.layers[l].row, net.layers[l].row
    for i in range(top, end):
        memcpy(
            asked.out + (asked.first + i) * net.outputs,
            workspace.layers[net.size - 1].activation + i * last.row,
            <size_t>net.outputs * sizeof(real),
        )


cdef inline void normalize_by_what_was_learned(
    const Net *net, const Buffers *workspace, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    cdef const Layer *layer = &net.layers[l]
    cdef const real *mean = net.statistics + layer.statistics
    cdef real *z = workspace.layers[l].z + top * layer.row
    if layer.normalization == LAYER:
        normalize_samples(net, workspace, l, top, rows)
    elif layer.normalization == BATCH:
        normalize_by(
            mean, mean + layer.fan_out, net.parameters + layer.gain, net.parameters + layer.bias,
            z, Shape(rows, layer.fan_out, layer.row), z,
        )


cdef bint any_nonfinite(
    const real *x, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t columns
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef int found = 0
    for i in range(rows):
        for j in range(columns):
            found |= is_nonfinite(x[i * row + j])
    return found
