"""The thread pool of the process, with work stealing.

A job is a number of tasks, which can run in any order and on any thread. Each thread starts with
its own share of the tasks. The share is the same in every job, so the data stay in the caches of
the core. Then the thread steals tasks from the ends of the other shares. The thread that submits
the job, the caller, also does tasks. It does all of them if the workers sleep or other programs
hold their cores. It waits for a worker only while that worker is in the middle of a task. A thread that
waits spins for a bounded time and then sleeps.

There is one pool. If another training in another thread has it, a job runs on its own thread alone.
So nothing waits for the pool, and there is no deadlock. The busy threads are at most those of the
pool and the callers. A child process has no workers after a fork, and starts new ones when needed.

`ThreadCountTuner` finds by trial how many threads a training asks for in each step.
"""

cimport cython
from cpython.pythread cimport (
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_release_lock, PyThread_type_lock,
)
from libc.math cimport INFINITY
from libc.stdint cimport int64_t

import os

cdef extern from "threads.h" nogil:
    int64_t shared_load(int64_t *at)
    void shared_store(int64_t *at, int64_t value)
    int64_t shared_exchange(int64_t *at, int64_t value)
    int64_t shared_subtract(int64_t *at, int64_t value)
    bint shared_replace(int64_t *at, int64_t expected, int64_t value)
    void pause_briefly()
    int64_t nanoseconds()
    int current_core()
    void leave_core(int core)

cdef extern from "Python.h" nogil:
    ctypedef struct PyThreadState
    PyThreadState *PyGILState_GetThisThreadState()
    void PyEval_RestoreThread(PyThreadState *thread)
    PyThreadState *PyEval_SaveThread()
    int PyErr_CheckSignals()

cdef extern from "pythread.h":
    unsigned long PyThread_start_new_thread(void (*function)(void *) noexcept, void *argument)
    unsigned long PYTHREAD_INVALID_THREAD_ID

cdef enum:
    MOST_WORKERS = 255
    # Iterations of a spin wait between two readings of the clock.
    LOOKS = 256
    # A share fills the two cache lines that processors fetch together: no false sharing.
    SHARE_WORDS = 16
    END_BITS = 32

cdef struct Sleeper:
    # `asleep` is 1 while its thread waits for `wakeup`. A thread that sets it to 0 must release
    # `wakeup` once, unless it is the sleeper itself.
    int64_t asleep
    PyThread_type_lock wakeup


cdef struct SpinWait:
    int64_t looks
    int64_t since


cdef Sleeper workers[MOST_WORKERS]
cdef Sleeper caller
# Number of workers. It may rise while a job runs.
cdef int64_t started = 0

# Most workers in a job; see `limit_threads`.
cdef int64_t most_helpers = MOST_WORKERS

# 1 while a job has the pool.
cdef int64_t taken = 0
# The job. It does not change until every task that was begun is finished.
cdef Task job_task
cdef void *job_context
cdef int job_threads = 1
# Workers that may take part in it; unfinished tasks.
cdef int64_t helpers = 0
cdef int64_t unfinished = 0
# The share of each thread, the caller's last: a half-open range of tasks not yet started. The
# lower END_BITS of the word are its first task, the upper ones its end.
cdef int64_t shares[(MOST_WORKERS + 1) * SHARE_WORDS]
# 1 while a thread does a task under this number.
cdef int64_t slots[(MOST_WORKERS + 1) * SHARE_WORDS]
# Core on which the caller submitted the job; -1 if unknown.
cdef int64_t callers_core = -1


cdef int make_sleeper(Sleeper *sleeper) except -1:
    sleeper.asleep = 0
    sleeper.wakeup = PyThread_allocate_lock()
    if sleeper.wakeup == NULL:
        raise MemoryError("no lock for the pool of threads")
    PyThread_acquire_lock(sleeper.wakeup, 1)
    return 0


cdef int prepare(int threads) except -1:
    """Start workers up to `threads` - 1, or as many as the system allows. Needs the GIL."""
    cdef Sleeper *worker
    if caller.wakeup == NULL:
        make_sleeper(&caller)
    while started < min(threads - 1, <int>MOST_WORKERS):
        worker = &workers[started]
        make_sleeper(worker)
        if PyThread_start_new_thread(worker_loop, <void *>worker) == PYTHREAD_INVALID_THREAD_ID:
            break
        shared_store(&started, started + 1)
    return 0


cdef inline void wake(Sleeper *sleeper) noexcept nogil:
    if shared_load(&sleeper.asleep) and shared_exchange(&sleeper.asleep, 0):
        PyThread_release_lock(sleeper.wakeup)


cdef inline int64_t *share_of(int number) noexcept nogil:
    return &shares[number * SHARE_WORDS]


cdef inline int64_t first_of(int64_t share) noexcept nogil:
    return share & ((<int64_t>1 << END_BITS) - 1)


cdef inline bint has_tasks(int64_t share) noexcept nogil:
    return first_of(share) < share >> END_BITS


cdef inline int64_t take(int number, bint is_own) noexcept nogil:
    """Take the first task of the own share, the last one of another's; -1 if it is empty."""
    cdef int64_t *share = share_of(number)
    cdef int64_t found = shared_load(share), end
    while has_tasks(found):
        end = found >> END_BITS
        if is_own:
            if shared_replace(share, found, found + 1):
                return first_of(found)
        elif shared_replace(share, found, found - (<int64_t>1 << END_BITS)):
            return end - 1
        found = shared_load(share)
    return -1


cdef inline int64_t *slot_of(int number) noexcept nogil:
    return &slots[number * SHARE_WORDS]


cdef inline int take_slot(int number) noexcept nogil:
    """Reserve a number below `job_threads` that no other thread has meanwhile.

    The thread's own number will not do: a late worker may come from a job with more threads.
    """
    cdef int slot = number % job_threads
    while not shared_replace(slot_of(slot), 0, 1):
        slot = (slot + 1) % job_threads
    return slot


cdef void do_tasks(int number) noexcept nogil:
    """Do tasks that are not yet started, those of the own share first."""
    cdef int parties = <int>shared_load(&helpers) + 1
    cdef int64_t task, done = 0
    cdef int i, slot
    for i in range(parties):
        while True:
            task = take((number + i) % parties, i == 0)
            if task < 0:
                break
            slot = take_slot(number)
            job_task(job_context, <Py_ssize_t>task, slot)
            shared_store(slot_of(slot), 0)
            done += 1
    if done > 0 and shared_subtract(&unfinished, done) == 0:
        wake(&caller)


cdef inline bint keeps_spinning(SpinWait *wait) noexcept nogil:
    """Spin once; return False when the wait has lasted PATIENCE."""
    cdef int64_t time
    pause_briefly()
    wait.looks += 1
    if wait.looks % LOOKS != 0:
        return True
    time = nanoseconds()
    if wait.since == 0:
        wait.since = time
    return time - wait.since < PATIENCE


cdef void worker_loop(void *argument) noexcept nogil:
    """Do tasks, spin and sleep, for ever: the main loop of a worker."""
    cdef Sleeper *own = <Sleeper *>argument
    cdef int number = <int>(own - workers)
    cdef SpinWait wait = SpinWait(0, 0)
    while True:
        if is_wanted(number):
            leave_callers_core()
            do_tasks(number)
            wait = SpinWait(0, 0)
        elif not keeps_spinning(&wait):
            shared_store(&own.asleep, 1)
            # Look again: a job that came before the line above woke nobody.
            if not is_wanted(number) or not shared_exchange(&own.asleep, 0):
                PyThread_acquire_lock(own.wakeup, 1)
            wait = SpinWait(0, 0)


cdef inline void leave_callers_core() noexcept nogil:
    """Leave the caller's core, where a wake-up can put a worker: two that wait there get nowhere."""
    cdef int core = current_core()
    if core >= 0 and core == shared_load(&callers_core):
        leave_core(core)


cdef inline bint is_wanted(int number) noexcept nogil:
    cdef int i, others = <int>shared_load(&helpers)
    if number < others:
        for i in range(others + 1):
            if has_tasks(shared_load(share_of(i))):
                return True
    return False


cdef void run(Task task, void *context, Py_ssize_t tasks, int threads) noexcept nogil:
    """Do the tasks from 0 to `tasks` - 1 with up to `threads` - 1 workers.

    Jobs should use the same memory in the same order of tasks, since shares then stay in cache.
    """
    global job_task, job_context, job_threads
    cdef Py_ssize_t i
    cdef int64_t others = min(<int64_t>threads - 1, shared_load(&started))
    others = min(others, shared_load(&most_helpers))
    if others < 1 or tasks < 2 or not shared_replace(&taken, 0, 1):
        for i in range(tasks):
            task(context, i, 0)
        return
    job_task = task
    job_context = context
    job_threads = <int>others + 1
    shared_store(&callers_core, current_core())
    shared_store(&helpers, others)
    shared_store(&unfinished, tasks)
    for i in range(others + 1):
        shared_store(
            share_of(<int>i),
            tasks * i // (others + 1) | (tasks * (i + 1) // (others + 1)) << END_BITS,
        )
    for i in range(min(<int64_t>others, <int64_t>tasks - 1)):
        wake(&workers[i])
    do_tasks(<int>others)
    wait_for_the_others()
    shared_store(&taken, 0)


cdef void wait_for_the_others() noexcept nogil:
    cdef SpinWait wait = SpinWait(0, 0)
    while shared_load(&unfinished) > 0:
        if not keeps_spinning(&wait):
            shared_store(&caller.asleep, 1)
            if shared_load(&unfinished) > 0 or not shared_exchange(&caller.asleep, 0):
                PyThread_acquire_lock(caller.wakeup, 1)
            wait = SpinWait(0, 0)


def forget_workers():
    """Reset the pool in a child process after a fork, where no worker exists."""
    cdef int i
    shared_store(&started, 0)
    # Do not touch the locks of the parent, whose state is unknown.
    caller.wakeup = NULL
    caller.asleep = 0
    shared_store(&unfinished, 0)
    for i in range(MOST_WORKERS + 1):
        shared_store(share_of(i), 0)
        shared_store(slot_of(i), 0)
    shared_store(&taken, 0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_workers)


cdef enum:
    # Timed steps for each number of threads of a trial; untimed steps before those of the second.
    TIMED = 6
    WARMING = 2

# Nanoseconds before the second number is timed: sleeping workers have to wake up, and workers that
# are not needed have to fall asleep.
cdef int64_t SETTLING = PATIENCE + 200_000
# From this many multiply-adds per thread between two barriers on, all threads take part.
cdef double LEAST_CERTAIN_WORK = 5e7
# Ratio of times below which the tried number of threads replaces the usual one.
cdef double CLEAR_GAIN = 0.95
# Nanoseconds from the first step to the first trial; then between trials at least PAUSE, and at
# least TIMES_OF_TRIAL times what the second number of the last trial took.
cdef int64_t FIRST_TRIAL = 2_000_000
cdef int64_t PAUSE = 500_000_000
cdef int64_t TIMES_OF_TRIAL = 100

# Whether to make trials; without them, all threads share every step.
cdef bint has_trials = True


@cython.final
cdef class ThreadCountTuner:
    """Find by trial the number of threads with which the steps of a training are fastest.

    Threads exchange data in each step, which costs a small step relatively more. The cost depends
    on the distance of the cores, which can change by the minute on a virtual machine. So now and
    then a few steps run with half or twice as many threads. If the fastest of them is clearly
    faster, that number stays. The fastest step measures the cores, not other programs that hold a
    core for a while. No result depends on the number of threads.
    """

    def __cinit__(self, int most):
        self.most = self.threads = most
        self.steps = -1

    cpdef int begin(self, double work, double piece, int64_t now) noexcept nogil:
        """Return the number of threads for the step that begins now and may be shared.

        It has `work` multiply-adds in all, `piece` of them between two barriers.
        """
        self.work = 0
        if not has_trials or piece >= self.most * LEAST_CERTAIN_WORK:
            return self.most
        self.work, self.begun = work, now
        if self.due == 0:
            self.due = now + FIRST_TRIAL
        elif self.steps < 0 and now >= self.due:
            self.begin_trial()
        return self.tried if self.steps >= 0 and self.tries else self.threads

    cpdef void end(self, int64_t now) noexcept nogil:
        """Record the end of the step."""
        cdef int64_t took = now - self.begun
        if self.work == 0 or self.steps < 0:
            return
        self.took += took
        self.steps += 1
        if self.tries and (self.steps <= WARMING or self.took < SETTLING):
            self.steps = min(self.steps, <int>WARMING)
            return
        self.least[self.tries] = min(self.least[self.tries], took / self.work)
        if not self.tries and self.steps == TIMED:
            self.tries = True
            self.steps = self.took = 0
        elif self.steps == WARMING + TIMED:
            self.end_trial(now)

    cdef void begin_trial(self) noexcept nogil:
        cdef int fewer = (self.threads + 1) // 2, more = min(self.threads * 2, self.most)
        self.tried_fewer = more == self.threads or not self.tried_fewer and fewer < self.threads
        self.tried = fewer if self.tried_fewer else more
        self.tries = False
        self.least[0] = self.least[1] = INFINITY
        self.steps = self.took = 0

    cdef void end_trial(self, int64_t now) noexcept nogil:
        self.steps = -1
        self.due = now + max(PAUSE, TIMES_OF_TRIAL * self.took)
        if self.least[1] < CLEAR_GAIN * self.least[0]:
            self.threads = self.tried
            if 1 < self.threads < self.most:
                # Try the next number in the same direction at once.
                self.tried_fewer = not self.tried_fewer
                self.due = now


def limit_threads(int threads):
    """Limit the threads of every job, at least 1, whatever number a network was made with."""
    shared_store(&most_helpers, max(0, min(threads - 1, <int>MOST_WORKERS)))


def thread_limit():
    """Return the limit that `limit_threads` has set, by default the largest possible one."""
    return shared_load(&most_helpers) + 1


def try_fewer_threads(bint wanted):
    """Make trials, or share every step among all threads, as tests of the pool need it."""
    global has_trials
    has_trials = wanted


# Multiply-adds between two checks of signals: some milliseconds, so that Ctrl-C is prompt.
cdef double WORK_BETWEEN_SIGNALS = 2e8
# Fixed cost of a step, in multiply-adds.
cdef double WORK_OF_A_STEP = 1e5


cdef int check_signals(double *since, double work) except -1 nogil:
    """Let Python handle signals such as Ctrl-C, every WORK_BETWEEN_SIGNALS multiply-adds."""
    cdef PyThreadState *thread
    cdef int found
    since[0] += work + WORK_OF_A_STEP
    if since[0] <= WORK_BETWEEN_SIGNALS:
        return 0
    since[0] = 0
    # `with gil` would crash in a daemon thread that still finishes a step while Python exits.
    thread = PyGILState_GetThisThreadState()
    if thread == NULL:
        return 0
    PyEval_RestoreThread(thread)
    found = PyErr_CheckSignals()
    PyEval_SaveThread()
    return found
