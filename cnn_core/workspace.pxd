"""The network as the loops see it, the memory that a batch takes, and the slices that it is cut into."""

from libc.stdint cimport int64_t, uint64_t

from .activations cimport Activation
from .dense cimport ProductBuffers
from .losses cimport Loss
from .optimizers cimport Step, Update
from .randomness cimport Counter
from .matrix cimport Shape
from .scalar cimport real

cdef extern from "vector.h" nogil:
    ctypedef float vector
    enum:
        VECTOR_LENGTH


cdef enum:
    # Samples that there is room for at once: their inputs and deltas stay in the L2 cache.
    SLICE_ROWS = 256
    # Rows of a piece of weights, and columns that are updated at a time: their gradient stays in L1.
    PIECE_ROWS = 48
    PIECE_COLUMNS = 128

cdef enum Normalization:
    NONE
    # Each unit over the samples of the batch: no sample goes on before all have come as far.
    BATCH
    # Each sample over the units.
    LAYER

cdef struct Layer:
    Py_ssize_t fan_in
    Py_ssize_t fan_out
    # Where the weights, the bias and, if there is normalization, the gain begin in the flat arrays;
    # and where the means begin in the array of statistics, the variances behind them.
    Py_ssize_t weights
    Py_ssize_t bias
    Py_ssize_t gain
    Py_ssize_t statistics
    Activation activation
    Normalization normalization
    double dropout
    # Distance between the samples in the buffers of this layer.
    Py_ssize_t row
    # Number of its first piece of `update_weights`.
    Py_ssize_t first_piece

cdef struct LayerBuffers:
    # What the samples of a batch leave behind in a layer, `Layer.row` values apart. On the way up:
    # the inputs weighed and normalized, the pre-activation, the activation, what goes up (in an
    # array of its own only if some of it is dropped). On the way down: dloss/dz, and the same with
    # respect to what was weighed. Steps that change nothing have one array for both sides.
    real *normal
    real *z
    real *activation
    real *output
    real *delta
    real *error
    # 1 / standard deviation of each unit or of each sample; means and variances of the units.
    real *spread
    real *statistics

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
    const real *weights
    const Py_ssize_t *order
    Py_ssize_t count
    # Whether the inputs have so many zeros that it pays to look for them.
    bint are_sparse

cdef struct Net:
    Py_ssize_t size
    Layer *layers
    Py_ssize_t inputs
    Py_ssize_t outputs
    # Pieces of `update_piece` in all layers.
    Py_ssize_t pieces
    # Whether there is normalization anywhere; whether some of it is over the batch.
    bint normalizes
    bint normalizes_batches
    # Most samples of a block of `forward_backward_block`.
    Py_ssize_t block_size
    Py_ssize_t parameters_size
    # Flat arrays, laid out alike; the moments are NULL where the optimizer keeps none.
    real *parameters
    real *gradient
    real *first_moment
    real *second_moment
    # NULL where it is not kept; the running averages of batch normalization.
    real *average
    real *statistics
    double input_scale
    double l2
    # 0: no limit.
    double clip_value
    double clip_norm
    double averaging
    Loss loss
    Update update
    # Whether a step is parameters - rate * gradient and no more.
    bint plain
    uint64_t key
    # The article's rule: a bias for each sample, and its own way back.
    bint article
    Py_ssize_t biases

cdef struct ThreadBuffers:
    # What a thread needs for a task: its products, the gradient of a piece, the inputs of a piece's
    # rows brought together.
    ProductBuffers product
    vector gradient[PIECE_ROWS * PIECE_COLUMNS / VECTOR_LENGTH]
    real inputs[PIECE_ROWS * SLICE_ROWS]

cdef struct Buffers:
    # One for each thread.
    ThreadBuffers *threads
    LayerBuffers *layers
    # The batch itself, its inputs `input_row` values apart, its targets like those of the last layer.
    real *x
    Py_ssize_t input_row
    real *targets
    # A value for each sample.
    double *losses
    unsigned char *hits
    # Of each piece of `update_piece`: the sum of its squared gradient.
    double *squares

cdef struct BatchSlice:
    # Some consecutive samples of a batch, as many as there is room for.
    const Net *net
    const Buffers *workspace
    Samples samples
    # They lie in the workspace from row `top` on. Number in the caller's order of the sample in row 0;
    # number of the first one in its batch; how many there are; and in the whole batch.
    Py_ssize_t top
    Py_ssize_t first
    Py_ssize_t first_in_batch
    Py_ssize_t rows
    Py_ssize_t batch_rows
    # What the samples of the batch count together: as many, or the sum of their weights.
    double total
    # Number of the step, from 0; how many pieces its samples are dealt out in.
    Py_ssize_t number
    Py_ssize_t blocks
    # The layer up to which all samples have come, -1 for none.
    Py_ssize_t layer
    # Whether the gradient already holds that of the samples before; whether this part is the last
    # one of a step, which then is taken.
    bint adds
    bint steps
    Step step
    # What a clipped gradient is multiplied by, and how far the average moves.
    real scale
    real pace


cdef struct Prediction:
    # Samples to be answered, from number `first` of the caller's on; out has no gaps. `nonfinite`
    # becomes 1 if one of their values is infinite or NaN.
    const Net *net
    const Buffers *workspace
    Samples samples
    Py_ssize_t first
    Py_ssize_t rows
    Py_ssize_t blocks
    real *out
    int64_t nonfinite


cdef class Workspace:
    cdef Buffers buffers
    cdef Py_ssize_t rows
    cdef void *memory
    cdef char *free

    @staticmethod
    cdef Workspace make(const Net *net, Py_ssize_t rows, int threads, bint training)
    cdef void lay_out(self, LayerBuffers *buffers, const Layer *layer, bint training, bint last) noexcept
    cdef real *carve_rows(self, const Layer *layer) noexcept
    cdef void *carve(self, size_t size) noexcept


cdef Py_ssize_t block_rows_for(Py_ssize_t most_weights) noexcept nogil
cdef Py_ssize_t blocks_of(const Net *net, Py_ssize_t rows, int threads) noexcept nogil
cdef Py_ssize_t pieces_of(Py_ssize_t fan_in) noexcept nogil
cdef Py_ssize_t column_blocks(const Layer *layer) noexcept nogil
cdef Py_ssize_t padded_stride(Py_ssize_t columns) noexcept nogil
cdef Py_ssize_t next_to_wait(const Net *net, Py_ssize_t l) noexcept nogil
cdef Py_ssize_t last_to_wait(const Net *net, Py_ssize_t l) noexcept nogil
cdef void split_rows(
    Py_ssize_t rows, Py_ssize_t blocks, Py_ssize_t block, Py_ssize_t *top, Py_ssize_t *end
) noexcept nogil
cdef Shape columns_of_block(const BatchSlice *batch, Py_ssize_t block, Py_ssize_t *first) noexcept nogil
cdef Counter counter_of(const BatchSlice *batch, Py_ssize_t layer, Py_ssize_t top) noexcept nogil
