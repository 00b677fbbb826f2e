"""How a batch goes through the network and back: the parts of work that threads share.

A step has two parts, each a number of pieces that may be done in any order and by any thread:

    go_through   for a block of samples: gather and convert them -> dense forward, normalization,
                 activation, dropout, layer after layer -> loss and its delta -> the deltas of all
                 layers below
    improve      for some rows of a layer's weights: their gradient over all samples of the batch,
                 and at once the step that it asks for, while both are in the nearest cache

In the first part every piece reads all weights and writes the rows of its own samples; in the second
every piece reads all those rows and writes weights of its own. So nothing is ever locked, and no sum
depends on who computed it.

Where a layer is normalized over the batch, all samples wait for each other, twice: go_through stops
there, normalize_batch does some columns for all samples, and go_through goes on; on the way back
go_down stops there, normalize_batch_backward does the columns, and go_back goes on.

A gradient that is clipped by its norm is computed whole before any step: improve without steps, then
complete (the norm), then take.

A batch that is larger than the room goes through in parts; their gradients add up, and the last one
takes the step. With normalization over the batch there is room for all of it.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy, memset

from .dense cimport Ahead, Target, Terms, list_terms, product, sum_of_rows
from .matrix cimport Matrix, Shape
from .normalization cimport (
    add_products,
    columns_backward,
    move_averages,
    normalize_by,
    normalize_columns,
    normalize_rows,
    rows_backward,
)
from .randomness cimport Counter, drop
from .scalar cimport multiply_add, real, real_multiply_add, sigmoid_of, sigmoid_slope

cdef extern from "threads.h" nogil:
    void shared_store(int64_t *at, int64_t value)

cdef extern from "vector.h" nogil:
    int is_strange(real x)
    ctypedef float vector
    vector load_vector(const real *address)
    void store_vector(real *address, vector value)
    vector load_some(const real *address, int count)
    void store_some(real *address, vector value, int count)
    void prefetch_line(const void *address)
    enum:
        TILE_ROWS
        VECTOR_LENGTH

cdef enum:
    # Bytes of weights that may take their part of the L2 cache.
    L2_SHARE = 524288
    # Rows of a unit of weights, and columns that are improved at a time: their gradient stays in L1.
    UNIT_ROWS = 48
    UNIT_COLUMNS = 128
    # Columns that are normalized over the batch at a time.
    NORMALIZED_COLUMNS = 64
    # Columns of a layer from which on its inputs are brought together before they are used so often.
    WIDE_COLUMNS = 256
    CACHE_LINE = 64
    # Zeros are looked for if a group of neighbours is all zeros one time in this many.
    SPARSE = 8
    SAMPLES_LOOKED_AT = 32


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
    """Pieces that a layer is improved in: its weights, and its bias and gain."""
    return (fan_in + UNIT_ROWS - 1) // UNIT_ROWS + 1


cdef Py_ssize_t column_blocks(const Layer *layer) noexcept nogil:
    """Pieces that a layer is normalized over the batch in."""
    return (layer.fan_out + NORMALIZED_COLUMNS - 1) // NORMALIZED_COLUMNS


cdef Py_ssize_t next_to_wait(const Net *net, Py_ssize_t l) noexcept nogil:
    """The first layer above `l` that is normalized over the batch; the number of layers if none."""
    l += 1
    while l < net.size and net.layers[l].normalization != BATCH:
        l += 1
    return l


cdef Py_ssize_t last_to_wait(const Net *net, Py_ssize_t l) noexcept nogil:
    """The first layer below `l` that is normalized over the batch; -1 if none."""
    l -= 1
    while l >= 0 and net.layers[l].normalization != BATCH:
        l -= 1
    return l


cdef inline Py_ssize_t number_of(const Samples *samples, Py_ssize_t i) noexcept nogil:
    """Number among the caller's samples of number `i` in their order."""
    return i if samples.order == NULL else samples.order[i]


cdef bint are_sparse(const Samples *samples, Py_ssize_t inputs) noexcept nogil:
    """Whether it pays to look for zeros: by groups of neighbouring inputs, in some samples."""
    cdef Py_ssize_t looked_at = min(samples.count // 8, <Py_ssize_t>SAMPLES_LOOKED_AT)
    cdef Py_ssize_t groups = inputs // TILE_ROWS, zeros = 0, i, j, start
    for i in range(looked_at):
        start = samples.count * i // looked_at * inputs
        for j in range(groups):
            zeros += are_zeros(samples, start + j * TILE_ROWS, TILE_ROWS)
    return zeros * SPARSE > groups * looked_at


cdef inline bint are_zeros(const Samples *samples, Py_ssize_t start, int size) noexcept nogil:
    cdef int i
    cdef bint found = False
    for i in range(size):
        if samples.bytes != NULL:
            found |= samples.bytes[start + i] != 0
        else:
            found |= samples.reals[start + i] != 0
    return not found


cdef double total_of(const Part *part) noexcept nogil:
    """What the samples of the batch that begins with this part count together."""
    cdef const real *weights = part.samples.weights
    cdef double total = 0
    cdef Py_ssize_t i
    if weights == NULL:
        return <double>part.batch
    for i in range(part.first + part.top, part.first + part.top + part.batch):
        total += weights[number_of(&part.samples, i)]
    return total


cdef Py_ssize_t spaced(Py_ssize_t columns) noexcept nogil:
    """Distance between rows: at an even number of cache lines a column would share a few sets."""
    if columns * sizeof(real) % (2 * CACHE_LINE) == 0:
        return columns + CACHE_LINE // <Py_ssize_t>sizeof(real)
    return columns


cdef inline void own_rows(
    const Part *part, Py_ssize_t block, Py_ssize_t *top, Py_ssize_t *rows
) noexcept nogil:
    """The rows of the room that a block of samples has."""
    share(part.rows, part.blocks, block, top, rows)
    rows[0] = rows[0] - top[0]
    top[0] = top[0] + part.top


cdef void go_through(void *context, Py_ssize_t block) noexcept nogil:
    """From the layer that all have come up to, to the next that waits for all, or to the end."""
    cdef const Part *part = <const Part *>context
    cdef const Room *room = part.room
    cdef Py_ssize_t l = part.layer, top, rows
    own_rows(part, block, &top, &rows)
    if l < 0:
        l = 0
        gather_part(part, top, rows)
        weigh(
            part.net, room, 0, room.x + top * room.input_row, room.input_row, part.first, top, rows,
            part.samples.are_sparse,
        )
        if part.net.layers[0].normalization == BATCH:
            return
    if go_up(part, l, top, rows) == part.net.size:
        judge(part, top, rows)
        go_down(part, part.net.size - 1, top, rows)


cdef void go_back(void *context, Py_ssize_t block) noexcept nogil:
    """Down from the layer that all have come to, to the next that waits for all, or to the end."""
    cdef const Part *part = <const Part *>context
    cdef Py_ssize_t top, rows
    own_rows(part, block, &top, &rows)
    descend(part, part.layer, top, rows)
    go_down(part, part.layer - 1, top, rows)


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
    """Copy samples as reals, scaled, `row` values apart.

    They come from memory in any order: meanwhile the core asks for what it copies two samples later.
    """
    cdef Py_ssize_t i, start, later
    cdef real scale = <real>net.input_scale
    for i in range(rows):
        start = number_of(samples, first + i) * net.inputs
        later = number_of(samples, min(first + i + 2, samples.count - 1)) * net.inputs
        if samples.bytes != NULL:
            convert(samples.bytes + start, samples.bytes + later, net.inputs, scale, out + i * row)
        else:
            rescale(samples.reals + start, samples.reals + later, net.inputs, scale, out + i * row)


cdef void ask_for_quarter(
    const Net *net, const Samples *samples, Py_ssize_t i, int quarter
) noexcept nogil:
    """Have a quarter of sample number `i` of the order brought near, if there is such a sample."""
    cdef Py_ssize_t first = net.inputs * quarter // 4, size = net.inputs * (quarter + 1) // 4 - first
    if i >= samples.count:
        return
    first += number_of(samples, i) * net.inputs
    if samples.reals == NULL:
        ask_for(samples.bytes + first, size)
    else:
        ask_for(samples.reals + first, size * sizeof(real))


cdef inline void ask_for(const void *start, Py_ssize_t size) noexcept nogil:
    """Have the lines of memory that begin in the next `size` bytes brought near."""
    cdef Py_ssize_t i = 0
    while i < size:
        prefetch_line(<const char *>start + i)
        i += CACHE_LINE


cdef inline void convert(
    const unsigned char *x, const unsigned char *later, Py_ssize_t size, real scale, real *out
) noexcept nogil:
    """out = scale * x; ask for `later` line by line."""
    cdef Py_ssize_t i, j = 0
    while j < size:
        prefetch_line(later + j)
        for i in range(j, min(j + CACHE_LINE, size)):
            out[i] = scale * <real>x[i]
        j += CACHE_LINE


cdef inline void rescale(
    const real *x, const real *later, Py_ssize_t size, real scale, real *out
) noexcept nogil:
    """out = scale * x; ask for `later` line by line."""
    cdef Py_ssize_t j = 0
    while j + VECTOR_LENGTH <= size:
        if j * <Py_ssize_t>sizeof(real) % CACHE_LINE == 0:
            prefetch_line(later + j)
        store_vector(out + j, scale * load_vector(x + j))
        j += VECTOR_LENGTH
    if j < size:
        store_some(out + j, scale * load_some(x + j, <int>(size - j)), <int>(size - j))


cdef void gather_targets(
    const Part *part, Py_ssize_t top, Py_ssize_t rows, real *out, Py_ssize_t row
) noexcept nogil:
    cdef Py_ssize_t i, source, outputs = part.net.outputs
    for i in range(rows):
        source = number_of(&part.samples, part.first + top + i)
        memcpy(
            out + i * row, part.samples.targets + source * outputs, <size_t>outputs * sizeof(real)
        )


cdef void weigh(
    const Net *net, const Room *room, Py_ssize_t l, const real *x, Py_ssize_t x_row,
    Py_ssize_t first, Py_ssize_t top, Py_ssize_t rows, bint looks_for_zeros,
) noexcept nogil:
    """x @ weights, and the bias unless there is normalization, into the room from row `top`.

    The sample in row 0 of the room is the caller's sample number `first`. `looks_for_zeros`: whether
    it is worth while in `x`.
    """
    cdef const Layer *layer = &net.layers[l]
    cdef const real *bias = net.parameters + layer.bias
    cdef Terms room_for_terms
    cdef Terms *terms = NULL
    if looks_for_zeros:
        terms = &room_for_terms
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
            room.sheets[l].normal + top * layer.row, layer.row,
        ),
        NULL, terms,
    )


cdef inline void normalize_samples(
    const Net *net, const Room *room, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    """From what was weighed to the pre-activations, each sample by itself."""
    cdef const Layer *layer = &net.layers[l]
    cdef const Sheet *sheet = &room.sheets[l]
    cdef Py_ssize_t at = top * layer.row
    normalize_rows(
        sheet.normal + at, net.parameters + layer.gain, net.parameters + layer.bias,
        Shape(rows, layer.fan_out, layer.row), sheet.normal + at, sheet.spread + top, sheet.z + at,
    )


cdef inline void activate(
    const Net *net, const Room *room, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    cdef const Layer *layer = &net.layers[l]
    cdef const Sheet *sheet = &room.sheets[l]
    cdef Py_ssize_t at = top * layer.row
    layer.activation.forward(
        sheet.z + at, sheet.activation + at, Shape(rows, layer.fan_out, layer.row)
    )


cdef Py_ssize_t go_up(
    const Part *part, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    """From what was weighed in a layer to the activations of the last one, with dropout.

    What is to be normalized over the batch has been, in this layer; the next such layer, which is
    weighed and waits, is returned, or the number of layers.
    """
    cdef const Net *net = part.net
    cdef const Layer *layer
    cdef const Sheet *sheet
    cdef Py_ssize_t at
    while True:
        layer = &net.layers[l]
        sheet = &part.room.sheets[l]
        at = top * layer.row
        if layer.normalization == LAYER:
            normalize_samples(net, part.room, l, top, rows)
        activate(net, part.room, l, top, rows)
        if layer.dropout > 0:
            drop(
                layer.dropout, net.key, place(part, l, top), sheet.activation + at,
                sheet.output + at, Shape(rows, layer.fan_out, layer.row),
            )
        l += 1
        if l == net.size:
            return l
        weigh(net, part.room, l, sheet.output + at, layer.row, part.first, top, rows, False)
        if net.layers[l].normalization == BATCH:
            return l


cdef inline Counter place(const Part *part, Py_ssize_t layer, Py_ssize_t top) noexcept nogil:
    """Where the random numbers of a dropout begin."""
    return Counter(
        <uint32_t>(part.first_in_batch + top - part.top), <uint32_t>layer, <uint32_t>part.number
    )


cdef inline Shape columns_of_block(
    const Part *part, Py_ssize_t block, Py_ssize_t *first
) noexcept nogil:
    """All the samples of the room, some columns of the layer that waits."""
    cdef const Layer *layer = &part.net.layers[part.layer]
    first[0] = block * NORMALIZED_COLUMNS
    return Shape(
        part.rows, min(layer.fan_out - first[0], <Py_ssize_t>NORMALIZED_COLUMNS), layer.row
    )


cdef void normalize_batch(void *context, Py_ssize_t block) noexcept nogil:
    """From what was weighed to the pre-activations, some units over all the samples."""
    cdef const Part *part = <const Part *>context
    cdef const Net *net = part.net
    cdef const Layer *layer = &net.layers[part.layer]
    cdef const Sheet *sheet = &part.room.sheets[part.layer]
    cdef Py_ssize_t j
    cdef Shape shape = columns_of_block(part, block, &j)
    cdef real *mean = sheet.statistics + j
    normalize_columns(
        sheet.normal + j, net.parameters + layer.gain + j, net.parameters + layer.bias + j, shape,
        sheet.normal + j, sheet.spread + j, sheet.z + j, mean, mean + layer.fan_out,
    )


cdef void move_statistics(const Part *part) noexcept nogil:
    """Let the running averages of batch normalization follow a batch that has gone through.

    One sample has no variance to tell of.
    """
    cdef const Net *net = part.net
    cdef Py_ssize_t l = next_to_wait(net, -1)
    while l < net.size and part.batch > 1:
        move_averages(
            part.room.sheets[l].statistics, net.statistics + net.layers[l].statistics,
            2 * net.layers[l].fan_out,
        )
        l = next_to_wait(net, l)


cdef void normalize_batch_backward(void *context, Py_ssize_t block) noexcept nogil:
    """From dloss/dz to the same with respect to what was weighed, some units over all the samples."""
    cdef const Part *part = <const Part *>context
    cdef const Layer *layer = &part.net.layers[part.layer]
    cdef const Sheet *sheet = &part.room.sheets[part.layer]
    cdef Py_ssize_t j
    cdef Shape shape = columns_of_block(part, block, &j)
    columns_backward(
        sheet.normal + j, sheet.spread + j, part.net.parameters + layer.gain + j, sheet.delta + j,
        shape, sheet.error + j,
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
        weigh(
            net, room, l, x, x_row, asked.first, top, end - top,
            l == 0 and asked.samples.are_sparse,
        )
        normalize_by_what_was_learned(net, room, l, top, end - top)
        activate(net, room, l, top, end - top)
        x, x_row = room.sheets[l].activation + top * net.layers[l].row, net.layers[l].row
    for i in range(top, end):
        memcpy(
            asked.out + (asked.first + i) * net.outputs,
            room.sheets[net.size - 1].activation + i * last.row,
            <size_t>net.outputs * sizeof(real),
        )


cdef inline void normalize_by_what_was_learned(
    const Net *net, const Room *room, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    cdef const Layer *layer = &net.layers[l]
    cdef const real *mean = net.statistics + layer.statistics
    cdef real *z = room.sheets[l].z + top * layer.row
    if layer.normalization == LAYER:
        normalize_samples(net, room, l, top, rows)
    elif layer.normalization == BATCH:
        normalize_by(
            mean, mean + layer.fan_out, net.parameters + layer.gain, net.parameters + layer.bias,
            z, Shape(rows, layer.fan_out, layer.row), z,
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
    """The rows of a block: pairs, as evenly as it goes, since nobody goes on before all have come."""
    cdef Py_ssize_t pairs = (rows + 1) // 2
    top[0] = pairs * block // blocks * 2
    end[0] = min(rows, pairs * (block + 1) // blocks * 2)


cdef void judge(const Part *part, Py_ssize_t top, Py_ssize_t rows) noexcept nogil:
    """The losses and hits of some samples, and the delta of the last layer."""
    cdef const Net *net = part.net
    cdef const Room *room = part.room
    cdef const Layer *last = &net.layers[net.size - 1]
    cdef const Sheet *sheet = &room.sheets[net.size - 1]
    cdef Py_ssize_t i, at = top * last.row
    cdef Shape shape = Shape(rows, last.fan_out, last.row)
    net.loss.of_rows(
        &net.loss, sheet.z + at, sheet.activation + at, room.targets + at, shape, room.losses + top
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
            &net.loss, &last.activation, sheet.z + at, sheet.activation + at, room.targets + at,
            # If all weights are 0 so is the delta, whatever it is divided by.
            <real>(part.total if part.total > 0 else 1), shape, sheet.delta + at,
        )
    if part.samples.weights != NULL:
        weight_samples(part, top, rows)


cdef void weight_samples(const Part *part, Py_ssize_t top, Py_ssize_t rows) noexcept nogil:
    """Let each sample count in loss and delta as much as its weight says."""
    cdef const Layer *last = &part.net.layers[part.net.size - 1]
    cdef real *delta = part.room.sheets[part.net.size - 1].delta
    cdef real weight
    cdef Py_ssize_t i, j
    for i in range(top, top + rows):
        weight = part.samples.weights[number_of(&part.samples, part.first + i)]
        part.room.losses[i] *= weight
        for j in range(last.fan_out):
            delta[i * last.row + j] = weight * delta[i * last.row + j]


cdef inline Py_ssize_t largest(const real *values, Py_ssize_t size) noexcept nogil:
    """Where the largest value stands, the first one if there are more."""
    cdef Py_ssize_t j, found = 0
    for j in range(1, size):
        if values[j] > values[found]:
            found = j
    return found


cdef void go_down(
    const Part *part, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    """From dloss/dz of a layer to those of all below it, or down to one that waits for all."""
    cdef const Net *net = part.net
    cdef const Layer *layer
    cdef const Sheet *sheet
    cdef Py_ssize_t at
    while True:
        layer = &net.layers[l]
        sheet = &part.room.sheets[l]
        if net.article:
            article_gradient(part, l, top, rows)
        if layer.normalization == BATCH:
            return
        if layer.normalization == LAYER:
            at = top * layer.row
            rows_backward(
                sheet.normal + at, sheet.spread + top, net.parameters + layer.gain,
                sheet.delta + at, Shape(rows, layer.fan_out, layer.row), sheet.error + at,
            )
        if l == 0:
            return
        descend(part, l, top, rows)
        l -= 1


cdef void descend(
    const Part *part, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    """The delta of the layer below, of which there is one."""
    cdef const Net *net = part.net
    cdef const Layer *layer = &net.layers[l]
    cdef const Layer *below = &net.layers[l - 1]
    cdef const Sheet *sheet = &part.room.sheets[l - 1]
    cdef Py_ssize_t at = top * below.row
    cdef Shape shape = Shape(rows, below.fan_out, below.row)
    product(
        Matrix(part.room.sheets[l].error + top * layer.row, layer.row, 1),
        Matrix(net.parameters + layer.weights, 1, layer.fan_out),
        rows, layer.fan_in, layer.fan_out,
        Target(NULL, 0, 1, sheet.delta + at, below.row), NULL, NULL,
    )
    if net.article:
        return
    if below.dropout > 0:
        drop(
            below.dropout, net.key, place(part, l - 1, top), sheet.delta + at, sheet.delta + at,
            shape,
        )
    below.activation.backward(
        sheet.z + at, sheet.activation + at, sheet.delta + at, sheet.delta + at, shape
    )


cdef inline Py_ssize_t layer_of(const Net *net, Py_ssize_t *unit) noexcept nogil:
    """The layer that a unit belongs to; the unit becomes its number there."""
    cdef Py_ssize_t l = 0
    while l + 1 < net.size and net.layers[l + 1].first_unit <= unit[0]:
        l += 1
    unit[0] -= net.layers[l].first_unit
    return l


cdef void improve(void *context, Py_ssize_t unit) noexcept nogil:
    cdef const Part *part = <const Part *>context
    cdef Py_ssize_t l = layer_of(part.net, &unit)
    cdef Py_ssize_t top = unit * UNIT_ROWS, end = part.net.layers[l].fan_in
    if top < end:
        improve_weights(part, l, top, min(<Py_ssize_t>UNIT_ROWS, end - top))
    else:
        improve_bias(part, l)


cdef void improve_layer(const Part *part, Py_ssize_t l) noexcept nogil:
    """All of a layer; the weights at once if they need no room, neither for zeros nor for a gradient."""
    cdef const Net *net = part.net
    cdef const Layer *layer = &net.layers[l]
    cdef Py_ssize_t unit
    if l > 0 and net.plain and layer.fan_out < WIDE_COLUMNS:
        improve_weights(part, l, 0, layer.fan_in)
        improve_bias(part, l)
    else:
        for unit in range(units_of(layer.fan_in)):
            improve(<void *>part, layer.first_unit + unit)


cdef inline bint range_of(
    const Net *net, Py_ssize_t unit, Py_ssize_t *start, Py_ssize_t *size
) noexcept nogil:
    """Where the parameters of a unit stand in the flat arrays; whether they are weights."""
    cdef const Layer *layer = &net.layers[layer_of(net, &unit)]
    cdef Py_ssize_t top = unit * UNIT_ROWS
    if top < layer.fan_in:
        start[0] = layer.weights + top * layer.fan_out
        size[0] = min(<Py_ssize_t>UNIT_ROWS, layer.fan_in - top) * layer.fan_out
        return True
    start[0] = layer.bias
    size[0] = biases_of(net, layer)
    return False


cdef inline Py_ssize_t biases_of(const Net *net, const Layer *layer) noexcept nogil:
    """How many parameters follow the weights: the bias, or one for each sample, and the gain."""
    if layer.normalization != NONE:
        return 2 * layer.fan_out
    return net.biases * layer.fan_out


cdef void complete(void *context, Py_ssize_t unit) noexcept nogil:
    """The share of the l2 term in a gradient that is there, and the sum of its squares."""
    cdef const Part *part = <const Part *>context
    cdef Py_ssize_t i, start, size
    cdef bint are_weights = range_of(part.net, unit, &start, &size)
    cdef real *gradient = part.net.gradient + start
    cdef double square = 0
    if are_weights:
        decay(part, gradient, start, size)
    for i in range(size):
        square = multiply_add(gradient[i], gradient[i], square)
    part.room.squares[unit] = square


cdef void take(void *context, Py_ssize_t unit) noexcept nogil:
    """The step of a unit, by a gradient that is there and scaled first."""
    cdef const Part *part = <const Part *>context
    cdef Py_ssize_t i, start, size
    cdef real *gradient
    range_of(part.net, unit, &start, &size)
    gradient = part.net.gradient + start
    for i in range(size):
        gradient[i] = gradient[i] * part.scale
    take_step(part, gradient, start, size)


cdef inline Ahead rows_ahead(
    const void *start, Py_ssize_t row, Py_ssize_t size, Py_ssize_t rows
) noexcept nogil:
    """Rows of weights, to be asked for evenly over their tiles."""
    cdef Py_ssize_t tiles = (rows + TILE_ROWS - 1) // TILE_ROWS
    cdef Py_ssize_t lines = rows * (size // CACHE_LINE + 2)
    return Ahead(<const char *>start, row, size, rows, 0, (lines + tiles - 1) // tiles)


cdef void improve_weights(
    const Part *part, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil:
    """The gradient of some rows of weights, and the step, a few columns at a time.

    `rows`: those of a unit, or of all of a layer: see `improve_layer`.
    """
    cdef const Net *net = part.net
    cdef const Layer *layer = &net.layers[l]
    cdef vector room[UNIT_ROWS * UNIT_COLUMNS / VECTOR_LENGTH]
    cdef real packed[UNIT_ROWS * PART_ROWS]
    cdef const real *base
    cdef real *gradient
    cdef real *weights
    cdef Py_ssize_t i, columns, row, at, j = 0
    cdef Matrix left, right
    cdef Ahead weights_ahead
    cdef Ahead *ahead = NULL
    cdef Terms room_for_terms
    cdef Terms *terms = NULL
    if l == 0:
        left = Matrix(part.room.x + top, 1, part.room.input_row)
    else:
        left = Matrix(part.room.sheets[l - 1].output + top, 1, net.layers[l - 1].row)
    left.start += part.top * left.column
    if layer.fan_out >= WIDE_COLUMNS:
        for i in range(part.rows):
            memcpy(
                &packed[i * UNIT_ROWS], left.start + i * left.column, <size_t>rows * sizeof(real)
            )
        left = Matrix(&packed[0], 1, UNIT_ROWS)
    if l == 0 and part.samples.are_sparse:
        terms = &room_for_terms
        list_terms(terms, left, rows, part.rows)
        terms.listed = True
    right = Matrix(part.room.sheets[l].error + part.top * layer.row, layer.row, 1)
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
            gradient, row = <real *>&room[0], UNIT_COLUMNS
        if part.steps and not part.adds and net.plain:
            if layer.fan_in * layer.fan_out * <Py_ssize_t>sizeof(real) > L2_SHARE:
                weights_ahead = rows_ahead(
                    weights, layer.fan_out * sizeof(real), columns * sizeof(real), rows
                )
                ahead = &weights_ahead
            product(
                left, right, rows, columns, part.rows,
                Target(weights, layer.fan_out, -part.step.rate, weights, layer.fan_out), ahead,
                terms,
            )
        else:
            product(
                left, right, rows, columns, part.rows,
                Target(base, row, 1, gradient, row), ahead, terms,
            )
            if part.steps:
                for i in range(rows):
                    decay(part, gradient + i * row, at + i * layer.fan_out, columns)
                    take_step(part, gradient + i * row, at + i * layer.fan_out, columns)
        right.start += columns
        j += columns


cdef void improve_bias(const Part *part, Py_ssize_t l) noexcept nogil:
    """The gradient of a layer's bias and, with normalization, of its gain, and the step."""
    cdef const Net *net = part.net
    cdef const Layer *layer = &net.layers[l]
    cdef const Sheet *sheet = &part.room.sheets[l]
    cdef Py_ssize_t at = part.top * layer.row
    cdef Py_ssize_t size = biases_of(net, layer)
    cdef real *gradient = net.gradient + layer.bias
    # By the article's rule every sample has filled its own on the way back.
    if not net.article:
        if not part.adds:
            memset(gradient, 0, <size_t>size * sizeof(real))
        sum_of_rows(sheet.delta + at, layer.row, part.rows, layer.fan_out, gradient)
        if layer.normalization != NONE:
            add_products(
                sheet.delta + at, sheet.normal + at, Shape(part.rows, layer.fan_out, layer.row),
                gradient + layer.fan_out,
            )
    if part.steps:
        take_step(part, gradient, layer.bias, size)


cdef inline void decay(
    const Part *part, real *gradient, Py_ssize_t at, Py_ssize_t size
) noexcept nogil:
    """Add the gradient of the l2 term for `size` weights from number `at` on."""
    cdef const real *weights = part.net.parameters + at
    cdef real strength
    cdef Py_ssize_t i
    if part.net.l2 > 0 and part.total > 0:
        strength = <real>(part.net.l2 / part.total)
        for i in range(size):
            gradient[i] = real_multiply_add(strength, weights[i], gradient[i])


cdef inline void take_step(
    const Part *part, real *gradient, Py_ssize_t at, Py_ssize_t size
) noexcept nogil:
    """The step of `size` parameters from number `at` on."""
    cdef const Net *net = part.net
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
        &part.step, net.parameters + at, gradient,
        net.first_moment + at if net.first_moment != NULL else NULL,
        net.second_moment + at if net.second_moment != NULL else NULL,
        size,
    )
    if net.average != NULL:
        average = net.average + at
        for i in range(size):
            average[i] = real_multiply_add(part.pace, parameters[i] - average[i], average[i])


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
