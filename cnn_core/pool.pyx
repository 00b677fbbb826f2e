"""The threads of the process that share the work of a job with whoever asks for it.

A job is a number of tasks, which may be done in any order and by anyone. The thread that asks does
tasks like the others, so that it needs nobody: where the workers are asleep, or kept from their
cores by other programs, it does them all. It waits for a worker only while that one is in the midst
of a task. Whoever waits spins a bounded time and then sleeps.

There is one pool. A job that finds it taken, by another training in another thread, runs on the
thread that asked for it: there is nothing to wait for, hence no deadlock, and never more busy
threads than the pool has and those that ask. In a child process after a fork there are no workers;
new ones are started when they are needed.
"""

import os

from cpython.pythread cimport (
    PyThread_acquire_lock,
    PyThread_allocate_lock,
    PyThread_release_lock,
    PyThread_type_lock,
)
from libc.stdint cimport int64_t

cdef extern from "threads.h" nogil:
    bint HAS_THREADS
    int64_t shared_load(int64_t *at)
    void shared_store(int64_t *at, int64_t value)
    int64_t shared_exchange(int64_t *at, int64_t value)
    int64_t shared_subtract_one(int64_t *at)
    bint shared_replace(int64_t *at, int64_t expected, int64_t value)
    void pause_briefly()
    int64_t nanoseconds()
    int current_core()
    void leave_core(int core)

cdef extern from "pythread.h":
    unsigned long PyThread_start_new_thread(void (*function)(void *) noexcept, void *argument)
    unsigned long PYTHREAD_INVALID_THREAD_ID

cdef enum:
    MOST_WORKERS = 255
    # Looks at a shared number between two looks at the clock.
    LOOKS = 256

# Nanoseconds that a thread waits awake. With less, and threads that take turns, as they do next to
# busy neighbours, lose each other: who sleeps is woken on the waker's core and stays there.
# docs/engine.md has the figures.
cdef int64_t PATIENCE = 1_000_000


cdef struct Sleeper:
    # `asleep` is 1 while its thread waits for `wakeup`. Who turns it to 0 owes the thread one
    # release of `wakeup`, or, if it was the thread itself, nobody does.
    int64_t asleep
    PyThread_type_lock wakeup


cdef struct Vigil:
    int64_t looks
    int64_t since


cdef Sleeper workers[MOST_WORKERS]
cdef Sleeper asker
cdef int started = 0

# Whether a job has the pool.
cdef int64_t taken = 0
# The job: it stays as it is until every task that was begun is finished.
cdef Task job_task
cdef void *job_context
cdef Py_ssize_t job_tasks
# Workers that may take part in it; tasks that nobody has begun; tasks that are not finished.
cdef int64_t helpers = 0
cdef int64_t waiting = 0
cdef int64_t unfinished = 0
# Where the thread that asked was when it did.
cdef int64_t askers_core = -1


cdef int make_sleeper(Sleeper *sleeper) except -1:
    sleeper.asleep = 0
    sleeper.wakeup = PyThread_allocate_lock()
    if sleeper.wakeup == NULL:
        raise MemoryError("no lock for the pool of threads")
    PyThread_acquire_lock(sleeper.wakeup, 1)
    return 0


cdef int prepare(int threads) except -1:
    """Have `threads` - 1 workers, or as many as the system allows. Needs the GIL."""
    global started
    if not HAS_THREADS:
        return 0
    if asker.wakeup == NULL:
        make_sleeper(&asker)
    while started < min(threads - 1, <int>MOST_WORKERS):
        make_sleeper(&workers[started])
        if PyThread_start_new_thread(work, <void *>&workers[started]) == PYTHREAD_INVALID_THREAD_ID:
            break
        started += 1
    return 0


cdef inline void wake(Sleeper *sleeper) noexcept nogil:
    if shared_load(&sleeper.asleep) and shared_exchange(&sleeper.asleep, 0):
        PyThread_release_lock(sleeper.wakeup)


cdef bint do_a_task() noexcept nogil:
    """Do a task that nobody has begun; return whether there was one."""
    cdef int64_t left = shared_load(&waiting)
    while left > 0:
        if shared_replace(&waiting, left, left - 1):
            job_task(job_context, job_tasks - left)
            if shared_subtract_one(&unfinished) == 0:
                wake(&asker)
            return True
        left = shared_load(&waiting)
    return False


cdef inline bint stays_awake(Vigil *vigil) noexcept nogil:
    """Wait a moment; return False when there has been enough of it."""
    cdef int64_t time
    pause_briefly()
    vigil.looks += 1
    if vigil.looks % LOOKS != 0:
        return True
    time = nanoseconds()
    if vigil.since == 0:
        vigil.since = time
    return time - vigil.since < PATIENCE


cdef void work(void *argument) noexcept nogil:
    """The life of a worker."""
    cdef Sleeper *own = <Sleeper *>argument
    cdef int number = <int>(own - workers)
    cdef Vigil vigil = Vigil(0, 0)
    while True:
        if is_wanted(number):
            keep_away_from_asker()
            do_a_task()
            vigil = Vigil(0, 0)
        elif not stays_awake(&vigil):
            shared_store(&own.asleep, 1)
            # Once more, since a job that came before the line above woke nobody.
            if not is_wanted(number) or not shared_exchange(&own.asleep, 0):
                PyThread_acquire_lock(own.wakeup, 1)
            vigil = Vigil(0, 0)


cdef inline void keep_away_from_asker() noexcept nogil:
    """Two threads that wait for each other get nowhere on one core, where a wake-up may leave them."""
    cdef int core = current_core()
    if core >= 0 and core == shared_load(&askers_core):
        leave_core(core)


cdef inline bint is_wanted(int number) noexcept nogil:
    return number < shared_load(&helpers) and shared_load(&waiting) > 0


cdef void run(Task task, void *context, Py_ssize_t tasks, int threads) noexcept nogil:
    """Do the tasks from 0 to `tasks` - 1 with the help of up to `threads` - 1 workers."""
    global job_task, job_context, job_tasks
    cdef Py_ssize_t i
    if threads < 2 or tasks < 2 or started == 0 or not shared_replace(&taken, 0, 1):
        for i in range(tasks):
            task(context, i)
        return
    job_task = task
    job_context = context
    job_tasks = tasks
    shared_store(&askers_core, current_core())
    shared_store(&helpers, threads - 1)
    shared_store(&unfinished, tasks)
    shared_store(&waiting, tasks)
    for i in range(min(<Py_ssize_t>started, min(<Py_ssize_t>threads, tasks) - 1)):
        wake(&workers[i])
    while do_a_task():
        pass
    wait_for_the_others()
    shared_store(&taken, 0)


cdef void wait_for_the_others() noexcept nogil:
    cdef Vigil vigil = Vigil(0, 0)
    while shared_load(&unfinished) > 0:
        if not stays_awake(&vigil):
            shared_store(&asker.asleep, 1)
            if shared_load(&unfinished) > 0 or not shared_exchange(&asker.asleep, 0):
                PyThread_acquire_lock(asker.wakeup, 1)
            vigil = Vigil(0, 0)


def forget_workers():
    """Begin anew without workers: what is true in a child process after a fork."""
    global started
    started = 0
    # The locks of the parent are not touched, since their state is unknown.
    asker.wakeup = NULL
    asker.asleep = 0
    shared_store(&waiting, 0)
    shared_store(&unfinished, 0)
    shared_store(&taken, 0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_workers)
