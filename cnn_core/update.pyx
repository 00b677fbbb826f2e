"""Update the parameters piece by piece: each kind of layer says what its pieces are.

update_piece takes the gradient over all samples of the batch, and at once the step that it asks for,
while both are in the nearest cache. A gradient that is clipped by its norm is computed whole before
any step: update_piece without steps, then finish_gradient (the norm), then apply_clipped_step.
"""

from .layer cimport Layer
from .matrix cimport Range
from .net cimport Net
from .scalar cimport multiply_add, real, real_multiply_add
from .workspace cimport BatchSlice, LayerBuffers, ThreadBuffers, Workspace


cdef inline Py_ssize_t layer_of(const BatchSlice *batch, Py_ssize_t *piece) noexcept nogil:
    """The layer that a piece belongs to; the piece becomes its number there."""
    cdef void **layers = (<Net>batch.net).layer_at
    cdef Py_ssize_t l = 0
    while piece[0] >= (<Layer>layers[l]).first_piece + (<Layer>layers[l]).pieces:
        l += 1
    piece[0] -= (<Layer>layers[l]).first_piece
    return l


cdef void update_piece(void *context, Py_ssize_t piece, int thread) noexcept nogil:
    """The gradient of a piece over the samples of a slice, and the step if it is asked for."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    cdef Py_ssize_t l = layer_of(batch, &piece)
    (<Layer>(<Net>batch.net).layer_at[l]).update(
        <LayerBuffers>(<Workspace>batch.workspace).layer_at[l], batch, piece,
        <ThreadBuffers>(<Workspace>batch.workspace).thread_at[thread],
    )


cdef void update_layer(const BatchSlice *batch, Py_ssize_t l) noexcept nogil:
    """All pieces of a layer, on the thread that asks."""
    (<Layer>(<Net>batch.net).layer_at[l]).update_all(
        <LayerBuffers>(<Workspace>batch.workspace).layer_at[l], batch,
        <ThreadBuffers>(<Workspace>batch.workspace).thread_at[0],
    )


cdef Range range_of(const BatchSlice *batch, Py_ssize_t piece) noexcept nogil:
    cdef Py_ssize_t l = layer_of(batch, &piece)
    return (<Layer>(<Net>batch.net).layer_at[l]).range_of(piece)


cdef void finish_gradient(void *context, Py_ssize_t piece, int thread) noexcept nogil:
    """The share of the l2 term in a gradient that is there, and the sum of its squares."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    cdef Range where = range_of(batch, piece)
    if where.decays:
        add_decay(batch, (<Net>batch.net).gradient, &where)
    (<Workspace>batch.workspace).squares[piece] = sum_of_squares(
        (<Net>batch.net).gradient, &where
    )


cdef void apply_clipped_step(void *context, Py_ssize_t piece, int thread) noexcept nogil:
    """The step of a piece, by a gradient that is there and scaled first."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    cdef Range where = range_of(batch, piece)
    scale((<Net>batch.net).gradient, batch.scale, &where)
    apply_step(batch, (<Net>batch.net).gradient, &where)


cdef void scale(real[::1] gradient, real factor, const Range *where) noexcept nogil:
    cdef Py_ssize_t i, j, at
    for i in range(where.rows):
        at = where.gradient + i * where.gradient_row
        for j in range(where.columns):
            gradient[at + j] = gradient[at + j] * factor


cdef double sum_of_squares(const real[::1] values, const Range *where) noexcept nogil:
    cdef Py_ssize_t i, j, at
    cdef double total = 0
    for i in range(where.rows):
        at = where.gradient + i * where.gradient_row
        for j in range(where.columns):
            total = multiply_add(values[at + j], values[at + j], total)
    return total


cdef double squared_weights(void *net) noexcept nogil:
    """The sum of the squares of all parameters for which the l2 term holds."""
    cdef Py_ssize_t l, i, j, piece, at
    cdef double total = 0
    cdef Range where
    for l in range((<Net>net).size):
        for piece in range((<Layer>(<Net>net).layer_at[l]).pieces):
            where = (<Layer>(<Net>net).layer_at[l]).range_of(piece)
            for i in range(where.rows if where.decays else 0):
                at = where.start + i * where.row
                for j in range(where.columns):
                    total = multiply_add(
                        (<Net>net).parameters[at + j], (<Net>net).parameters[at + j], total
                    )
    return total


cdef void add_decay(const BatchSlice *batch, real[::1] gradient, const Range *where) noexcept nogil:
    """Add the gradient of the l2 term for some weights."""
    if (<Net>batch.net).l2 > 0 and batch.total > 0:
        add_scaled(
            <real>((<Net>batch.net).l2 / batch.total), (<Net>batch.net).parameters, gradient, where
        )


cdef void add_scaled(
    real factor, const real[::1] parameters, real[::1] gradient, const Range *where
) noexcept nogil:
    cdef Py_ssize_t i, j, at, to
    for i in range(where.rows):
        at, to = where.start + i * where.row, where.gradient + i * where.gradient_row
        for j in range(where.columns):
            gradient[to + j] = real_multiply_add(factor, parameters[at + j], gradient[to + j])


cdef void apply_step(const BatchSlice *batch, real[::1] gradient, const Range *where) noexcept nogil:
    """The step of some parameters; their gradient is limited in place."""
    if (<Net>batch.net).clip_value > 0:
        limit_values(<real>(<Net>batch.net).clip_value, gradient, where)
    (<Net>batch.net).optimizer(
        &batch.step, where, (<Net>batch.net).parameters, gradient, (<Net>batch.net).first_moment,
        (<Net>batch.net).second_moment,
    )
    if (<Net>batch.net).averages:
        move_average(
            batch.averaging_rate, (<Net>batch.net).parameters, (<Net>batch.net).average, where
        )


cdef void limit_values(real limit, real[::1] gradient, const Range *where) noexcept nogil:
    cdef Py_ssize_t i, j, at
    cdef real value
    for i in range(where.rows):
        at = where.gradient + i * where.gradient_row
        for j in range(where.columns):
            value = gradient[at + j]
            value = limit if value > limit else value
            gradient[at + j] = -limit if value < -limit else value


cdef void move_average(
    real rate, const real[::1] parameters, real[::1] average, const Range *where
) noexcept nogil:
    cdef Py_ssize_t i, j, at
    for i in range(where.rows):
        at = where.start + i * where.row
        for j in range(where.columns):
            average[at + j] = real_multiply_add(
                rate, parameters[at + j] - average[at + j], average[at + j]
            )
