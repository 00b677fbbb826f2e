"""The memory that a batch takes in a network, and how batches and layers are cut into pieces.

A batch that is larger than the workspace goes through in slices; their gradients add up, and the last
one takes the step. With normalization over the batch there is room for all of it.
"""

cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport uint32_t

from .matrix cimport Shape
from .randomness cimport Counter
from .scalar cimport real

cdef extern from "vector.h" nogil:
    enum:
        TILE_ROWS

cdef enum:
    ALIGNMENT = 64
    CACHE_LINE = 64
    # Arrays of `LayerBuffers`, two of which are smaller than their layer.
    MOST_ARRAYS = 8
    # Bytes of weights that may take their part of the L2 cache.
    L2_SHARE = 524288
    # Columns that are normalized over the batch at a time.
    NORMALIZED_COLUMNS = 64


@cython.final
cdef class Workspace:
    """Memory for what up to `rows` samples leave behind in a network."""

    @staticmethod
    cdef Workspace make(const Net *net, Py_ssize_t rows, int threads, bint training):
        cdef Workspace workspace = Workspace.__new__(Workspace)
        cdef Py_ssize_t l, input_row = padded_stride(net.inputs)
        cdef const Layer *layer
        cdef const Layer *last = &net.layers[net.size - 1]
        cdef size_t size = rows * (input_row + last.row) * sizeof(real)
        size += net.size * sizeof(LayerBuffers) + rows * (sizeof(double) + 1) + net.pieces * sizeof(double)
        size += threads * sizeof(ThreadBuffers)
        size += (7 + MOST_ARRAYS * net.size) * ALIGNMENT
        for l in range(net.size):
            layer = &net.layers[l]
            size += ((MOST_ARRAYS - 2) * rows * layer.row + rows + 3 * layer.fan_out) * sizeof(real)
        workspace.memory = PyMem_RawMalloc(size)
        if workspace.memory == NULL:
            raise MemoryError(f"no memory for {rows} samples in this network: {size} bytes")
        workspace.free = <char *>workspace.memory
        workspace.rows = rows
        workspace.buffers.input_row = input_row
        workspace.buffers.threads = <ThreadBuffers *>workspace.carve(threads * sizeof(ThreadBuffers))
        workspace.buffers.layers = <LayerBuffers *>workspace.carve(net.size * sizeof(LayerBuffers))
        workspace.buffers.x = <real *>workspace.carve(rows * input_row * sizeof(real))
        for l in range(net.size):
            workspace.lay_out(&workspace.buffers.layers[l], &net.layers[l], training, l == net.size - 1)
        if training:
            workspace.buffers.targets = workspace.carve_rows(last)
            workspace.buffers.losses = <double *>workspace.carve(rows * sizeof(double))
            workspace.buffers.hits = <unsigned char *>workspace.carve(rows)
            workspace.buffers.squares = <double *>workspace.carve(net.pieces * sizeof(double))
        return workspace

    cdef void lay_out(
        self, LayerBuffers *buffers, const Layer *layer, bint training, bint last
    ) noexcept:
        """Give a layer its arrays: as few as hold what has to stay until it is used again."""
        cdef bint normalizes = layer.normalization != NONE
        buffers.activation = buffers.output = buffers.z = self.carve_rows(layer)
        if training and (last or layer.activation.needs_z):
            buffers.z = self.carve_rows(layer)
        buffers.normal = self.carve_rows(layer) if training and normalizes else buffers.z
        if training and layer.dropout > 0:
            buffers.output = self.carve_rows(layer)
        if training:
            buffers.delta = buffers.error = self.carve_rows(layer)
        if training and normalizes:
            buffers.error = self.carve_rows(layer)
        if normalizes:
            buffers.spread = <real *>self.carve((self.rows + layer.fan_out) * sizeof(real))
            buffers.statistics = <real *>self.carve(2 * layer.fan_out * sizeof(real))

    cdef real *carve_rows(self, const Layer *layer) noexcept:
        return <real *>self.carve(self.rows * layer.row * sizeof(real))

    cdef void *carve(self, size_t size) noexcept:
        cdef size_t start = (<size_t>self.free + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        self.free = <char *>(start + size)
        return <void *>start

    def __dealloc__(self):
        PyMem_RawFree(self.memory)


cdef Py_ssize_t block_rows_for(Py_ssize_t most_weights) noexcept nogil:
    """Samples of a block, by the weights of the largest layer.

    While those stay in the L2 cache a block is small, so that its activations stay near; weights that
    do not are fetched anew for every block.
    """
    return 48 if most_weights * <Py_ssize_t>sizeof(real) <= L2_SHARE else 256


cdef Py_ssize_t blocks_of(const Net *net, Py_ssize_t rows, int threads) noexcept nogil:
    """Pieces that `rows` samples are dealt out in: a multiple of the threads, if there are enough."""
    cdef Py_ssize_t each = (rows + threads * net.block_size - 1) // (threads * net.block_size)
    return min(threads * each, (rows + TILE_ROWS - 1) // TILE_ROWS)


cdef Py_ssize_t pieces_of(Py_ssize_t fan_in) noexcept nogil:
    """Pieces that a layer is improved in: its weights, and its bias and gain."""
    return (fan_in + PIECE_ROWS - 1) // PIECE_ROWS + 1


cdef Py_ssize_t column_blocks(const Layer *layer) noexcept nogil:
    """Pieces that a layer is normalized over the batch in."""
    return (layer.fan_out + NORMALIZED_COLUMNS - 1) // NORMALIZED_COLUMNS


cdef Py_ssize_t next_to_wait(const Net *net, Py_ssize_t l) noexcept nogil:
    """The first layer above `l` that is normalized over the batch; the number of layers if none."""
    l += 1
    while l < net.size and net.layers[l].normalization != BATCH:
        l += 1
    return l


cdef Py_ssize_t last_to_wait(const Net *net, Py_ssize_t l) noexcept nogil:
    """The first layer below `l` that is normalized over the batch; -1 if none."""
    l -= 1
    while l >= 0 and net.layers[l].normalization != BATCH:
        l -= 1
    return l


cdef Py_ssize_t padded_stride(Py_ssize_t columns) noexcept nogil:
    """Distance between rows: at an even number of cache lines a column would share a few sets."""
    if columns * sizeof(real) % (2 * CACHE_LINE) == 0:
        return columns + CACHE_LINE // <Py_ssize_t>sizeof(real)
    return columns


cdef Counter counter_of(const BatchSlice *batch, Py_ssize_t layer, Py_ssize_t top) noexcept nogil:
    """Where the random numbers of a dropout begin."""
    return Counter(
        <uint32_t>(batch.first_in_batch + top - batch.top), <uint32_t>layer, <uint32_t>batch.number
    )


cdef Shape columns_of_block(
    const BatchSlice *batch, Py_ssize_t block, Py_ssize_t *first
) noexcept nogil:
    """All the samples of the workspace, some columns of the layer that waits."""
    cdef const Layer *layer = &batch.net.layers[batch.layer]
    first[0] = block * NORMALIZED_COLUMNS
    return Shape(
        batch.rows, min(layer.fan_out - first[0], <Py_ssize_t>NORMALIZED_COLUMNS), layer.row
    )


cdef void split_rows(
    Py_ssize_t rows, Py_ssize_t blocks, Py_ssize_t block, Py_ssize_t *top, Py_ssize_t *end
) noexcept nogil:
    """The rows of a block: pairs, as evenly as it goes, since nobody goes on before all have come."""
    cdef Py_ssize_t pairs = (rows + 1) // 2
    top[0] = pairs * block // blocks * 2
    end[0] = min(rows, pairs * (block + 1) // blocks * 2)
