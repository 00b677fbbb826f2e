"""The first layer on sparse rows (CSR): forward pass and weight gradient from the stored values.

Each sum has the non-zero terms of `dense.pyx`, in the same order and in the same blocks of the
depth. So the bits are those of the same samples as dense rows, which are never made.

The weight gradient needs the values by columns, but they are stored by rows. So the values of a
batch are sorted by piece of weights before the update.
"""

from libc.string cimport memset

from .dense cimport DEPTH_BLOCK
from .layer cimport (
    PIECE_COLUMNS, PIECE_ROWS, Block, LayerBuffers, Net, Samples, SparseEntry, ThreadBuffers,
    number_of,
)
from .scalar cimport is_nonfinite, real, real_multiply_add
from .vector cimport prefetch_line

cdef enum:
    CACHE_LINE = 64
    # Columns of the output that are summed at a time, so that they stay in the L1 cache.
    SUMMED_COLUMNS = 512
    # Prefetch distance of the rows of weights, in stored values.
    VALUES_AHEAD = 4


cdef void sparse_affine(
    const real *weights, Py_ssize_t fan_in, Py_ssize_t fan_out, LayerBuffers buffers,
    const Block *block, const real *bias,
) noexcept nogil:
    """Compute outputs = inputs @ weights + bias for a block; the bias may be NULL."""
    cdef const Samples *samples = block.samples
    cdef real *sums = &(<ThreadBuffers>block.thread).gradient[0]
    cdef real scale = <real>(<Net>block.net).input_scale
    cdef Py_ssize_t i, j, sample
    for i in range(block.top, block.top + block.rows):
        sample = number_of(samples, block.first + i)
        j = 0
        while j < fan_out:
            row_product(
                weights + j, fan_in, fan_out, samples, samples.row_starts[sample],
                samples.row_starts[sample + 1], scale,
                min(<Py_ssize_t>SUMMED_COLUMNS, fan_out - j), bias + j if bias != NULL else NULL, sums,
                &buffers.outputs[i * buffers.row + j],
            )
            j += SUMMED_COLUMNS


cdef inline void row_product(
    const real *weights, Py_ssize_t fan_in, Py_ssize_t fan_out, const Samples *samples, Py_ssize_t k,
    Py_ssize_t end, real scale, Py_ssize_t columns, const real *bias, real *sums, real *out,
) noexcept nogil:
    """Compute columns of one sample's product from its stored values `k` to below `end`."""
    cdef const real *row
    cdef real value
    cdef Py_ssize_t blocks = (fan_in + DEPTH_BLOCK - 1) // DEPTH_BLOCK
    cdef Py_ssize_t deep = (fan_in + blocks - 1) // blocks
    cdef Py_ssize_t block_end, j
    cdef bint is_first
    for j in range(columns):
        # Add the 0 of a block without values: it turns -0 into 0.
        out[j] = (bias[j] if bias != NULL else 0) + <real>0
    while k < end:
        block_end = (samples.columns[k] // deep + 1) * deep
        is_first = True
        while True:
            if k + VALUES_AHEAD < end:
                prefetch_row(weights + column_of(samples, k + VALUES_AHEAD, fan_in) * fan_out, columns)
            row = weights + column_of(samples, k, fan_in) * fan_out
            value = scale * samples.values[k]
            k += 1
            if k >= end or samples.columns[k] >= block_end:
                break
            if is_first:
                for j in range(columns):
                    sums[j] = real_multiply_add(value, row[j], 0)
            else:
                for j in range(columns):
                    sums[j] = real_multiply_add(value, row[j], sums[j])
            is_first = False
        # The last value completes the sum of the block.
        if is_first:
            for j in range(columns):
                out[j] = real_multiply_add(value, row[j], 0) + out[j]
        else:
            for j in range(columns):
                out[j] = real_multiply_add(value, row[j], sums[j]) + out[j]


cdef inline Py_ssize_t column_of(const Samples *samples, Py_ssize_t k, Py_ssize_t fan_in) noexcept nogil:
    """Return the column of a value, clipped: the caller can change its array meanwhile."""
    cdef Py_ssize_t column = samples.columns[k]
    return max(<Py_ssize_t>0, min(column, fan_in - 1))


cdef inline void prefetch_row(const real *row, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < columns * <Py_ssize_t>sizeof(real):
        prefetch_line(<const char *>row + i)
        i += CACHE_LINE


cdef bint any_value_nonfinite(const Block *block) noexcept nogil:
    """Return whether any scaled value of a block is infinite or NaN."""
    cdef const Samples *samples = block.samples
    cdef real scale = <real>(<Net>block.net).input_scale
    cdef Py_ssize_t i, k, sample
    cdef int found = 0
    for i in range(block.top, block.top + block.rows):
        sample = number_of(samples, block.first + i)
        for k in range(samples.row_starts[sample], samples.row_starts[sample + 1]):
            found |= is_nonfinite(scale * samples.values[k])
    return found


cdef void sort_by_pieces(const Block *block) noexcept nogil:
    """Sort the values of a slice by piece of the first layer's weights, then by sample."""
    cdef const Samples *samples = block.samples
    cdef Py_ssize_t *ends = samples.entry_ends
    cdef Py_ssize_t inputs = (<Net>block.net).inputs
    cdef real scale = <real>(<Net>block.net).input_scale
    cdef Py_ssize_t pieces = (inputs + PIECE_ROWS - 1) // PIECE_ROWS
    cdef Py_ssize_t i, k, sample, column, piece, total = 0, size
    memset(ends, 0, <size_t>pieces * sizeof(Py_ssize_t))
    for i in range(block.top, block.top + block.rows):
        sample = number_of(samples, block.first + i)
        for k in range(samples.row_starts[sample], samples.row_starts[sample + 1]):
            column = samples.columns[k]
            if 0 <= column < inputs:
                ends[column // PIECE_ROWS] += 1
    # First the start of each piece. Filling the piece moves it to the end.
    for piece in range(pieces):
        size = ends[piece]
        ends[piece] = total
        total += size
    for i in range(block.top, block.top + block.rows):
        sample = number_of(samples, block.first + i)
        for k in range(samples.row_starts[sample], samples.row_starts[sample + 1]):
            # Check again, since the caller can change its array meanwhile.
            column = samples.columns[k]
            if 0 <= column < inputs and ends[column // PIECE_ROWS] < total:
                piece = column // PIECE_ROWS
                samples.entries[ends[piece]] = SparseEntry(
                    <int>(column - piece * PIECE_ROWS), <int>i, scale * samples.values[k]
                )
                ends[piece] += 1


cdef void sparse_products(
    const Block *block, LayerBuffers buffers, Py_ssize_t piece, Py_ssize_t column,
    Py_ssize_t columns, real *out,
) noexcept nogil:
    """Compute out = inputs.T @ delta for a piece of weights, `columns` columns from `column` on.

    The row stride of `out` is PIECE_COLUMNS values.
    """
    cdef const SparseEntry *entry
    cdef const real *row
    cdef real *sums
    cdef Py_ssize_t j, n, start = block.samples.entry_ends[piece - 1] if piece > 0 else 0
    memset(out, 0, <size_t>(PIECE_ROWS * PIECE_COLUMNS) * sizeof(real))
    for n in range(start, block.samples.entry_ends[piece]):
        entry = &block.samples.entries[n]
        row = &buffers.delta[entry.row * buffers.row + column]
        sums = out + entry.column * PIECE_COLUMNS
        for j in range(columns):
            sums[j] = real_multiply_add(entry.value, row[j], sums[j])
