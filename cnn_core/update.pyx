"""Update the parameters: a piece is some rows of a layer's weights, or its bias and gain.

update_piece takes the gradient over all samples of the batch, and at once the step that it asks for,
while both are in the nearest cache. Every piece reads all rows of the samples and writes parameters of
its own, so nothing is locked, and no sum depends on who computed it.

A gradient that is clipped by its norm is computed whole before any step: update_piece without steps,
then finish_gradient (the norm), then apply_clipped_step.
"""

from libc.string cimport memcpy, memset

from .dense cimport Target, Terms, list_terms, product, sum_of_rows
from .matrix cimport Matrix, Shape
from .normalization cimport add_products
from .scalar cimport multiply_add, real, real_multiply_add
from .workspace cimport (
    NONE,
    PIECE_COLUMNS,
    PIECE_ROWS,
    SLICE_ROWS,
    BatchSlice,
    Layer,
    LayerBuffers,
    Net,
    ThreadBuffers,
    pieces_of,
)

cdef enum:
    # Bytes of weights that may take their part of the L2 cache.
    L2_SHARE = 524288
    # Columns of a layer from which on its inputs are brought together before they are used so often.
    WIDE_COLUMNS = 256


cdef inline Py_ssize_t layer_of(const Net *net, Py_ssize_t *piece) noexcept nogil:
    """The layer that a piece belongs to; the piece becomes its number there."""
    cdef Py_ssize_t l = 0
    while l + 1 < net.size and net.layers[l + 1].first_piece <= piece[0]:
        l += 1
    piece[0] -= net.layers[l].first_piece
    return l


cdef void update_piece(void *context, Py_ssize_t piece, int thread) noexcept nogil:
    cdef const BatchSlice *batch = <const BatchSlice *>context
    cdef Py_ssize_t l = layer_of(batch.net, &piece)
    cdef Py_ssize_t top = piece * PIECE_ROWS, end = batch.net.layers[l].fan_in
    if top < end:
        update_weights(batch, l, top, min(<Py_ssize_t>PIECE_ROWS, end - top), thread)
    else:
        update_bias(batch, l)


cdef void update_layer(const BatchSlice *batch, Py_ssize_t l, int thread) noexcept nogil:
    """All of a layer; the weights at once if they need no memory, neither for zeros nor for a gradient."""
    cdef const Net *net = batch.net
    cdef const Layer *layer = &net.layers[l]
    cdef Py_ssize_t piece
    if l > 0 and net.plain and layer.fan_out < WIDE_COLUMNS:
        update_weights(batch, l, 0, layer.fan_in, thread)
        update_bias(batch, l)
    else:
        for piece in range(pieces_of(layer.fan_in)):
            update_piece(<void *>batch, layer.first_piece + piece, thread)


cdef inline bint range_of(
    const Net *net, Py_ssize_t piece, Py_ssize_t *start, Py_ssize_t *size
) noexcept nogil:
    """Where the parameters of a piece stand in the flat arrays; whether they are weights."""
    cdef const Layer *layer = &net.layers[layer_of(net, &piece)]
    cdef Py_ssize_t top = piece * PIECE_ROWS
    if top < layer.fan_in:
        start[0] = layer.weights + top * layer.fan_out
        size[0] = min(<Py_ssize_t>PIECE_ROWS, layer.fan_in - top) * layer.fan_out
        return True
    start[0] = layer.bias
    size[0] = biases_of(net, layer)
    return False


cdef inline Py_ssize_t biases_of(const Net *net, const Layer *layer) noexcept nogil:
    """How many parameters follow the weights: the bias, or one for each sample, and the gain."""
    if layer.normalization != NONE:
        return 2 * layer.fan_out
    return net.biases * layer.fan_out


cdef void finish_gradient(void *context, Py_ssize_t piece, int thread) noexcept nogil:
    """The share of the l2 term in a gradient that is there, and the sum of its squares."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    cdef Py_ssize_t i, start, size
    cdef bint are_weights = range_of(batch.net, piece, &start, &size)
    cdef real *gradient = batch.net.gradient + start
    cdef double square = 0
    if are_weights:
        decay(batch, gradient, start, size)
    for i in range(size):
        square = multiply_add(gradient[i], gradient[i], square)
    batch.workspace.squares[piece] = square


cdef void apply_clipped_step(void *context, Py_ssize_t piece, int thread) noexcept nogil:
    """The step of a piece, by a gradient that is there and scaled first."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    cdef Py_ssize_t i, start, size
    cdef real *gradient
    range_of(batch.net, piece, &start, &size)
    gradient = batch.net.gradient + start
    for i in range(size):
        gradient[i] = gradient[i] * batch.scale
    apply_step(batch, gradient, start, size)


cdef void update_weights(
    const BatchSlice *batch, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows, int thread
) noexcept nogil:
    """The gradient of some rows of weights, and the step, a few columns at a time.

    `rows`: those of a piece, or of all of a layer: see `update_layer`.
    """
    cdef const Net *net = batch.net
    cdef const Layer *layer = &net.layers[l]
    cdef ThreadBuffers *buffers = &batch.workspace.threads[thread]
    cdef const real *base
    cdef real *gradient
    cdef real *weights
    cdef Py_ssize_t i, columns, row, at, j = 0
    cdef Matrix left, right
    cdef Terms *terms = NULL
    if l == 0:
        left = Matrix(batch.workspace.x + top, 1, batch.workspace.input_row)
    else:
        left = Matrix(batch.workspace.layers[l - 1].output + top, 1, net.layers[l - 1].row)
    left.start += batch.top * left.column
    if layer.fan_out >= WIDE_COLUMNS:
        for i in range(batch.rows):
            memcpy(
                &buffers.inputs[i * PIECE_ROWS], left.start + i * left.column, <size_t>rows * sizeof(real)
            )
        left = Matrix(&buffers.inputs[0], 1, PIECE_ROWS)
    if l == 0 and batch.samples.are_sparse:
        terms = &buffers.product.terms
        list_terms(&buffers.product, left, rows, batch.rows)
        terms.listed = True
    right = Matrix(batch.workspace.layers[l].error + batch.top * layer.row, layer.row, 1)
    if net.article:
        right = Matrix(
            net.gradient + layer.bias + batch.first * layer.fan_out, layer.fan_out, 1
        )
    while j < layer.fan_out:
        columns = min(<Py_ssize_t>PIECE_COLUMNS, layer.fan_out - j)
        at = layer.weights + top * layer.fan_out + j
        weights = net.parameters + at
        # The gradient is stored only if there is more to come, or if nothing but it was asked for.
        gradient, row = net.gradient + at, layer.fan_out
        base = NULL
        if batch.adds:
            base = gradient
        elif batch.steps:
            gradient, row = <real *>&buffers.gradient[0], PIECE_COLUMNS
        if batch.steps and not batch.adds and net.plain:
            product(
                left, right, rows, columns, batch.rows,
                Target(
                    weights, layer.fan_out, -batch.step.rate, weights, layer.fan_out,
                    layer.fan_in * layer.fan_out * <Py_ssize_t>sizeof(real) > L2_SHARE,
                ),
                terms, &buffers.product,
            )
        else:
            product(
                left, right, rows, columns, batch.rows,
                Target(base, row, 1, gradient, row, False), terms, &buffers.product,
            )
            if batch.steps:
                for i in range(rows):
                    decay(batch, gradient + i * row, at + i * layer.fan_out, columns)
                    apply_step(batch, gradient + i * row, at + i * layer.fan_out, columns)
        right.start += columns
        j += columns


cdef void update_bias(const BatchSlice *batch, Py_ssize_t l) noexcept nogil:
    """The gradient of a layer's bias and, with normalization, of its gain, and the step."""
    cdef const Net *net = batch.net
    cdef const Layer *layer = &net.layers[l]
    cdef const LayerBuffers *buffers = &batch.workspace.layers[l]
    cdef Py_ssize_t at = batch.top * layer.row
    cdef Py_ssize_t size = biases_of(net, layer)
    cdef real *gradient = net.gradient + layer.bias
    # By the article's rule every sample has filled its own on the way back.
    if not net.article:
        if not batch.adds:
            memset(gradient, 0, <size_t>size * sizeof(real))
        sum_of_rows(buffers.delta + at, layer.row, batch.rows, layer.fan_out, gradient)
        if layer.normalization != NONE:
            add_products(
                buffers.delta + at, buffers.normal + at, Shape(batch.rows, layer.fan_out, layer.row),
                gradient + layer.fan_out,
            )
    if batch.steps:
        apply_step(batch, gradient, layer.bias, size)


cdef inline void decay(
    const BatchSlice *batch, real *gradient, Py_ssize_t at, Py_ssize_t size
) noexcept nogil:
    """Add the gradient of the l2 term for `size` weights from number `at` on."""
    cdef const real *weights = batch.net.parameters + at
    cdef real strength
    cdef Py_ssize_t i
    if batch.net.l2 > 0 and batch.total > 0:
        strength = <real>(batch.net.l2 / batch.total)
        for i in range(size):
            gradient[i] = real_multiply_add(strength, weights[i], gradient[i])


cdef inline void apply_step(
    const BatchSlice *batch, real *gradient, Py_ssize_t at, Py_ssize_t size
) noexcept nogil:
    """The step of `size` parameters from number `at` on."""
    cdef const Net *net = batch.net
    cdef real limit = <real>net.clip_value, value
    cdef const real *parameters = net.parameters + at
    cdef real *average
    cdef Py_ssize_t i
    if limit > 0:
        for i in range(size):
            value = gradient[i]
            value = limit if value > limit else value
            gradient[i] = -limit if value < -limit else value
    net.update(
        &batch.step, net.parameters + at, gradient,
        net.first_moment + at if net.first_moment != NULL else NULL,
        net.second_moment + at if net.second_moment != NULL else NULL,
        size,
    )
    if net.average != NULL:
        average = net.average + at
        for i in range(size):
            average[i] = real_multiply_add(batch.pace, parameters[i] - average[i], average[i])
