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

from .dense cimport Target, product
from .matrix cimport Matrix
from .scalar cimport real
from .step cimport (
    Layer,
    Net,
    Part,
    Room,
    ask_for_quarter,
    gather_part,
    go_down,
    go_up,
    improve_layer,
    judge,
    total_of,
    weigh,
)

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


cdef inline void ask_ahead(const Part *part, Py_ssize_t group, int quarter) noexcept nogil:
    """Ask for a quarter of the samples that stand in the next group where those of this step do.

    For all of them at once the core would have to wait.
    """
    cdef Py_ssize_t i
    for i in range(part.first + part.top, part.first + part.top + part.rows):
        ask_for_quarter(part.net, &part.samples, i + group, quarter)


cdef Py_ssize_t take_steps(
    Part *part, Py_ssize_t rows, Py_ssize_t batch, double *total
) noexcept nogil:
    """Take the steps of a group of `rows` samples, `batch` a step, the last one with what is left.

    The part says where the group begins and what its first step is. No step is taken from one on
    whose loss is not finite; how many samples were judged is returned, and what they count in `total`.
    """
    cdef const Net *net = part.net
    cdef const Room *room = part.room
    cdef const Layer *layer = &net.layers[0]
    cdef real *z = room.sheets[0].z
    cdef real gram[GROUP_ROWS * GROUP_ROWS]
    cdef real one[GROUP_ROWS]
    cdef Py_ssize_t start = 0, judged = 0, unit, l
    cdef double loss = 0
    for unit in range(GROUP_ROWS):
        one[unit] = 1
    gather_part(part, 0, rows)
    weigh(
        net, room, 0, room.x, room.input_row, part.first, 0, rows, part.samples.are_sparse
    )
    product(
        Matrix(room.x, room.input_row, 1), Matrix(room.x, 1, room.input_row),
        rows, rows, layer.fan_in, Target(&one[0], 0, 1, &gram[0], GROUP_ROWS), NULL, NULL,
    )
    total[0] = 0
    while start < rows:
        part.top = start
        part.rows = part.batch = min(batch, rows - start)
        part.total = total_of(part)
        if start > 0:
            product(
                Matrix(&gram[start * GROUP_ROWS], GROUP_ROWS, 1),
                Matrix(room.sheets[0].delta, layer.row, 1),
                part.rows, layer.fan_out, start,
                Target(z + start * layer.row, layer.row, -part.step.rate, z + start * layer.row,
                       layer.row),
                NULL, NULL,
            )
        ask_ahead(part, rows, 0)
        go_up(part, 0, start, part.rows)
        ask_ahead(part, rows, 1)
        judge(part, start, part.rows)
        judged = start + part.rows
        total[0] += part.total
        for unit in range(start, judged):
            loss += room.losses[unit]
        if not isfinite(loss):
            break
        ask_ahead(part, rows, 2)
        go_down(part, net.size - 1, start, part.rows)
        ask_ahead(part, rows, 3)
        for l in range(1, net.size):
            improve_layer(part, l)
        part.number += 1
        start += part.rows
    part.top = 0
    part.rows = start
    if start > 0:
        improve_layer(part, 0)
    return judged
