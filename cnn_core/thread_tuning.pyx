"""How many threads share the steps of a training: as many as make them fastest, by trial."""

cimport cython
from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from .pool cimport PATIENCE

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


def try_fewer_threads(bint wanted):
    """Have trials or, as tests of the pool need it, every step shared by all threads."""
    global has_trials
    has_trials = wanted
