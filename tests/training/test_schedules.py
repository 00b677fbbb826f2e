"""Schedules give the rates of their formulas, for any part of an epoch."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnn_core.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    InverseScaling,
    OneCycle,
    Plateau,
    Schedule,
    StepDecay,
    Steps,
    WarmUp,
    as_schedule,
)
from cnn_core.training.patience import PatienceCounter

BASE = 0.4
# What PyTorch 2's schedulers of these names have set for the same arguments.
ONE_CYCLE = [
    0.016000000000000014,
    0.20800000000000002,
    0.4,
    0.38019385280538953,
    0.3246982615799052,
    0.24450480877451572,
    0.1554967912254843,
    0.0753033384200948,
    0.019807747194610516,
    1.6e-06,
]
ONE_CYCLE_OTHER = [0.04, 0.13, 0.31, 0.4, 0.3414799348810722, 0.2002, 0.05892006511892782, 0.0004]
COSINE = [
    0.4,
    0.38515650883970093,
    0.34288582233137677,
    0.2796232693111925,
    0.205,
    0.13037673068880748,
    0.06711417766862324,
    0.024843491160299085,
]
STEP = [0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.1, 0.1]
EXPONENTIAL = [0.4, 0.36, 0.324, 0.2916, 0.26244]
PLATEAU_VALUES = [1.0, 0.9, 0.9, 0.895, 0.89, *[0.5] * 10]
PLATEAU = [*[0.4] * 5, *[0.04] * 4, *[0.004] * 3, *[0.001] * 3]


def rates(schedule: Schedule, total: int, part: int | None = None, per_epoch: int = 1) -> list:
    """All rates of a training of `total` steps, asked for `part` steps at a time."""
    found = []
    part = part or per_epoch
    for first in range(0, total, part):
        count = min(part, total - first)
        steps = Steps(first, count, per_epoch, total, samples_seen=first * 10)
        found.extend(np.broadcast_to(schedule.rates(BASE, steps), count))
    return found


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(), [BASE] * 7),
        (OneCycle(), ONE_CYCLE),
        (OneCycle(pct_start=0.5, div=10, final_div=100), ONE_CYCLE_OTHER),
        (Cosine(least=0.01), COSINE),
        (StepDecay(every_epochs=3, factor=0.5), STEP),
        (Exponential(0.9), EXPONENTIAL),
        (InverseScaling(0.5), [BASE / math.sqrt(1 + 10 * step) for step in range(6)]),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("part", [1, 3, 100])
def test_rates_are_those_of_the_formula(schedule, expected, part):
    if isinstance(schedule, Cosine | OneCycle | Constant):
        found = rates(schedule, len(expected), part, per_epoch=100)
    else:
        found = rates(schedule, len(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("schedule", [StepDecay(2), Exponential(), InverseScaling(), Plateau()])
def test_what_changes_from_epoch_to_epoch_is_one_number_within_one(schedule):
    steps = Steps(first=20, count=5, per_epoch=10, total=100, samples_seen=640)
    assert isinstance(schedule.rates(BASE, steps), float)


@pytest.mark.parametrize("schedule", [OneCycle(), Cosine(), WarmUp(3), WarmUp(epochs=0.5)])
@pytest.mark.parametrize("total", [1, 2, 3, 4, 10])
def test_any_number_of_steps_has_finite_rates(schedule, total):
    found = rates(schedule, total, per_epoch=total)
    assert len(found) == total
    assert np.isfinite(found).all()
    assert min(found) >= 0
    assert max(found) <= BASE


@pytest.mark.parametrize("schedule", [OneCycle(), Cosine(least=0.01)])
def test_steps_beyond_an_estimated_total_stay_at_the_last_rate(schedule):
    found = schedule.rates(BASE, Steps(first=120, count=3, per_epoch=50, total=100, samples_seen=0))
    last = {OneCycle: BASE / 25 / 1e4, Cosine: 0.01}[type(schedule)]
    np.testing.assert_allclose(found, last)


class TestPlateau:
    schedule = Plateau(factor=0.1, patience=2, tol=1e-2, least=1e-3)

    def follow(self, schedule, values):
        found = []
        for epoch, value in enumerate(values):
            found.append(schedule.rates(BASE, Steps(epoch, 1, 1, len(values), 0)))
            schedule = schedule.after_epoch(value)
        return found, schedule

    def test_rates_are_pytorchs(self):
        found, _ = self.follow(self.schedule, PLATEAU_VALUES)
        np.testing.assert_allclose(found, PLATEAU, rtol=1e-12)

    def test_what_a_training_does_with_it_leaves_it_as_it_is(self):
        self.follow(self.schedule, [0.0] * 20)
        assert self.schedule == Plateau(factor=0.1, patience=2, tol=1e-2, least=1e-3)
        assert self.schedule.rates(BASE, Steps(0, 1, 1, 1, 0)) == BASE

    def test_is_over_only_if_asked_for_and_where_the_rate_can_fall_no_further(self):
        stopping = Plateau(factor=0.2, patience=0, tol=0, least=1e-2, stop=True)
        over = []
        for _ in range(6):
            over.append(stopping.is_over(BASE))
            stopping = stopping.after_epoch(1.0)
        # 0.4 for the best and the first that is not, then 0.08, 0.016, 0.01, over.
        assert over == [False] * 5 + [True]
        _, endless = self.follow(self.schedule, [1.0] * 100)
        assert not endless.is_over(BASE)


class TestWarmUp:
    def test_rises_in_equal_steps_and_hands_over(self):
        found = rates(WarmUp(steps=3, then=Constant()), 6, per_epoch=2)
        np.testing.assert_allclose(found, [0.1, 0.2, 0.3, 0.4, 0.4, 0.4])

    @pytest.mark.parametrize("part", [1, 2, 3, 14])
    def test_the_other_schedule_has_the_steps_that_are_left(self, part):
        found = rates(WarmUp(steps=4, then=OneCycle()), 14, part, per_epoch=14)
        np.testing.assert_allclose(found[4:], ONE_CYCLE, rtol=1e-12)

    def test_its_length_may_be_in_epochs(self):
        assert rates(WarmUp(epochs=1.5), 10, per_epoch=2) == rates(WarmUp(steps=3), 10, per_epoch=2)

    def test_a_plateau_after_it_sees_the_epochs(self):
        schedule = WarmUp(steps=1, then=Plateau(patience=0, factor=0.5))
        for _ in range(3):
            schedule = schedule.after_epoch(1.0)
        assert schedule.rates(BASE, Steps(3, 1, 1, 10, 0)) == BASE / 4
        assert not schedule.is_over(BASE)


class TestWatch:
    def test_only_more_than_the_tolerance_is_an_improvement(self):
        watch = PatienceCounter()
        waited = []
        for value in (1.0, 0.875, 0.75, 0.5, 0.5, 2.0, 0.25):
            watch = watch.after(value, tol=0.125)
            waited.append(watch.waited)
        assert waited == [0, 1, 2, 0, 1, 2, 0]
        assert watch.best == 0.25

    def test_nothing_improves_on_what_is_no_number(self):
        assert PatienceCounter(best=1.0).after(math.nan, 0.0).waited == 1


class TestNames:
    @pytest.mark.parametrize("name", SCHEDULES)
    def test_each_name_is_a_schedule_with_its_defaults(self, name):
        assert as_schedule(name) == SCHEDULES[name]()

    def test_a_schedule_stays_itself(self):
        schedule = Cosine()
        assert as_schedule(schedule) is schedule
        assert WarmUp(2, then="cosine") == WarmUp(2, then=Cosine())

    @pytest.mark.parametrize(("found", "error"), [("linear", ValueError), (0.5, TypeError)])
    def test_anything_else_is_refused_with_what_there_is(self, found, error):
        with pytest.raises(error, match="schedule: expected"):
            as_schedule(found)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: StepDecay(0), "every_epochs: expected at least 1, found 0"),
            (lambda: StepDecay(factor=0), "factor: expected a number above 0, found 0"),
            (lambda: Exponential(math.inf), "factor"),
            (lambda: Cosine(-1), "least: expected at least 0, found -1"),
            (lambda: OneCycle(pct_start=1.5), "pct_start: expected from 0 to 1, found 1.5"),
            (lambda: OneCycle(div=0), "div"),
            (lambda: Plateau(factor=1), "factor: expected above 0 and below 1, found 1"),
            (lambda: Plateau(patience=-1), "patience"),
            (lambda: WarmUp(-1), "steps"),
            (lambda: WarmUp(epochs=math.nan), "epochs"),
            (lambda: WarmUp(then="up"), "schedule"),
        ],
    )
    def test_settings_outside_their_range_are_refused_by_name(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()
