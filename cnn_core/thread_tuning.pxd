"""How many threads share a step. How: thread_tuning.pyx."""

from libc.stdint cimport int64_t


cdef class ThreadCountTuner:
    cdef int most
    cdef int threads
    # The trial under way: with how many threads, whether these are at work, how many of their steps
    # are done (-1: there is no trial), what all steps of it took, and the least nanoseconds that a
    # multiply-add took with as many as before and with as many as are tried.
    cdef int tried
    cdef bint tries
    cdef int steps
    cdef int64_t took
    cdef double[2] least
    cdef bint tried_fewer
    # When the next trial begins.
    cdef int64_t due
    # The step under way: when it began, and its multiply-adds, 0 if it is none for trials.
    cdef int64_t begun
    cdef double work

    cpdef int begin(self, double work, double piece, int64_t now) noexcept nogil
    cpdef void end(self, int64_t now) noexcept nogil
    cdef void begin_trial(self) noexcept nogil
    cdef void end_trial(self, int64_t now) noexcept nogil
