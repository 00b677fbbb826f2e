"""What an epoch adds up, and Ctrl-C: signals are looked at every few milliseconds of work."""

from .workspace cimport Workspace

cdef extern from "Python.h" nogil:
    ctypedef struct PyThreadState
    PyThreadState *PyGILState_GetThisThreadState()
    void PyEval_RestoreThread(PyThreadState *thread)
    PyThreadState *PyEval_SaveThread()
    int PyErr_CheckSignals()

# Multiply-adds between two looks at the signals: some milliseconds, so that Ctrl-C is prompt.
cdef double WORK_BETWEEN_SIGNALS = 2e8
# What a step costs beside its multiply-adds, in as many of them as would take as long.
cdef double WORK_OF_A_STEP = 1e5


cdef void count(Tally *tally, Workspace workspace, Py_ssize_t rows) noexcept nogil:
    """Add the losses, in the order of the samples whoever computed them, and the hits."""
    cdef Py_ssize_t i
    for i in range(rows):
        tally.loss += workspace.losses[i]
        tally.hits += workspace.hits[i]


cdef int check_signals(Tally *tally, double work) except -1 nogil:
    """Now and then let Python handle what has come in, Ctrl-C above all."""
    cdef PyThreadState *thread
    cdef int found
    tally.work += work + WORK_OF_A_STEP
    if tally.work <= WORK_BETWEEN_SIGNALS:
        return 0
    tally.work = 0
    # Not `with gil`, which crashes in a daemon thread that outlives Python by the rest of a step.
    thread = PyGILState_GetThisThreadState()
    if thread == NULL:
        return 0
    PyEval_RestoreThread(thread)
    found = PyErr_CheckSignals()
    PyEval_SaveThread()
    return found
