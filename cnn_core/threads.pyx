"""The threads of the process that share the work of a job with whoever asks for it.

A job is a number of tasks, which may be done in any order and by anyone. Every thread begins with a
share of its own, the same from job to job, so that what it works on stays in its caches, and then
takes from the ends of the others' shares. The thread that asks does tasks like the others, so that
it needs nobody: where the workers are asleep, or kept from their cores by other programs, it does
them all. It waits for a worker only while that one is in the midst of a task. Whoever waits spins a
bounded time and then sleeps.

There is one pool. A job that finds it taken, by another training in another thread, runs on the
thread that asked for it: there is nothing to wait for, hence no deadlock, and never more busy
threads than the pool has and those that ask. In a child process after a fork there are no workers;
new ones are started when they are needed.

How many threads a training asks for at each step is found by trial: `ThreadCountTuner`.
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
    # Looks at a shared number between two looks at the clock.
    LOOKS = 256
    # A share stands alone in the two cache lines that processors fetch together.
    SHARE_WORDS = 16
    END_BITS = 32

cdef struct Sleeper:
    # `asleep` is 1 while its thread waits for `wakeup`. Who turns it to 0 owes the thread one
    # release of `wakeup`, or, if it was the thread itself, nobody does.
    int64_t asleep
    PyThread_type_lock wakeup


cdef struct SpinWait:
    int64_t looks
    int64_t since


cdef Sleeper workers[MOST_WORKERS]
cdef Sleeper asker
# Workers that there are. More of them may be started while a job runs.
cdef int64_t started = 0

# The most workers that may help in a job; see `limit_threads`.
cdef int64_t most_helpers = MOST_WORKERS

# Whether a job has the pool.
cdef int64_t taken = 0
# The job: it stays as it is until every task that was begun is finished.
cdef Task job_task
cdef void *job_context
cdef int job_threads = 1
# Workers that may take part in it; tasks that are not finished.
cdef int64_t helpers = 0
cdef int64_t unfinished = 0
# Of each thread, the asker last: the tasks of its share that nobody has begun, the first one and, in
# the upper half of the word, the one behind the last.
cdef int64_t shares[(MOST_WORKERS + 1) * SHARE_WORDS]
# 1 while a thread does a task by this number.
cdef int64_t slots[(MOST_WORKERS + 1) * SHARE_WORDS]
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
    cdef Sleeper *worker
    if asker.wakeup == NULL:
        make_sleeper(&asker)
    while started < min(threads - 1, <int>MOST_WORKERS):
        worker = &workers[started]
        make_sleeper(worker)
        if PyThread_start_new_thread(work, <void *>worker) == PYTHREAD_INVALID_THREAD_ID:
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
    """A task of a share that nobody has begun: the first for who owns it, else the last; or -1."""
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
    """A number below `job_threads` that no other thread has meanwhile.

    Not the thread's own number: a worker may be late, and come from a job that had more of them.
    """
    cdef int slot = number % job_threads
    while not shared_replace(slot_of(slot), 0, 1):
        slot = (slot + 1) % job_threads
    return slot


cdef void do_tasks(int number) noexcept nogil:
    """Do what nobody has begun, of the own share first."""
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
        wake(&asker)


cdef inline bint stays_awake(SpinWait *wait) noexcept nogil:
    """Wait a moment; return False when there has been enough of it."""
    cdef int64_t time
    pause_briefly()
    wait.looks += 1
    if wait.looks % LOOKS != 0:
        return True
    time = nanoseconds()
    if wait.since == 0:
        wait.since = time
    return time - wait.since < PATIENCE


cdef void work(void *argument) noexcept nogil:
    """The life of a worker."""
    cdef Sleeper *own = <Sleeper *>argument
    cdef int number = <int>(own - workers)
    cdef SpinWait wait = SpinWait(0, 0)
    while True:
        if is_wanted(number):
            keep_away_from_asker()
            do_tasks(number)
            wait = SpinWait(0, 0)
        elif not stays_awake(&wait):
            shared_store(&own.asleep, 1)
            # Once more, since a job that came before the line above woke nobody.
            if not is_wanted(number) or not shared_exchange(&own.asleep, 0):
                PyThread_acquire_lock(own.wakeup, 1)
            wait = SpinWait(0, 0)


cdef inline void keep_away_from_asker() noexcept nogil:
    """Two threads that wait for each other get nowhere on one core, where a wake-up may leave them."""
    cdef int core = current_core()
    if core >= 0 and core == shared_load(&askers_core):
        leave_core(core)


cdef inline bint is_wanted(int number) noexcept nogil:
    cdef int i, others = <int>shared_load(&helpers)
    if number < others:
        for i in range(others + 1):
            if has_tasks(shared_load(share_of(i))):
                return True
    return False


cdef void run(Task task, void *context, Py_ssize_t tasks, int threads) noexcept nogil:
    """Do the tasks from 0 to `tasks` - 1 with the help of up to `threads` - 1 workers.

    Jobs whose tasks work on the same memory in the same order find it where they left it.
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
    shared_store(&askers_core, current_core())
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
        if not stays_awake(&wait):
            shared_store(&asker.asleep, 1)
            if shared_load(&unfinished) > 0 or not shared_exchange(&asker.asleep, 0):
                PyThread_acquire_lock(asker.wakeup, 1)
            wait = SpinWait(0, 0)


def forget_workers():
    """Begin anew without workers: what is true in a child process after a fork."""
    cdef int i
    shared_store(&started, 0)
    # The locks of the parent are not touched, since their state is unknown.
    asker.wakeup = NULL
    asker.asleep = 0
    shared_store(&unfinished, 0)
    for i in range(MOST_WORKERS + 1):
        shared_store(share_of(i), 0)
        shared_store(slot_of(i), 0)
    shared_store(&taken, 0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_workers)


cdef enum:
    # Steps of each side of a trial that are timed, and those before the second side's.
    TIMED = 6
    WARMING = 2

# Nanoseconds that go by before the second side is timed as well: a worker that sleeps has to be woken,
# and one that is not needed to fall asleep.
cdef int64_t SETTLING = PATIENCE + 200_000
# Multiply-adds between two meetings of the threads, for each of them, above which all pay whatever
# they exchange.
cdef double LEAST_CERTAIN_WORK = 5e7
# What is tried must be better by so much to change anything.
cdef double CLEARLY = 0.95
# Nanoseconds from the first step to the first trial, and from one trial to the next: at least the
# pause, and so many times what the second side of the last one took.
cdef int64_t FIRST_TRIAL = 2_000_000
cdef int64_t PAUSE = 500_000_000
cdef int64_t TIMES_OF_TRIAL = 100

# Whether there are trials; if not, all threads share every step.
cdef bint has_trials = True


@cython.final
cdef class ThreadCountTuner:
    """How many threads share the steps of a training: as many as make them fastest, by trial.

    What threads exchange in a step costs the more the smaller the step is, and how much depends on
    how far their cores are from each other, which can change by the minute where the machine is a
    virtual one. So now and then a few steps are taken with half as many threads, or with twice as
    many, and if the fastest of them was clearly faster it stays so. That is a measure of the cores, not
    of other programs that keep a thread from its core for a while. No result depends on it.
    """

    def __cinit__(self, int most):
        self.most = self.threads = most
        self.steps = -1

    cpdef int begin(self, double work, double piece, int64_t now) noexcept nogil:
        """Return how many threads take the step that begins now, of which more than one may.

        It has `work` multiply-adds, of which `piece` are done between two meetings of the threads.
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
        """Say that the step is done."""
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
        if self.least[1] < CLEARLY * self.least[0]:
            self.threads = self.tried
            if 1 < self.threads < self.most:
                # At once the next one, further on in the same direction.
                self.tried_fewer = not self.tried_fewer
                self.due = now


def limit_threads(int threads):
    """Let at most so many threads take part in a job, from 1, whatever a network was made with."""
    shared_store(&most_helpers, max(0, min(threads - 1, <int>MOST_WORKERS)))


def thread_limit():
    """Return what `limit_threads` has set, by default all that there can be."""
    return shared_load(&most_helpers) + 1


def try_fewer_threads(bint wanted):
    """Have trials or, as tests of the pool need it, every step shared by all threads."""
    global has_trials
    has_trials = wanted


# Multiply-adds between two looks at the signals: some milliseconds, so that Ctrl-C is prompt.
cdef double WORK_BETWEEN_SIGNALS = 2e8
# What a step costs beside its multiply-adds, in as many of them as would take as long.
cdef double WORK_OF_A_STEP = 1e5


cdef int check_signals(double *since, double work) except -1 nogil:
    """Now and then let Python handle what has come in, Ctrl-C above all."""
    cdef PyThreadState *thread
    cdef int found
    since[0] += work + WORK_OF_A_STEP
    if since[0] <= WORK_BETWEEN_SIGNALS:
        return 0
    since[0] = 0
    # Not `with gil`, which crashes in a daemon thread that outlives Python by the rest of a step.
    thread = PyGILState_GetThisThreadState()
    if thread == NULL:
        return 0
    PyEval_RestoreThread(thread)
    found = PyErr_CheckSignals()
    PyEval_SaveThread()
    return found
