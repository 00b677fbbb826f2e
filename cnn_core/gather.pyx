"""Gather samples: copy them from the caller's array into the workspace, as reals and scaled."""

from libc.string cimport memcpy, memset

from .net cimport Net
from .scalar cimport real
from .workspace cimport Block, Samples, Workspace

cdef extern from "vector.h" nogil:
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
    CACHE_LINE = 64
    # Zeros are looked for if a group of neighbours is all zeros one time in this many.
    SPARSE = 8
    SAMPLES_LOOKED_AT = 32


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


cdef double total_of(const Block *block) noexcept nogil:
    """What the samples of the batch that begins with this part count together."""
    cdef const real *weights = block.samples.weights
    cdef double total = 0
    cdef Py_ssize_t i
    if weights == NULL:
        return <double>block.batch_rows
    for i in range(block.first + block.top, block.first + block.top + block.batch_rows):
        total += weights[number_of(block.samples, i)]
    return total


cdef void gather_block(const Block *block) noexcept nogil:
    """Copy the inputs and the targets of some samples into the workspace."""
    if not block.samples.are_read_sparse:
        gather(block)
    gather_targets(block, (<Workspace>block.workspace).targets)


cdef void gather(const Block *block) noexcept nogil:
    """Copy samples into the workspace, as reals and scaled.

    They come from memory in any order: meanwhile the core asks for what it copies two samples later.
    """
    cdef const Samples *samples = block.samples
    cdef Py_ssize_t i, start, later, inputs = (<Net>block.net).inputs
    cdef Py_ssize_t row = (<Workspace>block.workspace).input_row
    cdef real *out = &(<Workspace>block.workspace).x[0]
    cdef real scale = <real>(<Net>block.net).input_scale
    for i in range(block.top, block.top + block.rows):
        start = number_of(samples, block.first + i) * inputs
        later = number_of(samples, min(block.first + i + 2, samples.count - 1)) * inputs
        if samples.row_starts != NULL:
            scatter(samples, number_of(samples, block.first + i), inputs, scale, out + i * row)
        elif samples.bytes != NULL:
            convert(samples.bytes + start, samples.bytes + later, inputs, scale, out + i * row)
        else:
            rescale(samples.reals + start, samples.reals + later, inputs, scale, out + i * row)


cdef void ask_for_quarter(
    const Samples *samples, Py_ssize_t inputs, Py_ssize_t i, int quarter
) noexcept nogil:
    """Have a quarter of sample number `i` of the order brought near, if there is such a sample."""
    cdef Py_ssize_t first = inputs * quarter // 4, size = inputs * (quarter + 1) // 4 - first
    if i >= samples.count or samples.row_starts != NULL:
        return
    first += number_of(samples, i) * inputs
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


cdef inline void scatter(
    const Samples *samples, Py_ssize_t sample, Py_ssize_t size, real scale, real *out
) noexcept nogil:
    """out = scale * a sparse row, with its zeros."""
    cdef Py_ssize_t k
    cdef int column
    memset(out, 0, <size_t>size * sizeof(real))
    for k in range(samples.row_starts[sample], samples.row_starts[sample + 1]):
        # Looked at again, since the caller's array may have been changed meanwhile.
        column = samples.columns[k]
        if 0 <= column < size:
            out[column] = scale * samples.values[k]


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


cdef void gather_targets(const Block *block, real[::1] out) noexcept nogil:
    """Copy the rows of targets of some samples, or write them out from the labels."""
    cdef const Samples *samples = block.samples
    cdef Py_ssize_t i, j, at, source, outputs = (<Net>block.net).outputs
    for i in range(block.top, block.top + block.rows):
        at = i * (<Workspace>block.workspace).target_row
        source = number_of(samples, block.first + i)
        if samples.labels != NULL:
            for j in range(outputs):
                out[at + j] = samples.other_target
            out[at + samples.labels[source]] = samples.own_target
        else:
            memcpy(
                &out[at], samples.targets + source * outputs, <size_t>outputs * sizeof(real)
            )
