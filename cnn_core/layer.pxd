"""The contract of a layer, the memory that it works in, and the network that it is part of.

A kind of layer is a subclass of `Layer` in a file of its own. The engine calls its methods and knows
no kinds; what each has to do stands in layer.pyx.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from .augmentation cimport Changes
from .dense cimport ProductBuffers
from .losses cimport Loss
from .matrix cimport Range, Shape
from .optimizers cimport Step
from .scalar cimport real


cdef enum:
    # Samples that there is room for at once: their inputs and deltas stay in the L2 cache.
    SLICE_ROWS = 256
    # Rows of a piece of weights, and columns that are updated at a time: their gradient stays in L1.
    PIECE_ROWS = 48
    PIECE_COLUMNS = 128
    # Samples of a group of small steps: enough for a full tile of the product, and few enough that the
    # square of products between them costs little.
    GROUP_ROWS = 16


cdef struct SparseEntry:
    # A value of a sparse row, scaled: its column, counted within a piece, and the row in the workspace.
    int column
    int row
    real value


cdef struct Samples:
    # The caller's data, without gaps: one of `reals`, `bytes` and `values`, those other than 0, with
    # the column of each and where each row begins (then `row_starts` is not NULL); one of `targets` and `labels`, with
    # the target of a sample's own class and that of the others; weights NULL: all count 1; order
    # NULL: as they stand; how many there are in all.
    const real *reals
    const unsigned char *bytes
    const real *values
    const int *columns
    const Py_ssize_t *row_starts
    const real *targets
    const Py_ssize_t *labels
    real own_target
    real other_target
    # Whether the loss reads the labels themselves.
    bint are_labels_read
    const real *weights
    const Py_ssize_t *order
    Py_ssize_t count
    # Whether the inputs have so many zeros that it pays to look for them.
    bint are_sparse
    # Whether the first layer reads the values of sparse rows as they are, which then are not written
    # out in the workspace; and room for those of a slice, sorted by pieces of weights, with their ends.
    bint are_read_sparse
    SparseEntry *entries
    Py_ssize_t *entry_ends


cdef inline Py_ssize_t number_of(const Samples *samples, Py_ssize_t i) noexcept nogil:
    """Number among the caller's samples of number `i` in their order."""
    return i if samples.order == NULL else samples.order[i]


cdef class Arrays:
    # A network's flat arrays, laid out alike; the moments are empty where the optimizer keeps none, the
    # average where it is not kept. And the running averages of batch normalization.
    cdef real[::1] parameters
    cdef real[::1] gradient
    cdef real[::1] first_moment
    cdef real[::1] second_moment
    cdef real[::1] average
    cdef real[::1] statistics


cdef class ThreadBuffers:
    # What a thread needs for a task: its products, the gradient of a piece, the inputs of a piece's
    # rows brought together.
    cdef ProductBuffers product
    cdef real[::1] gradient
    cdef real[::1] inputs
    # The products between the samples of a group: see small_batches.pyx. An image with margins, and what
    # is made of one.
    cdef real[::1] gram
    cdef real[::1] image
    cdef real[::1] near
    # Tiles: see winograd.pyx.
    cdef real[::1] tiles


cdef class LayerBuffers:
    # What a layer reads and writes, one row a sample, flat: its inputs, which are the outputs of the
    # layer below; its outputs; and the derivatives of the loss with respect to both. Layers that
    # change a value in place have one array for both sides.
    cdef real[::1] inputs
    cdef real[::1] outputs
    cdef real[::1] delta
    cdef real[::1] input_delta
    # Values from one sample to the next.
    cdef Py_ssize_t input_row
    cdef Py_ssize_t row
    # What normalization keeps: 1 / standard deviation of each unit or sample, and what its running
    # averages move towards.
    cdef real[::1] spread
    cdef real[::1] statistics
    # What a dense layer on encoded columns keeps of its weights: their sums. Of images: sums of each
    # sample; of a convolution: the weights as the way back takes them.
    cdef real[::1] sums
    cdef real[::1] rotated
    # Of a pool that is part of a layer: which value of each window was the largest.
    cdef real[::1] winners
    # The caller's own rows, without gaps, where the first layer takes them as they stand; else empty.
    cdef const real[::1] own_inputs


cdef class Workspace:
    # Most samples of a slice.
    cdef Py_ssize_t rows
    # The samples of a slice, `input_row` values apart, and their targets, as far apart as the outputs.
    cdef real[::1] x
    cdef Py_ssize_t input_row
    cdef real[::1] targets
    cdef Py_ssize_t target_row
    cdef Py_ssize_t[::1] labels
    # A value for each sample.
    cdef double[::1] losses
    cdef unsigned char[::1] hits
    # Of each piece of parameters: the sum of its squared gradient.
    cdef double[::1] squares
    # One of each for a layer, and for a thread.
    cdef list layers
    cdef list threads
    # The same, borrowed: read by the loops without the GIL.
    cdef Py_ssize_t[::1] addresses
    cdef void **layer_at
    cdef void **thread_at

    cdef real[::1] carve_reals(self, Py_ssize_t count)
    cdef real[::1] carve_rows(self, Py_ssize_t row)
    cdef ProductBuffers carve_product(self)
    cdef int carve_outputs(self, LayerBuffers buffers, Py_ssize_t columns, bint training) except -1
    cdef int carve_results(self, Py_ssize_t pieces) except -1


cdef struct Block:
    # Some consecutive samples of a batch: as many as there is room for, or those of them that a thread
    # takes in a task: copied for each of these, so small. Borrowed: a `Net`, its `Arrays`, a `Workspace`,
    # the `ThreadBuffers` of this thread, and a `Layer` and its `LayerBuffers` for each layer.
    void *net
    void *arrays
    void *workspace
    void *thread
    void **layers
    void **buffers
    const Samples *samples
    # They lie in the workspace from row `top` on. Number in the caller's order of the sample in row 0;
    # number of the first one in its batch; how many there are; and in the whole batch.
    Py_ssize_t top
    Py_ssize_t first
    Py_ssize_t first_in_batch
    Py_ssize_t rows
    Py_ssize_t batch_rows
    # What the samples of the batch count together: as many, or the sum of their weights.
    double total
    # Number of the step, from 0, and the key of its random numbers; how many blocks the samples are
    # dealt out in.
    Py_ssize_t number
    uint64_t key
    Py_ssize_t blocks
    # The layer up to which all samples have come, -1 for none.
    Py_ssize_t layer
    # Whether the gradient already holds that of the samples before; whether this slice is the last
    # one of a step, which then is taken.
    bint adds
    bint steps
    # Whether that step is parameters - rate * gradient and no more.
    bint plain
    const Step *step
    # What a clipped gradient is multiplied by, and how far the average moves.
    real scale
    real averaging_rate


cdef struct Prediction:
    # Samples to be answered; out has no gaps. `nonfinite` becomes 1 if one of their values is infinite
    # or NaN.
    Block block
    real *out
    int64_t nonfinite


cdef inline Shape block_shape(const Block *block, Py_ssize_t columns, Py_ssize_t row) noexcept nogil:
    """Where the samples of a block stand in an array of the workspace."""
    return Shape(block.top * row, block.rows, columns, row)


cdef inline Block block_of(const Block *samples, Py_ssize_t number, int thread) noexcept nogil:
    """A block, for a thread: pairs, as evenly as it goes, since nobody goes on before all have come."""
    cdef Block block = samples[0]
    cdef Py_ssize_t pairs = (samples.rows + 1) // 2
    cdef Py_ssize_t start = pairs * number // samples.blocks * 2
    block.rows = min(samples.rows, pairs * (number + 1) // samples.blocks * 2) - start
    block.top += start
    block.first_in_batch += start
    block.thread = (<Workspace>samples.workspace).thread_at[thread]
    return block


cdef Py_ssize_t padded_stride(Py_ssize_t columns) noexcept nogil


cdef class Layer:
    # The network's: all layers have their parameters, and the gradients of these, in one of each.
    cdef Arrays arrays
    # Values of a sample that come in and that go out; the number of the layer in the network's
    # description, and whether nothing is below it.
    cdef Py_ssize_t fan_in
    cdef Py_ssize_t fan_out
    cdef Py_ssize_t number
    cdef bint is_first
    # Pieces in which its parameters are updated, 0 without any, and the number of the first of them.
    cdef Py_ssize_t pieces
    cdef Py_ssize_t first_piece
    # Tasks in which all samples are taken together, 0 if each goes through by itself.
    cdef Py_ssize_t barrier_tasks
    # Weights that each sample meets; how many multiply-adds it takes beyond one for each parameter; and
    # values that a thread needs room for, 0 but for images.
    cdef Py_ssize_t weights_size
    cdef Py_ssize_t work
    cdef Py_ssize_t scratch
    cdef Py_ssize_t tiles

    cdef bint can_read(self, const real[:, ::1] x) noexcept nogil
    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1
    cdef void prepare(self, LayerBuffers buffers) noexcept nogil
    cdef void forward(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef void forward_before(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef void forward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil
    cdef void forward_after(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef void backward_before(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef void backward_all(self, LayerBuffers buffers, const Block *block, int task) noexcept nogil
    cdef void backward_after(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef void end_forward(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef void begin_update(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil
    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil
    cdef void after_step(self, LayerBuffers buffers, Py_ssize_t piece) noexcept nogil


cdef class Net:
    cdef list layers
    # The description that checks samples, where the first layer reads codes; else None.
    cdef object sample_check
    # The same, borrowed: walked by the loops without the GIL.
    cdef Py_ssize_t[::1] addresses
    cdef void **layer_at
    cdef Py_ssize_t size
    cdef Py_ssize_t inputs
    cdef Py_ssize_t outputs
    # Pieces of parameters in all layers.
    cdef Py_ssize_t pieces
    # Whether the first layer takes the caller's own rows.
    cdef bint takes_any_rows
    # Whether some layer takes all samples of a batch together; whether there is normalization.
    cdef bint waits
    cdef bint normalizes
    # Whether several steps can be taken at once: see small_batches.pyx.
    cdef bint groups
    # Multiply-adds of a sample beyond one for each parameter; values that a thread needs room for, 0
    # without images.
    cdef Py_ssize_t work
    cdef Py_ssize_t scratch
    cdef Py_ssize_t tiles
    # Most samples of a block, and of a slice, which goes through the layers before any parameter changes.
    cdef Py_ssize_t block_size
    cdef Py_ssize_t slice_rows
    cdef Arrays arrays
    cdef bint averages
    # Of the images of a training.
    cdef Changes changes
    cdef double input_scale
    cdef double l2
    # 0: no limit.
    cdef double clip_value
    cdef double clip_norm
    cdef double averaging
    cdef Loss loss
    # Whether a step is parameters - rate * gradient and no more.
    cdef bint plain
    # The article's rule has a bias for each sample of the training, 0 of them before it.
    cdef bint article
    cdef Py_ssize_t article_samples

    cdef int chain(self, list layers) except -1
    cdef Py_ssize_t blocks_of(self, Py_ssize_t rows, int threads) noexcept nogil
    cdef void prepare(self, Workspace workspace) noexcept nogil
    cdef Workspace workspace(self, Py_ssize_t rows, Py_ssize_t threads, bint training)


cdef inline Block block_in(Net net, Workspace workspace, const Samples *samples) noexcept nogil:
    """A block of no samples yet."""
    cdef Block block
    memset(&block, 0, sizeof(Block))
    block.net, block.arrays, block.workspace = <void *>net, <void *>net.arrays, <void *>workspace
    block.layers, block.buffers = net.layer_at, workspace.layer_at
    block.samples = samples
    return block
