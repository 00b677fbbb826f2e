"""The budget of a training in steps or seconds: how many steps to take next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]

# Share of a time budget after which the clock is read and the rates are computed again.
_PART = 0.01


class WholeEpochs:
    """The budget of a training without a time limit.

    Parameters
    ----------
    total : int
        Steps of whole epochs.
    most : int, optional
        Largest number of steps.
    """

    def __init__(self, total: int, most: int | None = None) -> None:
        self._most = most
        self._total = total if most is None else min(total, most)
        self.overhead = 0.0

    def is_over(self, done: int) -> bool:
        """Tell whether no more steps may be taken."""
        return self._most is not None and done >= self._most

    def part(self, done: int, left: int) -> tuple[int, int]:
        """Return the steps that remain of the epoch, and those of the training."""
        return left if self._most is None else min(left, self._most - done), self._total


class TimeLimit:
    """The budget of a training with a time limit, spent in small parts.

    Parameters
    ----------
    seconds : float
        From now on.
    most : int
        Largest number of steps, however fast they are.
    clock : callable

    Attributes
    ----------
    overhead : float
        Seconds reserved for the end of an epoch.
    """

    def __init__(self, seconds: float, most: int, clock: Clock) -> None:
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._start = clock()
        self.overhead = 0.0

    def end_rehearsal(self) -> None:
        """Take the time so far as the duration of an epoch's end, and restart the clock."""
        self.overhead = self._clock() - self._start
        self._seconds -= self.overhead
        self._start += self.overhead

    def is_over(self, done: int) -> bool:
        """Tell whether the remaining time is too short for a step."""
        return done > 0 and self.part(done, 1)[0] == 0

    @property
    def used(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._start

    def resume_from(self, used: float) -> None:
        """Add the seconds that a resumed training used before."""
        self._start = self._clock() - used

    def part(self, done: int, left: int) -> tuple[int, int]:
        """Return how many steps to take next, at most `left`, and the expected total."""
        if not done:
            return 1, self._most
        elapsed = self._clock() - self._start
        step = max(elapsed / done, 1e-9)
        left = min(left, self._most - done)
        remaining = self._seconds - self.overhead - elapsed
        if remaining < step / 2:
            return 0, done
        fitting = max(round(min(remaining / step, self._most)), 1)
        count = max(round(min(self._seconds * _PART / step, self._most)), 1)
        return min(count, fitting, left), min(done + fitting, self._most)


StepBudget: TypeAlias = WholeEpochs | TimeLimit


def step_budget(seconds: float | None, total: int, most: int | None, clock: Clock) -> StepBudget:
    """Return the budget of a training.

    Parameters
    ----------
    seconds : float, optional
        Its limit of time.
    total : int
        Steps of whole epochs.
    most : int, optional
        Its limit of steps.
    clock : callable
    """
    if seconds is None:
        return WholeEpochs(total, most)
    return TimeLimit(seconds, total if most is None else min(total, most), clock)
