"""Schedules: the learning rate of each step of a training.

A schedule is a frozen description without data. From the learning rate that the user chose, the
*base*, it computes the rate of each step. The training loop asks for the rates of an epoch, or a
part of one, at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.training.patience import PatienceCounter
from cnn_core.validation import (
    above_0,
    at_least_0,
    between,
    flag,
    is_number,
    number,
    real,
    set_checked,
    shown,
    whole,
)

Rates: TypeAlias = float | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Steps:
    """Consecutive steps of an epoch whose rates are wanted.

    Attributes
    ----------
    first : int
        Number of the first one in this training, from 0.
    count : int
        How many, at least 1.
    per_epoch : int
        Steps of an epoch.
    total : int
        Steps of this training. With a time budget it is an estimate, which is updated before
        each part of an epoch.
    samples_seen : int
        Samples trained on before the epoch of these steps, over the whole life of the model.
    """

    first: int
    count: int
    per_epoch: int
    total: int
    samples_seen: int

    @property
    def epoch(self) -> int:
        """Number of the epoch in this training, from 0."""
        return self.first // self.per_epoch

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        """The number of each step, (count,)."""
        return np.arange(self.first, self.first + self.count, dtype=np.float64)


@dataclass(frozen=True)
class Schedule:
    """Base class of schedules; by itself a constant rate."""

    def rates(self, base: float, steps: Steps) -> Rates:
        """Return the learning rate of each step.

        Parameters
        ----------
        base : float
            The learning rate that the user chose.
        steps : Steps

        Returns
        -------
        float or (steps.count,) float64 array
            One number if all steps have the same rate, which lets engines group small steps.
        """
        return base

    def after_epoch(self, value: float) -> Schedule:
        """Return the schedule for the next epoch; most schedules return themselves.

        Parameters
        ----------
        value : float
            The monitored value, negated if higher is better.
        """
        return self

    def is_over(self, base: float) -> bool:
        """Whether the training should end because the rate has become too small."""
        return False


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate for all steps."""


@dataclass(frozen=True)
class StepDecay(Schedule):
    """``base * factor ** (epoch // every_epochs)``.

    Attributes
    ----------
    every_epochs : int
        At least 1.
    factor : float
        Above 0.
    """

    every_epochs: int = 10
    factor: float = 0.5

    def __post_init__(self) -> None:
        whole("every_epochs", self.every_epochs, 1)
        set_checked(self, above_0, "factor")

    def rates(self, base: float, steps: Steps) -> Rates:
        """Return one rate for the epoch."""
        return float(base * self.factor ** (steps.epoch // self.every_epochs))


@dataclass(frozen=True)
class Exponential(Schedule):
    """``base * factor ** epoch``.

    Attributes
    ----------
    factor : float
        Above 0.
    """

    factor: float = 0.95

    def __post_init__(self) -> None:
        set_checked(self, above_0, "factor")

    def rates(self, base: float, steps: Steps) -> Rates:
        """Return one rate for the epoch."""
        return float(base * self.factor**steps.epoch)


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """``base / (1 + samples seen before the epoch) ** power``: scikit-learn's ``"invscaling"``.

    The samples are counted over the whole life of a model, so that a resumed training continues
    with short steps.

    Attributes
    ----------
    power : float
    """

    power: float = 0.5

    def __post_init__(self) -> None:
        set_checked(self, number, "power")

    def rates(self, base: float, steps: Steps) -> Rates:
        """Return one rate for the epoch."""
        try:
            return float(base / (1 + steps.samples_seen) ** self.power)
        except OverflowError:
            # The power is beyond every float.
            return 0.0


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a period of a cosine from the base to `least` (Loshchilov and Hutter, "SGDR", 2017).

    ``least + (base - least) * (1 + cos(pi * step / total)) / 2``, without restarts.

    Attributes
    ----------
    least : float
        A rate, at least 0; if the base is lower, the base is used.
    """

    least: float = 0.0

    def __post_init__(self) -> None:
        set_checked(self, at_least_0, "least")

    def rates(self, base: float, steps: Steps) -> Rates:
        """Return a rate for each step."""
        progress = np.minimum(steps.numbers / max(steps.total, 1), 1.0)
        return _cosine(base, min(self.least, base), progress)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """The one-cycle policy (Smith and Topin, "Super-convergence", 2018).

    The rate rises from ``base / div`` to the base during the first `pct_start` of the steps, and
    falls to ``base / div / final_div`` in the others, both along half a period of a cosine; these
    are the rates of PyTorch's ``OneCycleLR``.

    Attributes
    ----------
    pct_start : float
        Share of the steps in which the rate rises, from 0 to 1.
    div, final_div : float
        Above 0.
    """

    pct_start: float = 0.3
    div: float = 25.0
    final_div: float = 1e4

    def __post_init__(self) -> None:
        set_checked(self, _from_0_to_1, "pct_start")
        set_checked(self, above_0, "div", "final_div")

    def rates(self, base: float, steps: Steps) -> Rates:
        """Return a rate for each step."""
        numbers = steps.numbers
        last = max(steps.total - 1, 0)
        peak = min(max(self.pct_start * steps.total - 1, 0.0), last)
        lowest = base / self.div
        up = _cosine(lowest, base, np.minimum(numbers / max(peak, 1e-9), 1.0))
        down = np.clip((numbers - peak) / max(last - peak, 1e-9), 0.0, 1.0)
        return np.where(numbers < peak, up, _cosine(base, lowest / self.final_div, down))


@dataclass(frozen=True)
class Plateau(Schedule):
    """``factor`` times the rate whenever the monitored value has stopped improving.

    It falls after more than `patience` epochs in a row without an improvement of more than `tol`,
    and again after as many. `Recipe.monitor` names the monitored value.

    Attributes
    ----------
    factor : float
        Above 0, below 1.
    patience : int
        At least 0.
    tol : float
        At least 0.
    least : float
        The rate does not fall below it.
    stop : bool
        Whether the training ends when the rate would have to fall below `least`. With
        ``factor=0.2`` this is similar to scikit-learn's ``"adaptive"``.
    cuts, watch : int, PatienceCounter
        State of a training: how often the rate has fallen, and the patience counter since.
    """

    factor: float = 0.1
    patience: int = 10
    tol: float = 1e-4
    least: float = 1e-6
    stop: bool = False
    cuts: int = field(default=0, repr=False)
    watch: PatienceCounter = field(default=PatienceCounter(), repr=False)

    def __post_init__(self) -> None:
        set_checked(self, _below_1, "factor")
        set_checked(self, _patience, "patience")
        set_checked(self, at_least_0, "tol", "least")
        set_checked(self, flag, "stop")

    def rates(self, base: float, steps: Steps) -> Rates:
        """Return one rate for the epoch."""
        return float(max(base * self.factor**self.cuts, min(self.least, base)))

    def after_epoch(self, value: float) -> Plateau:
        """Return the schedule for the next epoch."""
        watch = self.watch.after(value, self.tol)
        if not watch.has_run_out(self.patience):
            return replace(self, watch=watch)
        return replace(self, watch=watch.restarted(), cuts=self.cuts + 1)

    def is_over(self, base: float) -> bool:
        """Whether the rate would have to fall below `least`."""
        return self.stop and self.cuts > 0 and base * self.factor ** (self.cuts - 1) <= self.least


@dataclass(frozen=True)
class WarmUp(Schedule):
    """Rising rates, ``base * (step + 1) / (length + 1)``, followed by another schedule.

    The other schedule counts its steps and epochs from the end of the warm-up.

    Attributes
    ----------
    steps : int
        Length of the warm-up in steps, in addition to that of `epochs`.
    epochs : float
        Its length in epochs.
    then : Schedule or str
    """

    steps: int = 0
    epochs: float = 0.0
    then: Schedule | str = "constant"

    def __post_init__(self) -> None:
        whole("steps", self.steps, 0)
        set_checked(self, at_least_0, "epochs")
        object.__setattr__(self, "then", as_schedule(self.then))

    def rates(self, base: float, steps: Steps) -> Rates:
        """Return a rate for each step of the warm-up, then those of the other schedule."""
        length = self.steps + round(self.epochs * steps.per_epoch)
        rising = min(max(length - steps.first, 0), steps.count)
        rates = base * (steps.numbers[:rising] + 1) / (length + 1)
        if rising == steps.count:
            return rates
        rest = replace(
            steps,
            first=steps.first + rising - length,
            count=steps.count - rising,
            total=max(steps.total - length, 1),
        )
        others = self._then.rates(base, rest)
        if not rising:
            return others
        return np.concatenate([rates, np.broadcast_to(others, rest.count)])

    def after_epoch(self, value: float) -> WarmUp:
        """Return the schedule for the next epoch."""
        return replace(self, then=self._then.after_epoch(value))

    def is_over(self, base: float) -> bool:
        """Whether the other schedule is over."""
        return self._then.is_over(base)

    @property
    def _then(self) -> Schedule:
        return as_schedule(self.then)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "step": StepDecay,
    "exponential": Exponential,
    "inverse_scaling": InverseScaling,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "plateau": Plateau,
}


def as_schedule(schedule: Schedule | str) -> Schedule:
    """Return a schedule; a name stands for the schedule with its defaults.

    Parameters
    ----------
    schedule : Schedule or str
        One of the keys of `SCHEDULES`.

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        For a name that is not known.

    Examples
    --------
    >>> as_schedule("cosine")
    Cosine(least=0.0)
    """
    if isinstance(schedule, Schedule):
        return schedule
    if not isinstance(schedule, str):
        raise TypeError(f"schedule: expected a Schedule or its name, found {shown(schedule)}")
    if schedule not in SCHEDULES:
        known = ", ".join(map(repr, SCHEDULES))
        raise ValueError(f"schedule: expected one of {known}, found {shown(schedule)}")
    return SCHEDULES[schedule]()


def _cosine(start: float, end: float, progress: npt.NDArray[np.float64]) -> Rates:
    """Return half a period of a cosine from `start`, at progress 0, to `end`, at 1."""
    rates: npt.NDArray[np.float64] = end + (start - end) * (1 + np.cos(np.pi * progress)) / 2
    return rates


def _below_1(name: str, value: Any) -> float:
    return between(name, value, 0, 1)


def _from_0_to_1(name: str, value: Any) -> float:
    found = real(name, value)
    if not 0 <= found <= 1:
        raise ValueError(f"{name}: expected from 0 to 1, found {shown(value)}")
    return found


def _patience(name: str, value: Any) -> float:
    return math.inf if is_number(value) and value == math.inf else whole(name, value, 0)
