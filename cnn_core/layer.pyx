"""Layers: what the engine asks of each, the memory of a batch, and the chain that a network is.

Samples go through in blocks, by any thread in any order: a block reads all parameters and writes the
rows of its own samples. Parameters are updated in pieces, by any thread in any order: a piece reads
all rows and writes parameters of its own. So nothing is locked, and no sum depends on who computed it.

A batch that is larger than the workspace goes through in slices; their gradients add up, and the last
one takes the step. With normalization over the batch there is room for all of it.
"""

cimport cython

import numpy as np

from .dense cimport DEPTH_BLOCK, ROW_VECTORS, TILE_VECTORS, ProductBuffers
from .matrix cimport LINE, Range
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

cdef object REALS = np.dtype(np.float32 if sizeof(real) == 4 else np.float64)


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

    cdef real[::1] carve_reals(self, Py_ssize_t count):
        """So many values, from a cache line on, whatever is in them; at least one, which has an address."""
        cdef real[::1] values = np.empty(max(count, 1) + LINE, REALS)
        cdef size_t before = CACHE_LINE - <size_t>&values[0] % CACHE_LINE
        cdef Py_ssize_t start = before // sizeof(real)
        return values[start : start + max(count, 1)]

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
        buffers.zeros[:] = 0
        buffers.lists = self.carve_reals(sizeof(Terms) // sizeof(real))
        buffers.terms = <Terms *>&buffers.lists[0]
        return buffers

    cdef int carve_results(self, Py_ssize_t pieces) except -1:
        """A loss, a hit and a label for each sample, and the squared gradient of each piece."""
        self.losses, self.squares = np.empty(self.rows), np.empty(pieces + 1)
        self.labels = np.empty(self.rows, np.intp)
        self.hits = np.empty(self.rows, np.uint8)
        return 0


cdef Py_ssize_t padded_stride(Py_ssize_t columns) noexcept nogil:
    """Distance between rows: at an even number of cache lines a column would share a few sets."""
    if columns * sizeof(real) % (2 * CACHE_LINE) == 0:
        return columns + CACHE_LINE // <Py_ssize_t>sizeof(real)
    return columns


cdef Py_ssize_t[::1] addresses_of(list objects):
    """Where objects stand, for the loops, which borrow them without the GIL."""
    return np.array([<Py_ssize_t><void *>each for each in objects], np.intp)


cdef class Net:
    """A network as the loops see it: its layers, and the arrays that they share."""

    cdef int chain(self, list layers) except -1:
        """Take the layers, and number their pieces."""
        cdef Layer layer
        cdef Py_ssize_t number, largest = 0, largest_image = 0
        self.arrays = Arrays.__new__(Arrays)
        self.size = len(layers)
        self.layers = layers
        self.addresses = addresses_of(layers)
        self.layer_at = <void **>&self.addresses[0]
        for number, layer in enumerate(layers):
            layer.arrays = self.arrays
            layer.is_first = number == 0
            layer.first_piece = self.pieces
            self.pieces += layer.pieces
            self.waits = self.waits or layer.barrier_tasks > 0
            self.work += layer.work
            self.scratch = max(self.scratch, layer.scratch)
            self.tiles = max(self.tiles, layer.tiles)
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
                thread.tiles = workspace.carve_reals(self.tiles)
            workspace.threads.append(thread)
        if training:
            workspace.targets, workspace.target_row = workspace.carve_rows(below.row), below.row
            workspace.carve_results(self.pieces)
        workspace.addresses = addresses_of(workspace.layers + workspace.threads)
        workspace.layer_at = <void **>&workspace.addresses[0]
        workspace.thread_at = workspace.layer_at + self.size
        return workspace
