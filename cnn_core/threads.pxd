"""The thread pool, the choice of the number of threads, and signals; threads.pyx explains them."""

from libc.stdint cimport int64_t

# Function that does task number `task`. `thread` is at least 0 and below the number of threads
# asked for. No other thread of the job has this number meanwhile.
ctypedef void (*Task)(void *context, Py_ssize_t task, int thread) noexcept nogil

cdef enum:
    # Nanoseconds of spin wait before a thread sleeps. A woken thread may start on the core of its
    # waker and stay there, so too short a wait leaves a core idle. docs/engine.md has the figures.
    PATIENCE = 1000000


cdef int prepare(int threads) except -1
cdef void run(Task task, void *context, Py_ssize_t tasks, int threads) noexcept nogil
# `since`: multiply-adds since the last check, to which `work` more are added.
cdef int check_signals(double *since, double work) except -1 nogil


cdef class ThreadCountTuner:
    cdef int most
    cdef int threads
    # The current trial: its number of threads; whether they run now (else the usual number does);
    # their steps so far (-1: no trial); nanoseconds of these steps; least nanoseconds of a
    # multiply-add with the usual number [0] and with the tried one [1].
    cdef int tried
    cdef bint tries
    cdef int steps
    cdef int64_t took
    cdef double[2] least
    cdef bint tried_fewer
    # Time of the next trial, in nanoseconds.
    cdef int64_t due
    # The current step: its start in nanoseconds, and its multiply-adds (0: not used for trials).
    cdef int64_t begun
    cdef double work

    cpdef int begin(self, double work, double piece, int64_t now) noexcept nogil
    cpdef void end(self, int64_t now) noexcept nogil
    cdef void begin_trial(self) noexcept nogil
    cdef void end_trial(self, int64_t now) noexcept nogil
