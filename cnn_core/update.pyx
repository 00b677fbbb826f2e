"""Update the parameters piece by piece: each kind of layer says what its pieces are.

update_piece takes the gradient over all samples of the batch, and at once the step that it asks for,
while both are in the nearest cache. A gradient that is clipped by its norm is computed whole before
any step: update_piece without steps, then finish_gradient (the norm), then apply_clipped_step.
"""

from libc.math cimport sqrt

from ..threads cimport run
from .layer cimport SLICE_ROWS, Arrays, Block, Layer, LayerBuffers, Net, Workspace
from .matrix cimport Range
from .optimizers cimport take_step
from .scalar cimport multiply_add, real, real_multiply_add
from .sparse_rows cimport sort_by_pieces


cdef void update_parameters(const Block *samples, int threads) noexcept nogil:
    """The gradient over the samples of a slice, and the step if this is the last one."""
    cdef Block block = samples[0]
    cdef Py_ssize_t end = samples.rows, l
    while block.top < end:
        block.rows = min(end - block.top, <Py_ssize_t>SLICE_ROWS)
        block.adds = samples.adds or block.top > 0
        block.steps = samples.steps and block.top + block.rows == end
        if block.samples.are_read_sparse:
            sort_by_pieces(&block)
        for l in range((<Net>block.net).size):
            (<Layer>block.layers[l]).begin_update(<LayerBuffers>block.buffers[l], &block)
        run(update_piece, &block, (<Net>block.net).pieces, threads)
        block.top += block.rows


cdef void finish_step(Block *block, bint steps, int threads) noexcept nogil:
    """Make a gradient complete, and take the step by it if asked for."""
    cdef double square = 0
    cdef Py_ssize_t piece, pieces = (<Net>block.net).pieces
    run(finish_gradient, block, pieces, threads)
    if not steps:
        return
    for piece in range(pieces):
        square += (<Workspace>block.workspace).squares[piece]
    block.scale = 1
    if sqrt(square) > (<Net>block.net).clip_norm:
        block.scale = <real>((<Net>block.net).clip_norm / sqrt(square))
    run(apply_clipped_step, block, pieces, threads)


cdef inline Py_ssize_t layer_of(const Block *block, Py_ssize_t *piece) noexcept nogil:
    """The layer that a piece belongs to; the piece becomes its number there."""
    cdef Py_ssize_t l = 0
    while piece[0] >= (<Layer>block.layers[l]).first_piece + (<Layer>block.layers[l]).pieces:
        l += 1
    piece[0] -= (<Layer>block.layers[l]).first_piece
    return l


cdef void update_piece(void *context, Py_ssize_t piece, int thread) noexcept nogil:
    """The gradient of a piece over the samples of a slice, and the step if it is asked for."""
    cdef Block block = (<const Block *>context)[0]
    cdef Py_ssize_t l = layer_of(&block, &piece)
    block.thread = (<Workspace>block.workspace).thread_at[thread]
    (<Layer>block.layers[l]).update(<LayerBuffers>block.buffers[l], &block, piece)


cdef void update_layer(const Block *block, Py_ssize_t l) noexcept nogil:
    """All pieces of a layer, on the thread that asks."""
    cdef Py_ssize_t piece
    for piece in range((<Layer>block.layers[l]).pieces):
        (<Layer>block.layers[l]).update(<LayerBuffers>block.buffers[l], block, piece)


cdef void finish_gradient(void *context, Py_ssize_t piece, int thread) noexcept nogil:
    """The share of the l2 term in a gradient that is there, and the sum of its squares."""
    cdef const Block *block = <const Block *>context
    cdef Py_ssize_t own = piece, l = layer_of(block, &own)
    cdef Range where = (<Layer>block.layers[l]).range_of(own)
    add_decay(block, (<Arrays>block.arrays).gradient, &where)
    (<Workspace>block.workspace).squares[piece] = sum_of_squares(
        (<Arrays>block.arrays).gradient, &where, 0
    )


cdef void apply_clipped_step(void *context, Py_ssize_t piece, int thread) noexcept nogil:
    """The step of a piece, by a gradient that is there and scaled first."""
    cdef const Block *block = <const Block *>context
    cdef Py_ssize_t l = layer_of(block, &piece)
    cdef Range where = (<Layer>block.layers[l]).range_of(piece)
    # The l2 term is in it already.
    where.decays = False
    each(
        scaled, block.scale, (<Arrays>block.arrays).parameters, (<Arrays>block.arrays).gradient, &where
    )
    apply_step(block, (<Arrays>block.arrays).gradient, &where)
    (<Layer>block.layers[l]).after_step(<LayerBuffers>block.buffers[l], piece)


cdef double sum_of_squares(
    const real[::1] values, const Range *where, double total
) noexcept nogil:
    """Added to a total; the values stand as in a gradient."""
    cdef Py_ssize_t i, j, at
    for i in range(where.rows):
        at = where.gradient + i * where.gradient_row
        for j in range(where.columns):
            total = multiply_add(values[at + j], values[at + j], total)
    return total


cdef double squared_weights(void *net) noexcept nogil:
    """The sum of the squares of all parameters for which the l2 term holds."""
    cdef Py_ssize_t l, piece
    cdef double total = 0
    cdef Range where
    for l in range((<Net>net).size):
        for piece in range((<Layer>(<Net>net).layer_at[l]).pieces):
            where = (<Layer>(<Net>net).layer_at[l]).range_of(piece)
            where.gradient, where.gradient_row = where.start, where.row
            if where.decays:
                total = sum_of_squares((<Net>net).arrays.parameters, &where, total)
    return total


cdef void take_gradient(const Block *block, real[::1] found, Range *where) noexcept nogil:
    """Take the step of a piece, whose gradient over the samples of a slice a thread has found.

    It is added to that of the slices before, and stored only if there is more to come, or if nothing but
    it was asked for.
    """
    cdef Py_ssize_t i, j, at, source
    if block.steps and not block.adds:
        apply_step(block, found, where)
        return
    for i in range(where.rows):
        at, source = where.start + i * where.row, where.gradient + i * where.gradient_row
        for j in range(where.columns):
            if block.adds:
                found[source + j] = found[source + j] + (<Arrays>block.arrays).gradient[at + j]
            (<Arrays>block.arrays).gradient[at + j] = found[source + j]
    where.gradient, where.gradient_row = where.start, where.row
    if block.steps:
        apply_step(block, (<Arrays>block.arrays).gradient, where)


cdef void apply_step(const Block *block, real[::1] gradient, const Range *where) noexcept nogil:
    """The step of some parameters; the l2 term is added to their gradient, which is limited, in place."""
    cdef Range average = where[0]
    add_decay(block, gradient, where)
    if (<Net>block.net).clip_value > 0:
        each(
            limited, <real>(<Net>block.net).clip_value, (<Arrays>block.arrays).parameters, gradient, where
        )
    take_step(
        block.step, where, (<Arrays>block.arrays).parameters, gradient,
        (<Arrays>block.arrays).first_moment, (<Arrays>block.arrays).second_moment,
    )
    if (<Net>block.net).averages:
        average.gradient, average.gradient_row = where.start, where.row
        each(
            moved, block.averaging_rate, (<Arrays>block.arrays).parameters,
            (<Arrays>block.arrays).average, &average,
        )


cdef void add_decay(const Block *block, real[::1] gradient, const Range *where) noexcept nogil:
    """Add the gradient of the l2 term for some parameters, if it holds for them."""
    if where.decays and (<Net>block.net).l2 > 0 and block.total > 0:
        each(
            with_share, <real>((<Net>block.net).l2 / block.total),
            (<Arrays>block.arrays).parameters, gradient, where,
        )


# The compiler puts a formula into this loop, and leaves neither a call nor a pointer.
ctypedef real (*Formula)(real number, real parameter, real value) noexcept nogil


cdef inline void each(
    Formula formula, real number, const real[::1] parameters, real[::1] values, const Range *where
) noexcept nogil:
    """value = formula(number, parameter, value), where the values stand as in a gradient."""
    cdef Py_ssize_t i, j, at, to
    for i in range(where.rows):
        at, to = where.start + i * where.row, where.gradient + i * where.gradient_row
        for j in range(where.columns):
            values[to + j] = formula(number, parameters[at + j], values[to + j])


cdef inline real scaled(real factor, real parameter, real value) noexcept nogil:
    return value * factor


cdef inline real with_share(real factor, real parameter, real value) noexcept nogil:
    return real_multiply_add(factor, parameter, value)


cdef inline real limited(real limit, real parameter, real value) noexcept nogil:
    value = limit if value > limit else value
    return -limit if value < -limit else value


cdef inline real moved(real rate, real parameter, real average) noexcept nogil:
    return real_multiply_add(rate, parameter - average, average)
