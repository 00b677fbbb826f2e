"""One step of training as the loops see it: the network, the room for a batch, and the parts of work.

How they go together: step.pyx.
"""

from libc.stdint cimport int64_t, uint64_t

from .activations cimport Activation
from .losses cimport Loss
from .optimizers cimport Step, Update
from .scalar cimport real


cdef struct Layer:
    Py_ssize_t fan_in
    Py_ssize_t fan_out
    # Where the weights and the bias begin in the flat arrays.
    Py_ssize_t weights
    Py_ssize_t bias
    Activation activation
    double dropout
    # Distance between the samples in the room of this layer.
    Py_ssize_t row
    # Number of its first unit of `improve_weights`.
    Py_ssize_t first_unit

cdef struct Sheet:
    # What the samples of a batch leave behind in a layer, `Layer.row` values apart: what is
    # activated, what goes up (another array only if some of it is dropped), and what comes down.
    real *activation
    real *output
    real *delta

cdef struct Samples:
    # The caller's data, one of `reals` and `bytes`, without gaps; order NULL: as they stand; how
    # many there are in all.
    const real *reals
    const unsigned char *bytes
    const real *targets
    const Py_ssize_t *order
    Py_ssize_t count

cdef struct Net:
    Py_ssize_t size
    Layer *layers
    Py_ssize_t inputs
    Py_ssize_t outputs
    # Units of `improve` in all layers.
    Py_ssize_t units
    # Most samples of a block of `go_through`.
    Py_ssize_t block_rows
    Py_ssize_t parameters_size
    # Flat arrays, laid out alike; the moments are NULL where the optimizer keeps none.
    real *parameters
    real *gradient
    real *first_moment
    real *second_moment
    double input_scale
    Loss loss
    Update update
    # Whether the update is parameters - rate * gradient and no more.
    bint plain
    uint64_t key
    # The article's rule: a bias for each sample, and its own way back.
    bint article
    Py_ssize_t biases

cdef struct Room:
    Sheet *sheets
    # The batch itself, its inputs `input_row` values apart.
    real *x
    Py_ssize_t input_row
    real *targets
    # Pre-activations of the last layer; targets and these are spaced like its sheet.
    real *z
    # A value for each sample.
    double *losses
    unsigned char *hits

cdef struct Part:
    # Some consecutive samples of a batch, as many as there is room for.
    const Net *net
    const Room *room
    Samples samples
    # They lie in the room from row `top` on. Number in the caller's order of the sample in row 0;
    # number of the first one in its batch; how many there are; and in the whole batch.
    Py_ssize_t top
    Py_ssize_t first
    Py_ssize_t first_in_batch
    Py_ssize_t rows
    Py_ssize_t batch
    # Numbers of the step, from 0, and of the pieces that its samples are dealt out in.
    Py_ssize_t number
    Py_ssize_t blocks
    # Whether the gradient already holds that of the samples before; whether this part is the last
    # one of a step, which then is taken.
    bint adds
    bint steps
    Step step


cdef struct Prediction:
    # Samples to be answered, from number `first` of the caller's on; out has no gaps. `strange`
    # becomes 1 if one of their values is infinite or NaN.
    const Net *net
    const Room *room
    Samples samples
    Py_ssize_t first
    Py_ssize_t rows
    Py_ssize_t blocks
    real *out
    int64_t strange


cdef Py_ssize_t block_rows_for(Py_ssize_t most_weights) noexcept nogil
cdef Py_ssize_t blocks_of(const Net *net, Py_ssize_t rows, int threads) noexcept nogil
cdef Py_ssize_t units_of(Py_ssize_t fan_in) noexcept nogil
cdef Py_ssize_t spaced(Py_ssize_t columns) noexcept nogil
cdef void go_through(void *part, Py_ssize_t block) noexcept nogil
cdef void improve(void *part, Py_ssize_t unit) noexcept nogil
cdef void answer(void *prediction, Py_ssize_t block) noexcept nogil
cdef void gather_part(const Part *part, Py_ssize_t top, Py_ssize_t rows) noexcept nogil
cdef real *pre_activations(const Net *net, const Room *room, Py_ssize_t l) noexcept nogil
cdef void weigh(
    const Net *net, const Room *room, Py_ssize_t l, const real *x, Py_ssize_t x_row,
    Py_ssize_t first, Py_ssize_t top, Py_ssize_t rows,
) noexcept nogil
cdef void pass_on(
    const Part *part, Py_ssize_t from_layer, Py_ssize_t top, Py_ssize_t rows
) noexcept nogil
cdef void judge(const Part *part, Py_ssize_t top, Py_ssize_t rows) noexcept nogil
cdef void backward(const Part *part, Py_ssize_t top, Py_ssize_t rows) noexcept nogil
