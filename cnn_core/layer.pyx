"""Layers: what the engine asks of each, the memory of a batch, and the chain that a network is.

Samples go through in blocks, by any thread in any order: a block reads all parameters and writes the
rows of its own samples. Parameters are updated in pieces, by any thread in any order: a piece reads
all rows and writes parameters of its own. So nothing is locked, and no sum depends on who computed it.

A batch that is larger than the workspace goes through in slices; their gradients add up, and the last
one takes the step. With normalization over the batch there is room for all of it.
"""

cimport cython
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc

from .dense cimport DEPTH_BLOCK, ROW_VECTORS, TILE_VECTORS, ProductBuffers
from .matrix cimport Range
from .scalar cimport real
from .vector cimport VECTOR_LENGTH
from .zero_skipping cimport TILE_ROWS, Terms

cdef enum:
    CACHE_LINE = 64
    # Bytes of weights that may take their part of the L2 cache.
    L2_SHARE = 524288
    # The same of the last cache. Weights beyond it come from memory, for that many samples at a time.
    L3_SHARE = 16777216
    FAR_SLICE_ROWS = 512


cdef class Layer:
    """A layer without parameters that changes nothing: the base of all kinds."""

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        """Set outputs, row and, for training, delta; inputs and input_delta are those of the layer below."""
        buffers.outputs, buffers.row = buffers.inputs, buffers.input_row
        buffers.delta = buffers.input_delta
        return 0

    cdef bint can_read(self, const real[:, ::1] x) noexcept nogil:
        """Whether the first layer is sure that it can read these samples; else its description looks."""
        return False

    cdef void prepare(self, LayerBuffers buffers) noexcept nogil:
        """Work out what is kept of the parameters, which anyone may have changed between two calls."""

    cdef void forward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """Make outputs of inputs in a step of training, for the samples of a block."""
        self.predict(buffers, block)

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """The same in a prediction."""

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """Make input_delta of delta."""

    cdef void forward_before(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """Take the place of `forward` where there are barrier tasks: what a block can do before them."""

    cdef void forward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil:
        """A barrier task: some columns of all samples."""

    cdef void forward_after(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """What is left for a block to do after them."""

    cdef void backward_before(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """Take the place of `backward` likewise."""

    cdef void backward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil:
        """A barrier task on the way back."""

    cdef void backward_after(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """What is left for a block to do after them."""

    cdef void end_forward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """All samples of a step have gone forward, and their loss is finite."""

    cdef void begin_update(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """All samples of a slice have gone back: work out what all pieces need of their deltas."""

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        """Where the parameters of a piece stand."""
        return Range(0, 0, 0, 0, 0, 0, False)

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        """Find the gradient of a piece over all samples of the slice, and take its step if asked for."""

    cdef void after_step(self, LayerBuffers buffers, Py_ssize_t piece) noexcept nogil:
        """Work out anew what `prepare` did, for a piece whose step was taken elsewhere."""


@cython.final
cdef class Arrays:
    """A network's flat arrays."""


@cython.final
cdef class ThreadBuffers:
    """What a thread needs for a task."""


@cython.final
cdef class LayerBuffers:
    """What a layer reads and writes."""


@cython.final
cdef class Workspace:
    """Memory for what up to `rows` samples leave behind in a network."""

    def __cinit__(self, Py_ssize_t rows):
        # An array of no rows has no view.
        self.rows = max(rows, 1)

    def __dealloc__(self):
        PyMem_RawFree(self.layer_at)
        PyMem_RawFree(self.memory)

    cdef int allocate(self) except -1:
        """Allocate what has been carved so far, and begin to carve anew."""
        self.memory = PyMem_RawMalloc(self.size + CACHE_LINE)
        if self.memory == NULL:
            raise MemoryError(
                f"no memory for {self.rows} samples in this network: {self.size} bytes"
            )
        self.size = 0
        return 0

    cdef int borrow(self) except -1:
        """Let the loops find the buffers without the GIL."""
        cdef Py_ssize_t number
        self.layer_at = <void **>PyMem_RawCalloc(
            len(self.layers) + len(self.threads), sizeof(void *)
        )
        if self.layer_at == NULL:
            raise MemoryError(f"no memory for {len(self.layers)} layers")
        self.thread_at = self.layer_at + len(self.layers)
        for number, buffers in enumerate(self.layers + self.threads):
            self.layer_at[number] = <void *>buffers
        return 0

    cdef void *carve(self, size_t size) except? NULL:
        """The next bytes, from a cache line on; NULL while the size is being found."""
        cdef size_t start = (<size_t>self.memory + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
        start += self.size
        self.size += (size + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
        return NULL if self.memory == NULL else <void *>start

    cdef real[::1] carve_reals(self, Py_ssize_t count):
        # An array of no values has no view.
        count = max(count, 1)
        cdef void *start = self.carve(count * sizeof(real))
        if start == NULL:
            return None
        return <real[:count]><real *>start

    cdef real[::1] carve_rows(self, Py_ssize_t row):
        """A row for each sample."""
        return self.carve_reals(self.rows * row)

    cdef int carve_outputs(self, LayerBuffers buffers, Py_ssize_t columns, bint training) except -1:
        """Outputs of a layer's own, `columns` for each sample, and what the loss changes with them."""
        buffers.row = padded_stride(columns)
        buffers.outputs = self.carve_rows(buffers.row)
        if training:
            buffers.delta = self.carve_rows(buffers.row)
        return 0

    cdef ProductBuffers carve_product(self):
        """What a thread needs for its products."""
        cdef ProductBuffers buffers = ProductBuffers.__new__(ProductBuffers)
        buffers.panel = self.carve_reals(DEPTH_BLOCK * TILE_VECTORS * VECTOR_LENGTH)
        buffers.zeros = self.carve_reals(ROW_VECTORS * VECTOR_LENGTH)
        if self.memory != NULL:
            buffers.zeros[:] = 0
        buffers.terms = <Terms *>self.carve(sizeof(Terms))
        return buffers

    cdef int carve_results(self, Py_ssize_t pieces) except -1:
        """A loss, a hit and a label for each sample, and the squared gradient of each piece."""
        cdef void *losses = self.carve(self.rows * sizeof(double))
        cdef void *hits = self.carve(self.rows)
        cdef void *labels = self.carve(self.rows * sizeof(Py_ssize_t))
        cdef void *squares = self.carve(max(pieces, 1) * sizeof(double))
        if self.memory != NULL:
            self.losses = <double[:self.rows]><double *>losses
            self.labels = <Py_ssize_t[:self.rows]><Py_ssize_t *>labels
            self.hits = <unsigned char[:self.rows]><unsigned char *>hits
            self.squares = <double[:max(pieces, 1)]><double *>squares
        return 0


cdef Py_ssize_t padded_stride(Py_ssize_t columns) noexcept nogil:
    """Distance between rows: at an even number of cache lines a column would share a few sets."""
    if columns * sizeof(real) % (2 * CACHE_LINE) == 0:
        return columns + CACHE_LINE // <Py_ssize_t>sizeof(real)
    return columns


cdef class Net:
    """A network as the loops see it: its layers, and the arrays that they share."""

    def __dealloc__(self):
        PyMem_RawFree(self.layer_at)

    cdef int chain(self, list layers) except -1:
        """Take the layers, and number their pieces."""
        cdef Layer layer
        cdef Py_ssize_t number, largest = 0, largest_image = 0
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
            self.work += layer.work
            self.scratch = max(self.scratch, layer.scratch)
            if layer.scratch > 0:
                largest_image = max(largest_image, layer.fan_in + layer.fan_out)
            largest = max(largest, layer.weights_size)
        # While the weights of a layer stay in the L2 cache a block is small, so that its activations
        # stay near; weights that do not are fetched anew for every block.
        self.block_size = 48 if largest * <Py_ssize_t>sizeof(real) <= L2_SHARE else 256
        self.slice_rows = SLICE_ROWS
        if largest * <Py_ssize_t>sizeof(real) > L3_SHARE:
            self.slice_rows = self.block_size = FAR_SLICE_ROWS
        if largest_image > 0:
            # Of images as many as stay there.
            self.block_size = max(
                min(L2_SHARE // (largest_image * <Py_ssize_t>sizeof(real)), <Py_ssize_t>48),
                <Py_ssize_t>TILE_ROWS,
            )
        return 0

    cdef Py_ssize_t blocks_of(self, Py_ssize_t rows, int threads) noexcept nogil:
        """Blocks that `rows` samples are dealt out in: a multiple of the threads, if there are enough."""
        cdef Py_ssize_t each = (rows + threads * self.block_size - 1) // (threads * self.block_size)
        return min(threads * each, (rows + TILE_ROWS - 1) // TILE_ROWS)

    cdef void prepare(self, Workspace workspace) noexcept nogil:
        """Let each layer look at its parameters, before anything is done with them."""
        cdef Py_ssize_t l
        for l in range(self.size):
            (<Layer>self.layer_at[l]).prepare(<LayerBuffers>workspace.layer_at[l])

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
            thread.product = workspace.carve_product()
            thread.gradient = workspace.carve_reals(PIECE_ROWS * PIECE_COLUMNS)
            if training:
                thread.inputs = workspace.carve_reals(PIECE_ROWS * SLICE_ROWS)
                thread.gram = workspace.carve_reals(GROUP_ROWS * GROUP_ROWS)
            if self.scratch > 0:
                thread.image = workspace.carve_reals(self.scratch)
                thread.near = workspace.carve_reals(self.scratch)
            workspace.threads.append(thread)
        if training:
            workspace.targets, workspace.target_row = workspace.carve_rows(below.row), below.row
            workspace.carve_results(self.pieces)
        return 0
