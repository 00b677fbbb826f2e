"""What an epoch adds up, and when it looks at the signals. How: tally.pyx."""

from .workspace cimport Workspace


cdef struct Tally:
    # Of an epoch: the sum of the losses and what the samples count, the hits, and the work since the
    # last look at the signals.
    double loss
    double total
    Py_ssize_t hits
    double work


cdef void count(Tally *tally, Workspace workspace, Py_ssize_t rows) noexcept nogil
cdef int check_signals(Tally *tally, double work) except -1 nogil
