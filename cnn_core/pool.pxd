"""Threads that help with a job: one pool for the whole process. How it works: pool.pyx."""

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
