"""A network as the loops see it: its layers, and the arrays that they share."""

from .losses cimport Loss
from .optimizers cimport Update
from .workspace cimport Arrays, Workspace


cdef class Net:
    cdef list layers
    # The description that checks samples, where the first layer reads codes; else None.
    cdef object sample_check
    # The same, borrowed: walked by the loops without the GIL.
    cdef void **layer_at
    cdef Py_ssize_t size
    cdef Py_ssize_t inputs
    cdef Py_ssize_t outputs
    # Pieces of parameters in all layers.
    cdef Py_ssize_t pieces
    # Whether the first layer takes the caller's own rows; below which layer nothing is left to do on
    # the way back.
    cdef bint takes_any_rows
    cdef Py_ssize_t lowest_backward
    # Units of the first layer.
    cdef Py_ssize_t first_units
    # Whether some layer takes all samples of a batch together; whether there is normalization.
    cdef bint waits
    cdef bint normalizes
    # Whether several steps can be taken at once: see small_batches.pyx.
    cdef bint groups
    # Most samples of a block.
    cdef Py_ssize_t block_size
    cdef Arrays arrays
    cdef bint averages
    cdef double input_scale
    cdef double l2
    # 0: no limit.
    cdef double clip_value
    cdef double clip_norm
    cdef double averaging
    cdef Loss loss
    cdef Update optimizer
    # Whether a step is parameters - rate * gradient and no more.
    cdef bint plain
    # The article's rule has a bias for each sample of the training, 0 of them before it.
    cdef bint article
    cdef Py_ssize_t article_samples

    cdef int chain(self, list layers) except -1
    cdef Py_ssize_t blocks_of(self, Py_ssize_t rows, int threads) noexcept nogil
    cdef Py_ssize_t next_barrier(self, Py_ssize_t l) noexcept nogil
    cdef Py_ssize_t barrier_below(self, Py_ssize_t l) noexcept nogil
    cdef Workspace workspace(self, Py_ssize_t rows, Py_ssize_t threads, bint training)
    cdef int lay_out(self, Workspace workspace, Py_ssize_t threads, bint training) except -1
