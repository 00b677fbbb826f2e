"""A training with a time budget: when it ends, and how its schedule runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnn_core.callbacks import Callback
from cnn_core.schedules import OneCycle
from cnn_core.training import (
    TrainingData,
    train,
)
from learnable import one_hot_rows
from small_trainings import classifier, recipe, same_state


@pytest.fixture
def data(rng):
    return one_hot_rows(rng)


class Clock:
    """A clock that moves when it is told to; steps cost `step` seconds each."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class SlowEngine:
    """An engine whose steps take the time that a clock is told they do."""

    def __init__(self, engine, clock, seconds):
        self._engine = engine
        self._clock = clock
        self._seconds = seconds
        self.rates = []

    def __getattr__(self, attribute):
        return getattr(self._engine, attribute)

    def train_epoch(self, x, t, order, batch_size, learning_rate, weights=None):
        samples = len(x) if order is None else len(order)
        steps = -(-samples // batch_size)
        self._clock.now += steps * self._seconds
        self.rates.extend(np.broadcast_to(learning_rate, steps))
        return self._engine.train_epoch(x, t, order, batch_size, learning_rate, weights)


class EpochsTake(Callback):
    """Lets time pass at the end of each epoch."""

    def __init__(self, clock, seconds):
        self.clock = clock
        self.seconds = seconds

    def on_epoch_end(self, state):
        self.clock.now += self.seconds


class TestTimeBudget:
    """Steps cost what the clock is told: nothing here depends on the machine."""

    def train(self, name, data, step=0.01, budget=2.0, epoch=0.0, epochs=10**6, **changes):
        model, clock = classifier(name), Clock()
        model._engine = engine = SlowEngine(model._engine, clock, step)
        state = train(
            model,
            TrainingData(*data),
            recipe(epochs=epochs, time_budget=budget, **changes),
            callbacks=[EpochsTake(clock, epoch)],
            clock=clock,
        )
        return state, clock.now - 100.0, np.array(engine.rates)

    @pytest.mark.parametrize("step", [pytest.param(0.0001, marks=pytest.mark.slow), 0.001, 0.02])
    @pytest.mark.parametrize("epoch", [0.0, 0.05])
    def test_is_kept_to_two_percent_or_to_what_an_epochs_end_takes(self, name, data, step, epoch):
        state, seconds, _ = self.train(name, data, step=step, epoch=epoch)
        assert 1.96 - 1.5 * epoch <= seconds <= 2.04
        assert state.stopped_because == "the 2 seconds of its budget are over"
        assert not state.converged

    def test_the_schedule_ends_with_it(self, name, data):
        _, _, rates = self.train(name, data, schedule=OneCycle())
        assert len(rates) == pytest.approx(200, rel=0.02)
        highest = int(rates.argmax())
        assert highest == pytest.approx(60, abs=5)
        assert rates[0] == pytest.approx(0.02 / 25)
        assert rates[highest] == pytest.approx(0.02, rel=1e-2)
        assert rates[-1] < 1e-3 * rates[highest]
        assert (np.diff(rates[highest:]) <= 0).all()

    def test_an_epoch_in_pieces_is_reported_as_the_epoch(self, name, data):
        """The budget is for a whole number of epochs, and the rate is the same all along."""
        x, t = data
        state, _, _ = self.train(name, data, budget=0.08, epochs=100)
        plain = classifier(name)
        plain.train(x, t, recipe(epochs=2))
        assert state.model.epochs_done == 2
        assert same_state(state.model, plain)
        np.testing.assert_allclose(state.history["loss"], plain.history["loss"], rtol=1e-6)
        assert state.record.samples == 60

    def test_it_may_end_in_the_middle_of_an_epoch(self, name, data):
        state, _, rates = self.train(name, data, budget=0.06, epochs=100)
        assert len(rates) == 6
        assert (state.epoch, state.record.samples) == (2, 32)
        assert state.record.accuracy is None

    def test_at_least_one_step_is_taken_and_at_most_the_epochs(self, name, data):
        state, _, rates = self.train(name, data, step=5.0)
        assert (state.epoch, len(rates)) == (1, 1)
        state, seconds, rates = self.train(name, data, epochs=3, schedule="cosine")
        assert (state.epoch, state.stopped_because) == (3, None)
        assert seconds < 1
        assert rates[-1] == pytest.approx(0.02 * (1 + math.cos(math.pi * 11 / 12)) / 2)

    def test_the_budget_allows_for_a_long_validation(self, name, data):
        _, seconds, _ = self.train(name, data, epoch=0.3, step=0.01, budget=2.0)
        assert 1.5 < seconds <= 2.04
