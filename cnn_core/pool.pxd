"""Threads that help with a job: one pool for the whole process. How it works: pool.pyx."""

ctypedef void (*Task)(void *context, Py_ssize_t number) noexcept nogil


cdef int prepare(int threads) except -1
cdef void run(Task task, void *context, Py_ssize_t tasks, int threads) noexcept nogil
