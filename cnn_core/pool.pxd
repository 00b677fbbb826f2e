"""Threads that help with a job: one pool for the whole process. How it works: pool.pyx."""

from libc.stdint cimport int64_t

ctypedef void (*Task)(void *context, Py_ssize_t number) noexcept nogil

cdef enum:
    # Multiply-adds of a job below which other threads would not pay.
    LEAST_SHARED_WORK = 1_000_000


cdef int prepare(int threads) except -1
cdef void run(Task task, void *context, Py_ssize_t tasks, int threads) noexcept nogil


cdef class Sharing:
    cdef int most
    cdef int threads
    # The trial under way: with how many threads, how many steps of it are done (-1: there is none),
    # and the least nanoseconds a multiply-add as before and with as many as are tried.
    cdef int tried
    cdef int steps
    cdef double[2] least
    cdef bint tried_fewer
    cdef int64_t trial_begun
    # When the next trial begins.
    cdef int64_t due
    # The step under way; its work is 0 if it belongs to no trial.
    cdef double work
    cdef int64_t step_begun

    cpdef int begin(self, double work, int64_t now) noexcept nogil
    cpdef void end(self, int64_t now) noexcept nogil
    cdef void begin_trial(self, int64_t now) noexcept nogil
    cdef void end_trial(self, int64_t now) noexcept nogil
