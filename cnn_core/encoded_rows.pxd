"""The loops over the rows of weights that encoded columns pick: their sums and their gradients.

Which rows those are, and why, stands in encoded_layer.pyx. Each loop takes the units of a row several
vectors at a time, then one, then those that are left: the order of a unit's terms is always the same.
"""

from .dense cimport ROW_VECTORS
from .scalar cimport real
from .vector cimport VECTOR_LENGTH, load, store, vector, zero_vector

cdef enum:
    # Rows that a sample picks at a time; vectors of units whose sums are registers, two of each.
    MOST_ROWS = 128
    GRADIENT_VECTORS = 4


cdef struct WeightedRows:
    # Rows of weights or of sums, and what each is multiplied by.
    const real *rows[MOST_ROWS]
    real factors[MOST_ROWS]
    int count


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


cdef inline void sum_up_columns(
    const int vectors, const bint whole, const int columns, const real *weights, Py_ssize_t row,
    Py_ssize_t rows, real *out,
) noexcept nogil:
    """The sums of some units; called with constants, so that they become registers."""
    cdef vector sums[ROW_VECTORS]
    cdef Py_ssize_t t
    cdef int v
    for v in range(vectors):
        sums[v] = zero_vector()
    for t in range(rows):
        for v in range(vectors):
            store(out + t * row + v * VECTOR_LENGTH, sums[v], whole, columns)
            sums[v] = sums[v] + load(weights + t * row + v * VECTOR_LENGTH, whole, columns)
    for v in range(vectors):
        store(out + rows * row + v * VECTOR_LENGTH, sums[v], whole, columns)
        store(
            out + (rows + 1) * row + v * VECTOR_LENGTH, <real>-0.5 * sums[v], whole, columns
        )


cdef inline void sum_up_rows(
    const real *weights, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t units, real *out
) noexcept nogil:
    """Of each row, and of the end, the sum of the rows before it; then less half of the last sum."""
    cdef Py_ssize_t unit = 0
    while unit + ROW_VECTORS * VECTOR_LENGTH <= units:
        sum_up_columns(ROW_VECTORS, True, 0, weights + unit, row, rows, out + unit)
        unit += ROW_VECTORS * VECTOR_LENGTH
    while unit + VECTOR_LENGTH <= units:
        sum_up_columns(1, True, 0, weights + unit, row, rows, out + unit)
        unit += VECTOR_LENGTH
    if unit < units:
        sum_up_columns(1, False, <int>(units - unit), weights + unit, row, rows, out + unit)


cdef inline void less_half_of_columns(
    const int vectors, const bint whole, const int columns, const real *start, Py_ssize_t row,
    Py_ssize_t rows, real *out,
) noexcept nogil:
    """out = less half of the sum of the rows, for some units; called with constants."""
    cdef vector sums[ROW_VECTORS]
    cdef Py_ssize_t i
    cdef int v
    for v in range(vectors):
        sums[v] = zero_vector()
    for i in range(rows):
        for v in range(vectors):
            sums[v] = sums[v] + load(start + i * row + v * VECTOR_LENGTH, whole, columns)
    for v in range(vectors):
        store(out + v * VECTOR_LENGTH, <real>-0.5 * sums[v], whole, columns)


cdef inline void less_half_of_sum(
    const real *start, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t units, real *out
) noexcept nogil:
    """out = less half of the sum of the rows, in rising order."""
    cdef Py_ssize_t unit = 0
    while unit + ROW_VECTORS * VECTOR_LENGTH <= units:
        less_half_of_columns(ROW_VECTORS, True, 0, start + unit, row, rows, out + unit)
        unit += ROW_VECTORS * VECTOR_LENGTH
    while unit + VECTOR_LENGTH <= units:
        less_half_of_columns(1, True, 0, start + unit, row, rows, out + unit)
        unit += VECTOR_LENGTH
    if unit < units:
        less_half_of_columns(1, False, <int>(units - unit), start + unit, row, rows, out + unit)


cdef inline void add_columns(
    const int vectors, const bint whole, const int columns, const WeightedRows *picked,
    Py_ssize_t unit, real *out,
) noexcept nogil:
    """Add the rows to some units; called with constants, so that the sums become registers."""
    cdef vector sums[ROW_VECTORS]
    cdef int k, v
    for v in range(vectors):
        sums[v] = load(out + unit + v * VECTOR_LENGTH, whole, columns)
    for k in range(picked.count):
        for v in range(vectors):
            sums[v] = sums[v] + picked.factors[k] * load(
                picked.rows[k] + unit + v * VECTOR_LENGTH, whole, columns
            )
    for v in range(vectors):
        store(out + unit + v * VECTOR_LENGTH, sums[v], whole, columns)


cdef inline void add_picked(const WeightedRows *picked, Py_ssize_t units, real *out) noexcept nogil:
    cdef Py_ssize_t unit = 0
    while unit + ROW_VECTORS * VECTOR_LENGTH <= units:
        add_columns(ROW_VECTORS, True, 0, picked, unit, out)
        unit += ROW_VECTORS * VECTOR_LENGTH
    while unit + VECTOR_LENGTH <= units:
        add_columns(1, True, 0, picked, unit, out)
        unit += VECTOR_LENGTH
    if unit < units:
        add_columns(1, False, <int>(units - unit), picked, unit, out)


cdef inline void gradient_of_columns(
    const int vectors, const bint whole, const int columns, int head, const int *following,
    const real *factors, const real *delta, Py_ssize_t row, Py_ssize_t unit, real *later, real *out,
) noexcept nogil:
    """The gradient of a row of weights for some units; called with constants likewise."""
    cdef vector own[GRADIENT_VECTORS]
    cdef vector all[GRADIENT_VECTORS]
    cdef vector value
    cdef int i, v
    for v in range(vectors):
        all[v] = zero_vector()
        if later != NULL:
            all[v] = load(later + unit + v * VECTOR_LENGTH, whole, columns)
        own[v] = all[v]
    i = head
    while i >= 0:
        for v in range(vectors):
            value = load(delta + i * row + unit + v * VECTOR_LENGTH, whole, columns)
            own[v] = own[v] + factors[i] * value
            all[v] = all[v] + value
        i = following[i]
    for v in range(vectors):
        store(out + unit + v * VECTOR_LENGTH, own[v], whole, columns)
        if later != NULL:
            store(later + unit + v * VECTOR_LENGTH, all[v], whole, columns)


cdef inline void gradient_of_row(
    int head, const int *following, const real *factors, const real *delta, Py_ssize_t row,
    Py_ssize_t units, real *later, real *out,
) noexcept nogil:
    """The gradient of a row of weights, over the samples in its list.

    `later`, for pieces: the sum of the deltas of later bins, less half of all deltas; afterwards that
    for the row before this one. NULL for rows that know nothing of each other.
    """
    cdef Py_ssize_t unit = 0, step = GRADIENT_VECTORS * VECTOR_LENGTH
    while unit + step <= units:
        gradient_of_columns(
            GRADIENT_VECTORS, True, 0, head, following, factors, delta, row, unit, later, out
        )
        unit += step
    while unit + VECTOR_LENGTH <= units:
        gradient_of_columns(1, True, 0, head, following, factors, delta, row, unit, later, out)
        unit += VECTOR_LENGTH
    if unit < units:
        gradient_of_columns(
            1, False, <int>(units - unit), head, following, factors, delta, row, unit, later, out
        )
