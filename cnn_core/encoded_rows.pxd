"""The loops over the rows of weights that encoded columns pick: their sums and their gradients.

Which rows those are, and why, stands in encoded_layer.pyx. The order of a unit's terms is always the same.
"""

from .dense cimport ROW_VECTORS
from .scalar cimport real
from .vector cimport VECTOR_LENGTH, Lanes, each_vector, load_lanes, store_lanes, vector, zero_vector

cdef enum:
    # Rows that a sample picks at a time; vectors of units whose sums are registers, two of each.
    MOST_ROWS = 128
    GRADIENT_VECTORS = 4


cdef struct WeightedRows:
    # Rows of weights or of sums, what each is multiplied by, and what they are added to.
    const real *rows[MOST_ROWS]
    real factors[MOST_ROWS]
    int count
    real *out


cdef inline Py_ssize_t bin_of(real value, Py_ssize_t bins, real *through) noexcept nogil:
    """The bin of a value, and how far through it the value is; whatever is in the array by now."""
    cdef Py_ssize_t number
    value = value if value > 0 else 0
    value = value if value < bins else bins
    number = min(<Py_ssize_t>value, bins - 1)
    through[0] = value - <real>number
    return number


cdef inline Py_ssize_t level_of(real value, Py_ssize_t levels) noexcept nogil:
    """The level of a code, -1 for none; likewise."""
    return <Py_ssize_t>value if 0 <= value < levels else -1


cdef struct Rows:
    # Rows of weights or of deltas, `row` values apart, and what is made of them; for a gradient also the
    # samples of a row of weights, as a list, with their factors, and the sum of the deltas of later bins.
    const real *start
    Py_ssize_t row
    Py_ssize_t count
    real *out
    int head
    const int *following
    const real *factors
    real *later


# Loops for `each_vector`, over some units. Called with constants, so that the sums become registers.


cdef inline void sum_up_rows(Lanes lanes, const void *of) noexcept nogil:
    """Of each row, and of the end, the sum of the rows before it; then less half of the last sum."""
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
    """Less half of the sum of the rows, in rising order."""
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
    """The gradient of a row of weights, over the samples in its list.

    `later`, for pieces: the sum of the deltas of later bins, less half of all deltas; afterwards that
    for the row before this one. NULL for rows that know nothing of each other.
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
