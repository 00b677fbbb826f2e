"""How a batch goes through the network and back: the parts of work that threads share.

A step has two parts, each a number of pieces that may be done in any order and by any thread:

    go_through   for a block of samples: gather and convert them -> dense forward, activation,
                 dropout, layer after layer -> loss and its delta -> the deltas of all layers below
    improve      for some rows of a layer's weights: their gradient over all samples of the batch,
                 and at once the step that it asks for, while both are in the nearest cache

In the first part every piece reads all weights and writes the rows of its own samples; in the second
every piece reads all those rows and writes weights of its own. So nothing is ever locked, and no sum
depends on who computed it.

A batch that is larger than the room goes through in parts; their gradients add up, and the last one
takes the step.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy, memset

from .activations cimport Activation
from .dense cimport Ahead, Target, product, sum_of_rows
from .matrix cimport Matrix, Shape
from .randomness cimport Counter, drop
from .scalar cimport real, sigmoid_of, sigmoid_slope

cdef extern from "threads.h" nogil:
    void shared_store(int64_t *at, int64_t value)

cdef extern from "vector.h" nogil:
    int is_strange(real x)
    enum:
        TILE_ROWS
        VECTOR_LENGTH

cdef enum:
    # Bytes of weights that may take their part of the L2 cache.
    L2_SHARE = 524288
    # Rows of a unit of weights, and columns that are improved at a time: their gradient stays in L1.
    UNIT_ROWS = 48
    UNIT_COLUMNS = 64
    # Columns of a layer from which on its inputs are brought together before they are used so often.
    WIDE_COLUMNS = 256
    MOST_ROWS = 256
    CACHE_LINE = 64


cdef Py_ssize_t block_rows_for(Py_ssize_t most_weights) noexcept nogil:
    """Samples of a block, by the weights of the largest layer.

    While those stay in the L2 cache a block is small, so that its activations stay near; weights that
    do not are fetched anew for every block.
    """
    return 48 if most_weights * <Py_ssize_t>sizeof(real) <= L2_SHARE else 256


cdef Py_ssize_t blocks_of(const Net *net, Py_ssize_t rows, int threads) noexcept nogil:
    """Pieces that `rows` samples are dealt out in: a multiple of the threads, if there are enough."""
    cdef Py_ssize_t each = (rows + threads * net.block_rows - 1) // (threads * net.block_rows)
    return min(threads * each, (rows + TILE_ROWS - 1) // TILE_ROWS)


cdef Py_ssize_t units_of(Py_ssize_t fan_in) noexcept nogil:
    """Pieces that a layer is improved in: its weights, and its bias."""
    return (fan_in + UNIT_ROWS - 1) // UNIT_ROWS + 1


cdef Py_ssize_t spaced(Py_ssize_t columns) noexcept nogil:
    """Distance between rows: at an even number of cache lines a column would share a few sets."""
    if columns * sizeof(real) % (2 * CACHE_LINE) == 0:
        return columns + CACHE_LINE // <Py_ssize_t>sizeof(real)
    return columns


cdef void go_through(void *context, Py_ssize_t block) noexcept nogil:
    cdef const Part *part = <const Part *>context
    cdef Py_ssize_t top, end
    share(part.rows, part.blocks, block, &top, &end)
    top += part.top
    end += part.top
    gather_part(part, top, end - top)
    weigh(
        part.net, part.room, 0, part.room.x + top * part.room.input_row, part.room.input_row,
        part.first, top, end - top,
    )
    pass_on(part, 0, top, end - top)
    judge(part, top, end - top)
    backward(part, top, end - top)


cdef void gather_part(const Part *part, Py_ssize_t top, Py_ssize_t rows) noexcept nogil:
    """Copy the inputs and the targets of some samples into the room."""
    cdef const Room *room = part.room
    cdef const Layer *last = &part.net.layers[part.net.size - 1]
    gather(
        part.net, &part.samples, part.first + top, rows, room.x + top * room.input_row,
        room.input_row,
    )
    gather_targets(part, top, rows, room.targets + top * last.row, last.row)


cdef void gather(
    const Net *net, const Samples *samples, Py_ssize_t first, Py_ssize_t rows, real *out,
    Py_ssize_t row,
) noexcept nogil:
    """Copy samples as reals, scaled, `row` values apart."""
    cdef Py_ssize_t i, j, source
    cdef const real *reals
    cdef const unsigned char *bytes
    cdef real scale = <real>net.input_scale
    for i in range(rows):
        source = first + i if samples.order == NULL else samples.order[first + i]
        source = source * net.inputs
        if samples.bytes != NULL:
            bytes = samples.bytes + source
            for j in range(net.inputs):
                out[i * row + j] = scale * <real>bytes[j]
        else:
            reals = samples.reals + source
            for j in range(net.inputs):
                out[i * row + j] = scale * reals[j]


cdef void gather_targets(
    const Part *part, Py_ssize_t top, Py_ssize_t rows, real *out, Py_ssize_t row
) noexcept nogil:
    cdef Py_ssize_t i, source, outputs = part.net.outputs
    for i in range(rows):
        source = part.first + top + i
        if part.samples.order != NULL:
            source = part.samples.order[source]
        memcpy(
            out + i * row, part.samples.targets + source * outputs, <size_t>outputs * sizeof(real)
        )


cdef real *pre_activations(const Net *net, const Room *room, Py_ssize_t l) noexcept nogil:
    """Where the pre-activations of a layer stand: in the way of its activations, but for the last."""
    return room.z if l == net.size - 1 else room.sheets[l].activation


cdef void weigh(
    const Net *net, const Room *room, Py_ssize_t l, const real *x, Py_ssize_t x_row,
    Py_ssize_t first, Py_ssize_t top, Py_ssize_t rows,
) noexcept nogil:
    """Pre-activations of a layer for `rows` samples, into the room from row `top`.

    The sample in row 0 of the room is the caller's sample number `first`.
    """
    cdef const Layer *layer = &net.layers[l]
    cdef const real *bias = net.parameters + layer.bias
    if net.article:
        bias += (first + top) * layer.fan_out
    product(
        Matrix(x, x_row, 1), Matrix(net.parameters + layer.weights, layer.fan_out, 1),
        rows, layer.fan_out, layer.fan_in,
        Target(
            bias, layer.fan_out if net.article else 0, 1,
            pre_activations(net, room, l) + top * layer.row, layer.row,
        ),
        NULL,
    )


cdef inline void activate(
    const Net *net, const Room *room, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    cdef const Layer *layer = &net.layers[l]
    cdef Py_ssize_t at = top * layer.row
    layer.activation.forward(
        pre_activations(net, room, l) + at, room.sheets[l].activation + at,
        Shape(rows, layer.fan_out, layer.row),
    )


cdef void pass_on(
    const Part *part, Py_ssize_t from_layer, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    """From the pre-activations of a layer to the activations of the last one, with dropout."""
    cdef const Net *net = part.net
    cdef const Layer *layer
    cdef const Sheet *sheet
    cdef Py_ssize_t l, at
    for l in range(from_layer, net.size):
        layer = &net.layers[l]
        sheet = &part.room.sheets[l]
        at = top * layer.row
        activate(net, part.room, l, top, rows)
        if layer.dropout > 0:
            drop(
                layer.dropout, net.key, place(part, l, top), sheet.activation + at,
                sheet.output + at, Shape(rows, layer.fan_out, layer.row),
            )
        if l + 1 < net.size:
            weigh(net, part.room, l + 1, sheet.output + at, layer.row, part.first, top, rows)


cdef inline Counter place(const Part *part, Py_ssize_t layer, Py_ssize_t top) noexcept nogil:
    """Where the random numbers of a dropout begin."""
    return Counter(
        <uint32_t>(part.first_in_batch + top - part.top), <uint32_t>layer, <uint32_t>part.number
    )


cdef void answer(void *context, Py_ssize_t block) noexcept nogil:
    """The outputs for a block of samples, straight from the caller's array if nothing is to do."""
    cdef Prediction *asked = <Prediction *>context
    cdef const Net *net = asked.net
    cdef const Room *room = asked.room
    cdef const Layer *last = &net.layers[net.size - 1]
    cdef Py_ssize_t top, end, i, l, x_row = net.inputs
    cdef const real *x
    share(asked.rows, asked.blocks, block, &top, &end)
    if asked.samples.bytes != NULL or net.input_scale != 1:
        gather(net, &asked.samples, asked.first + top, end - top, room.x + top * room.input_row,
               room.input_row)
        x, x_row = room.x + top * room.input_row, room.input_row
    else:
        x = asked.samples.reals + (asked.first + top) * net.inputs
    # Looked at here, where they are about to be fetched anyhow.
    if asked.samples.bytes == NULL and any_strange(x, x_row, end - top, net.inputs):
        shared_store(&asked.strange, 1)
    for l in range(net.size):
        weigh(net, room, l, x, x_row, asked.first, top, end - top)
        activate(net, room, l, top, end - top)
        x, x_row = room.sheets[l].activation + top * net.layers[l].row, net.layers[l].row
    for i in range(top, end):
        memcpy(
            asked.out + (asked.first + i) * net.outputs,
            room.sheets[net.size - 1].activation + i * last.row,
            <size_t>net.outputs * sizeof(real),
        )


cdef bint any_strange(
    const real *x, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t columns
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef int found = 0
    for i in range(rows):
        for j in range(columns):
            found |= is_strange(x[i * row + j])
    return found


cdef inline void share(
    Py_ssize_t rows, Py_ssize_t blocks, Py_ssize_t block, Py_ssize_t *top, Py_ssize_t *end
) noexcept nogil:
    """The rows of a block: whole tiles, as evenly as it goes."""
    cdef Py_ssize_t tiles = (rows + TILE_ROWS - 1) // TILE_ROWS
    top[0] = tiles * block // blocks * TILE_ROWS
    end[0] = min(rows, tiles * (block + 1) // blocks * TILE_ROWS)


cdef void judge(const Part *part, Py_ssize_t top, Py_ssize_t rows) noexcept nogil:
    """The losses and hits of some samples, and the delta of the last layer."""
    cdef const Net *net = part.net
    cdef const Room *room = part.room
    cdef const Layer *last = &net.layers[net.size - 1]
    cdef const Sheet *sheet = &room.sheets[net.size - 1]
    cdef Py_ssize_t i, at = top * last.row
    cdef Shape shape = Shape(rows, last.fan_out, last.row)
    net.loss.of_rows(
        room.z + at, sheet.activation + at, room.targets + at, shape, room.losses + top
    )
    for i in range(rows):
        room.hits[top + i] = (
            largest(sheet.activation + at + i * last.row, last.fan_out)
            == largest(room.targets + at + i * last.row, last.fan_out)
        )
    if net.article:
        subtract(sheet.activation + at, room.targets + at, shape, sheet.delta + at)
    else:
        net.loss.delta(
            &last.activation, sheet.activation + at, room.targets + at, <real>part.batch, shape,
            sheet.delta + at,
        )


cdef inline Py_ssize_t largest(const real *values, Py_ssize_t size) noexcept nogil:
    """Where the largest value stands, the first one if there are more."""
    cdef Py_ssize_t j, found = 0
    for j in range(1, size):
        if values[j] > values[found]:
            found = j
    return found


cdef void backward(const Part *part, Py_ssize_t top, Py_ssize_t rows) noexcept nogil:
    """The deltas of all layers below the last one."""
    cdef const Net *net = part.net
    cdef const Layer *layer
    cdef const Layer *below
    cdef const Sheet *sheet
    cdef Shape shape
    cdef Py_ssize_t l, at
    for l in range(net.size - 1, -1, -1):
        layer = &net.layers[l]
        if net.article:
            article_gradient(part, l, top, rows)
        if l == 0:
            return
        below = &net.layers[l - 1]
        sheet = &part.room.sheets[l - 1]
        at = top * below.row
        product(
            Matrix(part.room.sheets[l].delta + top * layer.row, layer.row, 1),
            Matrix(net.parameters + layer.weights, 1, layer.fan_out),
            rows, layer.fan_in, layer.fan_out,
            Target(NULL, 0, 1, sheet.delta + at, below.row), NULL,
        )
        if net.article:
            continue
        shape = Shape(rows, below.fan_out, below.row)
        if below.dropout > 0:
            drop(
                below.dropout, net.key, place(part, l - 1, top), sheet.delta + at, sheet.delta + at,
                shape,
            )
        below.activation.backward(sheet.activation + at, sheet.delta + at, sheet.delta + at, shape)


cdef void improve(void *context, Py_ssize_t unit) noexcept nogil:
    cdef const Part *part = <const Part *>context
    cdef const Net *net = part.net
    cdef Py_ssize_t l = 0
    while l + 1 < net.size and net.layers[l + 1].first_unit <= unit:
        l += 1
    unit -= net.layers[l].first_unit
    if unit * UNIT_ROWS < net.layers[l].fan_in:
        improve_weights(part, l, unit)
    else:
        improve_bias(part, l)


cdef inline Ahead rows_ahead(
    const void *start, Py_ssize_t row, Py_ssize_t size, Py_ssize_t rows, Py_ssize_t tiles
) noexcept nogil:
    """Some rows, to be asked for evenly over so many tiles."""
    cdef Py_ssize_t lines = rows * (size // CACHE_LINE + 2)
    return Ahead(
        <const char *>start, row, size, NULL, 0, rows, 0, (lines + tiles - 1) // tiles, NULL
    )


cdef Ahead share_of_next(const Part *part, Py_ssize_t unit, Py_ssize_t tiles) noexcept nogil:
    """Those of the samples that come next which a unit of the first layer asks for meanwhile."""
    cdef Py_ssize_t units = units_of(part.net.layers[0].fan_in) - 1
    cdef Py_ssize_t start = part.first + part.rows
    cdef Py_ssize_t rows = max(min(part.rows, part.samples.count - start), <Py_ssize_t>0)
    cdef Py_ssize_t first = rows * unit // units, end = rows * (unit + 1) // units
    cdef const void *data = part.samples.bytes
    cdef Py_ssize_t size = part.net.inputs
    cdef Ahead ahead
    if data == NULL:
        data, size = part.samples.reals, size * <Py_ssize_t>sizeof(real)
    ahead = rows_ahead(data, size, size, end - first, tiles)
    ahead.order = part.samples.order
    ahead.next = start + first
    ahead.end = start + end
    return ahead


cdef void improve_weights(const Part *part, Py_ssize_t l, Py_ssize_t unit) noexcept nogil:
    """The gradient of some rows of weights, and the step, a few columns at a time."""
    cdef const Net *net = part.net
    cdef const Layer *layer = &net.layers[l]
    cdef real room[UNIT_ROWS * UNIT_COLUMNS]
    cdef real packed[UNIT_ROWS * MOST_ROWS]
    cdef const real *base
    cdef real *gradient
    cdef real *weights
    cdef Py_ssize_t i, columns, row, at, j = 0
    cdef Py_ssize_t top = unit * UNIT_ROWS
    cdef Py_ssize_t rows = min(<Py_ssize_t>UNIT_ROWS, layer.fan_in - top)
    cdef Matrix left, right
    cdef Ahead samples_ahead, weights_ahead
    cdef Ahead *ahead = NULL
    if l == 0:
        left = Matrix(part.room.x + top, 1, part.room.input_row)
        samples_ahead = share_of_next(
            part, unit, UNIT_ROWS // TILE_ROWS * ((layer.fan_out + UNIT_COLUMNS - 1) // UNIT_COLUMNS)
        )
        ahead = &samples_ahead
    else:
        left = Matrix(part.room.sheets[l - 1].output + top, 1, net.layers[l - 1].row)
    left.start += part.top * left.column
    if layer.fan_out >= WIDE_COLUMNS:
        for i in range(part.rows):
            memcpy(
                &packed[i * UNIT_ROWS], left.start + i * left.column, <size_t>rows * sizeof(real)
            )
        left = Matrix(&packed[0], 1, UNIT_ROWS)
    right = Matrix(part.room.sheets[l].delta + part.top * layer.row, layer.row, 1)
    if net.article:
        right = Matrix(
            net.gradient + layer.bias + part.first * layer.fan_out, layer.fan_out, 1
        )
    while j < layer.fan_out:
        columns = min(<Py_ssize_t>UNIT_COLUMNS, layer.fan_out - j)
        at = layer.weights + top * layer.fan_out + j
        weights = net.parameters + at
        # The gradient is stored only if there is more to come, or if nothing but it was asked for.
        gradient, row = net.gradient + at, layer.fan_out
        base = NULL
        if part.adds:
            base = gradient
        elif part.steps:
            gradient, row = &room[0], UNIT_COLUMNS
        if part.steps and not part.adds and net.plain:
            if layer.fan_in * layer.fan_out * <Py_ssize_t>sizeof(real) > L2_SHARE:
                weights_ahead = rows_ahead(
                    weights, layer.fan_out * sizeof(real), columns * sizeof(real), rows,
                    UNIT_ROWS // TILE_ROWS,
                )
                weights_ahead.also = &samples_ahead if l == 0 else NULL
                ahead = &weights_ahead
            product(
                left, right, rows, columns, part.rows,
                Target(weights, layer.fan_out, -part.step.rate, weights, layer.fan_out), ahead,
            )
        else:
            product(
                left, right, rows, columns, part.rows,
                Target(base, row, 1, gradient, row), ahead,
            )
            if part.steps:
                for i in range(rows):
                    take_step(part, gradient + i * row, at + i * layer.fan_out, columns)
        right.start += columns
        j += columns


cdef void improve_bias(const Part *part, Py_ssize_t l) noexcept nogil:
    cdef const Net *net = part.net
    cdef const Layer *layer = &net.layers[l]
    cdef real *gradient = net.gradient + layer.bias
    cdef Py_ssize_t size = layer.fan_out
    if net.article:
        # On the way back every sample has filled its own.
        size = layer.fan_out * net.biases
    else:
        if not part.adds:
            memset(gradient, 0, <size_t>size * sizeof(real))
        sum_of_rows(
            part.room.sheets[l].delta + part.top * layer.row, layer.row, part.rows, size, gradient
        )
    if part.steps:
        take_step(part, gradient, layer.bias, size)


cdef inline void take_step(
    const Part *part, const real *gradient, Py_ssize_t at, Py_ssize_t size
) noexcept nogil:
    """The step of `size` parameters from number `at` on."""
    cdef const Net *net = part.net
    net.update(
        &part.step, net.parameters + at, gradient,
        net.first_moment + at if net.first_moment != NULL else NULL,
        net.second_moment + at if net.second_moment != NULL else NULL,
        size,
    )


cdef void subtract(const real *y, const real *t, Shape shape, real *out) noexcept nogil:
    cdef Py_ssize_t i, j, at
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            out[at] = y[at] - t[at]


cdef void article_gradient(
    const Part *part, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    """The gradient of the samples' biases, from the error in the place of the delta.

    The article takes the sigmoid a second time, of what is an activation already, and it is the
    error that goes down to the layer below, not the delta.
    """
    cdef const Layer *layer = &part.net.layers[l]
    cdef const Sheet *sheet = &part.room.sheets[l]
    cdef real *gradient = part.net.gradient + layer.bias + (part.first + top) * layer.fan_out
    cdef Py_ssize_t i, j, at
    for i in range(rows):
        for j in range(layer.fan_out):
            at = (top + i) * layer.row + j
            gradient[i * layer.fan_out + j] = sheet.delta[at] * sigmoid_slope(
                sigmoid_of(sheet.activation[at])
            )
