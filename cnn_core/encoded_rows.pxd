"""Loops over the rows of weights that encoded columns pick: their sums and their gradients.

encoded_layer.pyx explains which rows those are. The order of a unit's terms is always the same.
"""

from .dense cimport ROW_VECTORS
from .scalar cimport real
from .vector cimport VECTOR_LENGTH, Lanes, each_vector, load_lanes, store_lanes, vector, zero_vector

cdef enum:
    # Most rows of a `WeightedRows`; vectors of units at a time, each with two sums in registers.
    MOST_ROWS = 128
    GRADIENT_VECTORS = 4


cdef struct WeightedRows:
    # Rows of weights or of sums, their factors, their number, and the output to add them to.
    const real *rows[MOST_ROWS]
    real factors[MOST_ROWS]
    int count
    real *out


cdef inline Py_ssize_t bin_of(real value, Py_ssize_t bins, real *through) noexcept nogil:
    """Return the bin of any value, NaN too; `through` becomes its position in the bin, 0 to 1."""
    cdef Py_ssize_t number
    value = value if value > 0 else 0
    value = value if value < bins else bins
    number = min(<Py_ssize_t>value, bins - 1)
    through[0] = value - <real>number
    return number


cdef inline Py_ssize_t level_of(real value, Py_ssize_t levels) noexcept nogil:
    """Return the level of a code; -1 for any value outside the levels."""
    return <Py_ssize_t>value if 0 <= value < levels else -1


cdef struct Rows:
    # Rows of weights or of deltas: start, row stride in values, number; the output. For a gradient
    # also a linked list of the samples of a row (`head`, -1 if empty; `following`), their factors,
    # and the sum of the deltas of later bins (NULL without pieces).
    const real *start
    Py_ssize_t row
    Py_ssize_t count
    real *out
    int head
    const int *following
    const real *factors
    real *later


# Loops for `each_vector`, over units. It calls them with constants, so sums stay in registers.


cdef inline void sum_up_rows(Lanes lanes, const void *of) noexcept nogil:
    """Store the sum of the rows before each row and before the end, then -0.5 * the last sum."""
    cdef const Rows *r = <const Rows *>of
    cdef real *out = r.out
    cdef vector sums[ROW_VECTORS]
    cdef Py_ssize_t t
    cdef int v
    for v in range(lanes.vectors):
        sums[v] = zero_vector()
    for t in range(r.count):
        for v in range(lanes.vectors):
            store_lanes(out + t * r.row + v * VECTOR_LENGTH, sums[v], lanes)
            sums[v] = sums[v] + load_lanes(r.start + t * r.row + v * VECTOR_LENGTH, lanes)
    out += r.count * r.row
    for v in range(lanes.vectors):
        store_lanes(out + v * VECTOR_LENGTH, sums[v], lanes)
        store_lanes(out + r.row + v * VECTOR_LENGTH, <real>-0.5 * sums[v], lanes)


cdef inline void less_half_of_sum(Lanes lanes, const void *of) noexcept nogil:
    """Store minus half of the sum of the rows, added in rising order."""
    cdef const Rows *r = <const Rows *>of
    cdef vector sums[ROW_VECTORS]
    cdef Py_ssize_t i
    cdef int v
    for v in range(lanes.vectors):
        sums[v] = zero_vector()
    for i in range(r.count):
        for v in range(lanes.vectors):
            sums[v] = sums[v] + load_lanes(r.start + i * r.row + v * VECTOR_LENGTH, lanes)
    for v in range(lanes.vectors):
        store_lanes(r.out + v * VECTOR_LENGTH, <real>-0.5 * sums[v], lanes)


cdef inline void add_picked(Lanes lanes, const void *of) noexcept nogil:
    cdef const WeightedRows *picked = <const WeightedRows *>of
    cdef vector sums[ROW_VECTORS]
    cdef int k, v
    for v in range(lanes.vectors):
        sums[v] = load_lanes(picked.out + v * VECTOR_LENGTH, lanes)
    for k in range(picked.count):
        for v in range(lanes.vectors):
            sums[v] = sums[v] + picked.factors[k] * load_lanes(
                picked.rows[k] + v * VECTOR_LENGTH, lanes
            )
    for v in range(lanes.vectors):
        store_lanes(picked.out + v * VECTOR_LENGTH, sums[v], lanes)


cdef inline void gradient_of_row(Lanes lanes, const void *of) noexcept nogil:
    """Compute the gradient of a row of weights over the samples in its list.

    `later` is NULL but for pieces: on entry the sum of the deltas of later bins, less half of all
    deltas; on return the same for the row before this one.
    """
    cdef const Rows *r = <const Rows *>of
    cdef vector own[GRADIENT_VECTORS]
    cdef vector all[GRADIENT_VECTORS]
    cdef vector value
    cdef int i = r.head, v
    for v in range(lanes.vectors):
        all[v] = zero_vector()
        if r.later != NULL:
            all[v] = load_lanes(r.later + v * VECTOR_LENGTH, lanes)
        own[v] = all[v]
    while i >= 0:
        for v in range(lanes.vectors):
            value = load_lanes(r.start + i * r.row + v * VECTOR_LENGTH, lanes)
            own[v] = own[v] + r.factors[i] * value
            all[v] = all[v] + value
        i = r.following[i]
    for v in range(lanes.vectors):
        store_lanes(r.out + v * VECTOR_LENGTH, own[v], lanes)
        if r.later != NULL:
            store_lanes(r.later + v * VECTOR_LENGTH, all[v], lanes)
