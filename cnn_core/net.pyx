"""A network as the loops see it: a chain of layers, walked without knowing their kinds."""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree

from .dense cimport ProductBuffers
from .layer cimport Layer
from .scalar cimport real
from .workspace cimport (
    PIECE_COLUMNS,
    PIECE_ROWS,
    SLICE_ROWS,
    Arrays,
    LayerBuffers,
    ThreadBuffers,
    Workspace,
    padded_stride,
)

cdef extern from "vector.h" nogil:
    enum:
        TILE_ROWS

cdef enum:
    # Bytes of weights that may take their part of the L2 cache.
    L2_SHARE = 524288


cdef class Net:
    """A network as the loops see it: its layers, and the arrays that they share."""

    def __dealloc__(self):
        PyMem_RawFree(self.layer_at)

    cdef int chain(self, list layers) except -1:
        """Take the layers, and number their pieces."""
        cdef Layer layer
        cdef Py_ssize_t number, largest = 0
        self.arrays = Arrays.__new__(Arrays)
        self.size = len(layers)
        self.layers = layers
        self.layer_at = <void **>PyMem_RawCalloc(self.size, sizeof(void *))
        if self.layer_at == NULL:
            raise MemoryError(f"no memory for {self.size} layers")
        for number, layer in enumerate(layers):
            self.layer_at[number] = <void *>layer
            layer.arrays = self.arrays
            layer.is_first = number == 0
            layer.first_piece = self.pieces
            self.pieces += layer.pieces
            self.waits = self.waits or layer.barrier_tasks > 0
            largest = max(largest, layer.weights_size)
        # While the weights of a layer stay in the L2 cache a block is small, so that its activations
        # stay near; weights that do not are fetched anew for every block.
        self.block_size = 48 if largest * <Py_ssize_t>sizeof(real) <= L2_SHARE else 256
        return 0

    cdef Py_ssize_t blocks_of(self, Py_ssize_t rows, int threads) noexcept nogil:
        """Blocks that `rows` samples are dealt out in: a multiple of the threads, if there are enough."""
        cdef Py_ssize_t each = (rows + threads * self.block_size - 1) // (threads * self.block_size)
        return min(threads * each, (rows + TILE_ROWS - 1) // TILE_ROWS)

    cdef Py_ssize_t next_barrier(self, Py_ssize_t l) noexcept nogil:
        """The first layer above `l` where all samples wait; the number of layers if none."""
        l += 1
        while l < self.size and (<Layer>self.layer_at[l]).barrier_tasks == 0:
            l += 1
        return l

    cdef Py_ssize_t barrier_below(self, Py_ssize_t l) noexcept nogil:
        """The first layer below `l` where all samples wait; -1 if none."""
        l -= 1
        while l >= 0 and (<Layer>self.layer_at[l]).barrier_tasks == 0:
            l -= 1
        return l

    cdef Workspace workspace(self, Py_ssize_t rows, Py_ssize_t threads, bint training):
        """Memory for what up to `rows` samples leave behind."""
        cdef Workspace workspace = Workspace(rows)
        # The first time only the size is found.
        self.lay_out(workspace, threads, training)
        workspace.allocate()
        self.lay_out(workspace, threads, training)
        workspace.borrow()
        return workspace

    cdef int lay_out(self, Workspace workspace, Py_ssize_t threads, bint training) except -1:
        cdef LayerBuffers below = LayerBuffers.__new__(LayerBuffers)
        cdef LayerBuffers buffers
        cdef ThreadBuffers thread
        cdef Layer layer
        workspace.input_row = padded_stride(self.inputs)
        workspace.x = workspace.carve_rows(workspace.input_row)
        below.outputs, below.row = workspace.x, workspace.input_row
        workspace.layers = []
        for layer in self.layers:
            buffers = LayerBuffers.__new__(LayerBuffers)
            buffers.inputs, buffers.input_row = below.outputs, below.row
            buffers.input_delta = below.delta
            layer.lay_out(workspace, buffers, training)
            workspace.layers.append(buffers)
            below = buffers
        workspace.threads = []
        for _ in range(threads):
            thread = ThreadBuffers.__new__(ThreadBuffers)
            thread.product = <ProductBuffers *>workspace.carve(sizeof(ProductBuffers))
            thread.gradient = workspace.carve_reals(PIECE_ROWS * PIECE_COLUMNS)
            if training:
                thread.inputs = workspace.carve_reals(PIECE_ROWS * SLICE_ROWS)
            workspace.threads.append(thread)
        if training:
            workspace.targets, workspace.target_row = workspace.carve_rows(below.row), below.row
            workspace.carve_results(self.pieces)
        return 0
