"""The threads of the process, how many of them share a step, and signals. How: threads.pyx."""

from libc.stdint cimport int64_t

# Task number `task`, by a thread whose number, from 0 to below as many as were asked for, no other has
# meanwhile.
ctypedef void (*Task)(void *context, Py_ssize_t task, int thread) noexcept nogil

cdef enum:
    # Nanoseconds that a thread waits awake. With less, and threads that take turns, as they do next to
    # busy neighbours, lose each other: who sleeps is woken on the waker's core and stays there.
    # docs/engine.md has the figures.
    PATIENCE = 1000000


cdef int prepare(int threads) except -1
cdef void run(Task task, void *context, Py_ssize_t tasks, int threads) noexcept nogil
# Work since the last look at the signals, of which more has been done.
cdef int check_signals(double *since, double work) except -1 nogil


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
