"""Samples: the caller's arrays, checked once for a call, and copied from there batch by batch.

The loops read the arrays without the GIL. Samples are copied into the workspace as reals and scaled.
"""

cimport cython
from libc.string cimport memcpy, memset

import numpy as np

from cnn_core.class_targets import ClassTargets
from cnn_core.sparse import SparseRows

from .augmentation cimport change
from .dense_layer cimport DenseLayer
from .layer cimport (
    PIECE_ROWS, SLICE_ROWS, Block, Layer, Net, Samples, SparseEntry, ThreadBuffers, Workspace,
    number_of,
)
from .losses cimport CROSS_ENTROPY
from .scalar cimport real
from .vector cimport VECTOR_LENGTH, load_some, load_vector, prefetch_line, store_some, store_vector
from .zero_skipping cimport TILE_ROWS

cdef enum:
    CACHE_LINE = 64
    # Zeros are looked for if a group of neighbours is all zeros one time in this many.
    SPARSE = 8
    SAMPLES_LOOKED_AT = 32

cdef object REALS = np.dtype(np.float32 if sizeof(real) == 4 else np.float64)
cdef object BYTES = np.dtype(np.uint8)


@cython.final
cdef class Data:
    """The caller's samples, which stay in place while it lives."""

    cdef int bind_training(
        self, targets, const Py_ssize_t[::1] order, const real[::1] weights, Net net
    ) except -1:
        """Bind targets and weights, whose shapes fit the samples, and check and bind the order."""
        if isinstance(targets, ClassTargets):
            bind_labels(self, targets, net)
        else:
            self.targets = targets
            if self.rows > 0:
                self.samples.targets = &self.targets[0, 0]
        self.weights = weights
        if weights is not None and self.rows > 0:
            self.samples.weights = &weights[0]
        if order is not None:
            self.order = checked("order: expected indices", order, self.rows)
            self.rows = self.samples.count = self.order.shape[0]
            if self.rows > 0:
                self.samples.order = &self.order[0]
        if self.samples.are_read_sparse:
            reserve_entries(self, net)
        return 0


cdef Data data_of(x, Net net):
    """Return checked samples: reals, bytes or sparse rows."""
    cdef Data data = Data.__new__(Data)
    memset(&data.samples, 0, sizeof(Samples))
    if isinstance(x, SparseRows):
        bind_sparse(data, x, net)
    else:
        bind_dense(data, x, net)
    if net.article and data.rows != net.article_samples:
        raise ValueError(
            f"x: expected the {net.article_samples} samples of the biases, found {data.rows}"
        )
    if net.sample_check is not None and not is_read_by(data, <Layer>net.layers[0]):
        net.sample_check.check_samples(x)
    data.samples.count = data.rows
    return data


cdef int reserve_entries(Data data, Net net) except -1:
    """Have room for the values of a slice of sparse rows, as many as any has in this order."""
    cdef size_t pieces = ((net.inputs + PIECE_ROWS - 1) // PIECE_ROWS) * sizeof(Py_ssize_t)
    # And one byte, since an array of no values has no address.
    data.entries = np.empty(
        pieces + most_values(data, SLICE_ROWS) * sizeof(SparseEntry) + 1, np.uint8
    )
    data.samples.entry_ends = <Py_ssize_t *>&data.entries[0]
    data.samples.entries = <SparseEntry *>(&data.entries[0] + pieces)
    return 0


cdef bint is_read_by(Data data, Layer layer):
    """Whether a layer that reads codes is sure of the samples."""
    cdef bint found = False
    if data.reals is not None:
        with nogil:
            found = layer.can_read(data.reals)
    return found


cdef int bind_sparse(Data data, x, Net net) except -1:
    # The caller's values and columns, and a copy of where the rows begin.
    cdef const Py_ssize_t[::1] given = x.indptr
    cdef Py_ssize_t i, k
    data.values, data.columns = x.data, x.indices
    if given is None or data.values is None or data.columns is None:
        raise TypeError("x: expected arrays of values, columns and row positions, found None")
    data.row_starts = np.array(given)
    data.rows = data.row_starts.shape[0] - 1
    if x.n_features != net.inputs:
        raise ValueError(f"x: expected {net.inputs} features, found {x.n_features}")
    if (
        data.rows < 0 or data.row_starts[0] < 0
        or data.row_starts[data.rows] > data.values.shape[0]
        or data.columns.shape[0] != data.values.shape[0]
    ):
        raise ValueError(
            f"x: expected the positions of {data.values.shape[0]} values and as many columns"
        )
    for i in range(data.rows):
        if data.row_starts[i] > data.row_starts[i + 1]:
            raise ValueError(f"x: expected row positions that rise, found a fall at row {i}")
    for i in range(data.rows):
        for k in range(data.row_starts[i], data.row_starts[i + 1]):
            if not 0 <= data.columns[k] < net.inputs or (
                k > data.row_starts[i] and data.columns[k] <= data.columns[k - 1]
            ):
                raise ValueError(
                    f"x: expected columns from 0 to {net.inputs - 1} that rise within a row, "
                    f"found {data.columns[k]} in row {i}"
                )
    data.samples.row_starts = &data.row_starts[0]
    if data.values.shape[0] > 0:
        data.samples.values = &data.values[0]
        data.samples.columns = &data.columns[0]
    data.samples.are_sparse = True
    data.samples.are_read_sparse = type(net.layers[0]) is DenseLayer and not net.changes.any
    return 0


cdef Py_ssize_t most_values(Data data, Py_ssize_t rows):
    """The most values that `rows` samples in a row of the order have."""
    cdef Py_ssize_t i, sample, values = 0, most = 0
    for i in range(data.rows):
        sample = number_of(&data.samples, i)
        values += data.row_starts[sample + 1] - data.row_starts[sample]
        if i >= rows:
            sample = number_of(&data.samples, i - rows)
            values -= data.row_starts[sample + 1] - data.row_starts[sample]
        most = max(most, values)
    return most


cdef int bind_dense(Data data, x, Net net) except -1:
    cdef Py_ssize_t columns
    cdef object dtype = getattr(x, "dtype", None)
    cdef bint are_bytes = dtype is BYTES or dtype == BYTES
    if dtype is None:
        raise TypeError(f"x: expected a NumPy array, found {type(x).__name__}")
    if not are_bytes and dtype is not REALS and dtype != REALS:
        raise ValueError(f"x: expected the dtype {REALS} or uint8, found {dtype}")
    try:
        if are_bytes:
            data.bytes = x
            data.rows, columns = data.bytes.shape[0], data.bytes.shape[1]
        else:
            data.reals = x
            data.rows, columns = data.reals.shape[0], data.reals.shape[1]
    except TypeError:
        raise TypeError(f"x: expected a NumPy array, found {type(x).__name__}") from None
    except ValueError:
        raise ValueError(
            f"x: expected a C-contiguous array (n, {net.inputs}), found {x.shape}, strides {x.strides}"
        ) from None
    if columns != net.inputs:
        raise ValueError(f"x: expected (n, {net.inputs}), found {(data.rows, columns)}")
    if data.rows == 0:
        return 0
    if are_bytes:
        data.samples.bytes = &data.bytes[0, 0]
    else:
        data.samples.reals = &data.reals[0, 0]
    data.samples.count = data.rows
    data.samples.are_sparse = are_sparse(&data.samples, net.inputs)
    return 0


cdef int bind_labels(Data data, targets, Net net) except -1:
    # Not at once as reals: Cython takes these for single precision.
    cdef double own_target, other_target
    data.labels = checked("labels: expected labels", targets.labels, net.outputs)
    if data.rows > 0:
        data.samples.labels = &data.labels[0]
    own_target, other_target = targets.values(REALS)
    data.samples.own_target, data.samples.other_target = <real>own_target, <real>other_target
    data.samples.are_labels_read = (
        net.loss.name == CROSS_ENTROPY and own_target == 1 and other_target == 0
    )
    return 0


cdef const Py_ssize_t[::1] checked(str what, const Py_ssize_t[::1] given, Py_ssize_t end):
    """A copy of numbers from 0 to below the end, which nobody can change after this check."""
    cdef const Py_ssize_t[::1] own
    cdef Py_ssize_t i
    if given is None:
        raise TypeError(f"{what}, found None")
    own = np.array(given)
    for i in range(own.shape[0]):
        if own[i] < 0 or own[i] >= end:
            raise ValueError(f"{what} from 0 to {end - 1}, found {own[i]}")
    return own


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
    """Copy the inputs of some samples into the workspace, unless they are read as they stand.

    Images are changed there as the step says.
    """
    cdef Py_ssize_t i, inputs = (<Net>block.net).inputs
    cdef real *image
    cdef real *old
    if block.samples.are_read_sparse:
        return
    gather(block)
    if not (<Net>block.net).changes.any:
        return
    old = &(<ThreadBuffers>block.thread).image[0]
    for i in range(block.rows):
        image = &(<Workspace>block.workspace).x[
            (block.top + i) * (<Workspace>block.workspace).input_row
        ]
        memcpy(old, image, <size_t>inputs * sizeof(real))
        change(
            &(<Net>block.net).changes, block.key, block.first_in_batch + i, block.number, old, image
        )


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
    """Copy the targets of some samples: labels, rows, or rows written out from labels."""
    cdef const Samples *samples = block.samples
    cdef Py_ssize_t i, j, at, source, outputs = (<Net>block.net).outputs
    for i in range(block.top, block.top + block.rows):
        at = i * (<Workspace>block.workspace).target_row
        source = number_of(samples, block.first + i)
        if samples.are_labels_read:
            (<Workspace>block.workspace).labels[i] = samples.labels[source]
        elif samples.labels != NULL:
            for j in range(outputs):
                out[at + j] = samples.other_target
            out[at + samples.labels[source]] = samples.own_target
        else:
            memcpy(
                &out[at], samples.targets + source * outputs, <size_t>outputs * sizeof(real)
            )
