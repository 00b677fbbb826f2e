"""Parts of flat arrays as the loops see them: where they start, and how far it is to the next row."""

from .scalar cimport real

cdef extern from "vector.h" nogil:
    enum:
        LINE
    void transpose_line(
        const real *rows, Py_ssize_t row, int count, real *out, Py_ssize_t out_row
    )

ctypedef fused accumulator:
    real
    double


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
    # Values that are compared at a time: more than compilers take for single values, not vectors.
    LANES = 32
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


cdef inline void sum_rows(const real[::1] values, Shape shape, accumulator *totals) noexcept nogil:
    """The sum of each of up to SUMS rows, in rising order of the columns.

    A cache line of all of them at a time, turned to columns, each of which is a vector.
    """
    cdef Py_ssize_t i, j, k, at = shape.start, row = shape.row
    cdef accumulator sums[SUMS]
    cdef real block[LINE * SUMS]
    for i in range(SUMS):
        sums[i] = 0
    j = 0
    if shape.rows == SUMS:
        while j + <Py_ssize_t>LINE <= shape.columns:
            transpose_line(&values[at + j], row, LINE, &block[0], SUMS)
            transpose_line(&values[at + 4 * row + j], row, LINE, &block[4], SUMS)
            for k in range(LINE):
                for i in range(SUMS):
                    sums[i] = sums[i] + block[k * SUMS + i]
            j += LINE
    for j in range(j, shape.columns):
        for i in range(shape.rows):
            sums[i] = sums[i] + values[at + i * row + j]
    for i in range(shape.rows):
        totals[i] = sums[i]


cdef inline void add_rows(
    const real[::1] values, Shape shape, real[::1] out, Py_ssize_t at
) noexcept nogil:
    """out[at + j] += the sum over the rows, in rising order."""
    cdef Py_ssize_t i, j, start
    for i in range(shape.rows):
        start = shape.start + i * shape.row
        for j in range(shape.columns):
            out[at + j] = out[at + j] + values[start + j]
