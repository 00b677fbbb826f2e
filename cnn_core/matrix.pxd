"""Parts of flat arrays as the loops see them: where they start, and how far it is to the next row."""

from .scalar cimport real


cdef struct Matrix:
    # Element (i, k) is value `start` + i * `row` + k * `column` of a flat array.
    Py_ssize_t start
    Py_ssize_t row
    Py_ssize_t column


cdef struct Shape:
    # Some rows of a flat array: `rows` rows of `columns` values each, beginning `row` values apart
    # from value `start` on.
    Py_ssize_t start
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t row


cdef inline Shape runs(Shape shape) noexcept nogil:
    """The same values in as few rows as possible: one, if there are no gaps between them."""
    if shape.row == shape.columns:
        return Shape(
            shape.start, min(shape.rows, 1), shape.rows * shape.columns, shape.rows * shape.columns
        )
    return shape


cdef struct Range:
    # Some parameters: `rows` rows of `columns` values, `row` apart from value `start` of the flat
    # arrays on; in an array of the gradient `gradient_row` apart from value `gradient` on.
    Py_ssize_t start
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t row
    Py_ssize_t gradient
    Py_ssize_t gradient_row
    # Whether the l2 term holds for them.
    bint decays


cdef inline Range in_one_run(Range where) noexcept nogil:
    """The same parameters as one row, if there are no gaps between theirs."""
    if where.columns == where.row == where.gradient_row:
        where.columns *= where.rows
        where.rows = 1
    return where


cdef enum:
    # Values that are compared at a time, as many as a vector holds at most.
    LANES = 16
    # Rows whose sums are taken together, since each addition waits for the one before it.
    SUMS = 8


cdef inline Py_ssize_t first_largest(
    const real[::1] values, Py_ssize_t start, Py_ssize_t size
) noexcept nogil:
    """Where the largest of `size` values stands, from `start` on, the first of several.

    NaN is passed over, unless it is the first.
    """
    cdef real lanes[LANES]
    cdef real most = values[start]
    cdef Py_ssize_t j = start, end = start + size, lane
    cdef bint found
    if size >= 2 * LANES:
        for lane in range(LANES):
            lanes[lane] = most
        while j + LANES <= end:
            for lane in range(LANES):
                lanes[lane] = values[j + lane] if values[j + lane] > lanes[lane] else lanes[lane]
            j += LANES
        for lane in range(LANES):
            most = lanes[lane] if lanes[lane] > most else most
    while j < end:
        most = values[j] if values[j] > most else most
        j += 1
    j = start
    while j + LANES <= end:
        found = False
        for lane in range(LANES):
            found |= values[j + lane] == most
        if found:
            break
        j += LANES
    while j < end:
        if values[j] == most:
            return j
        j += 1
    return start


cdef inline void sum_rows(const real[::1] values, Shape shape, real *totals) noexcept nogil:
    """The sum of each of up to SUMS rows, in rising order of the columns."""
    cdef Py_ssize_t i, j, at = shape.start, row = shape.row
    cdef real sums[SUMS]
    for i in range(SUMS):
        sums[i] = 0
    if shape.rows == SUMS:
        for j in range(shape.columns):
            for i in range(SUMS):
                sums[i] = sums[i] + values[at + i * row + j]
    else:
        for i in range(shape.rows):
            for j in range(shape.columns):
                sums[i] = sums[i] + values[at + i * row + j]
    for i in range(shape.rows):
        totals[i] = sums[i]
