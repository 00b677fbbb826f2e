"""The training loop: what is reported, when it stops, and what the model has in the end."""

from __future__ import annotations

import math

import numpy as np
import pytest

import cnn_core
from cnn_core.callbacks import Callback
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam
from cnn_core.schedules import Exponential, InverseScaling, OneCycle, Plateau
from cnn_core.training import (
    DivergenceError,
    Recipe,
    TrainingData,
    Validation,
    shuffled_order,
    train,
)


@pytest.fixture
def data(rng):
    x = rng.normal(size=(60, 6)).astype(np.float32)
    return x, cnn_core.one_hot(x[:, :3].argmax(axis=1)).astype(np.float32)


def classifier(name, **settings):
    layers = (Dense(6, 8, "tanh"), Dense(8, 3, "softmax"))
    network = Network(layers, **{"loss": "cross_entropy", "optimizer": Adam(), **settings})
    return Model(network, seed=5, backend=name).initialize("auto", np.random.RandomState(0))


def eventful(name):
    """A network with everything that a training keeps from step to step."""
    layers = (Dense(6, 8, "relu", dropout=0.3, normalization="batch"), Dense(8, 3, "softmax"))
    network = Network(layers, "cross_entropy", SGD(0.9, nesterov=True), averaging=0.95)
    return Model(network, seed=5, backend=name).initialize("auto", np.random.RandomState(0))


def regressor(name, optimizer=None):
    """A network that is sure to diverge if its steps are long."""
    layers = (Dense(6, 8, "relu"), Dense(8, 3, "identity"))
    network = Network(layers, optimizer=optimizer or SGD())
    return Model(network, backend=name).initialize("he_normal", np.random.RandomState(0))


def recipe(**changes):
    return Recipe(**{"epochs": 4, "batch_size": 16, "learning_rate": 0.02, **changes})


def same_state(one, other):
    return one.steps == other.steps and all(
        np.array_equal(array, other.arrays()[key]) for key, array in one.arrays().items()
    )


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


class Values(Callback):
    """Changes the weights, so that the monitored loss follows a plan."""

    def __init__(self, scales):
        self.scales = scales

    def on_epoch_begin(self, state):
        last = state.model.layers[-1]
        last.weights[...] = self.scales[state.epoch - 1]
        last.bias[...] = 0


class TestReports:
    def test_the_history_has_a_value_an_epoch_of_all_that_was_measured(self, name, data):
        model = classifier(name)
        validation = Validation(*data, are_classes=True, score=lambda y: float(y.max()))
        state = model.train(*data, recipe(), are_classes=True, validation=validation)
        assert {key: len(values) for key, values in state.history.items()} == {
            "loss": 4,
            "accuracy": 4,
            "validation_loss": 4,
            "validation_accuracy": 4,
            "validation_score": 4,
            "learning_rate": 4,
            "seconds": 4,
        }
        assert state.history is model.history
        assert state.record.validation_score == model.history["validation_score"][-1]
        assert (state.epoch, state.last_epoch, model.epochs_done) == (4, 4, 4)
        assert model.samples_done == 240
        assert state.stopped_because is None

    def test_validation_is_of_what_predict_gives(self, name, data):
        x, t = data
        model = classifier(name)
        seen = []
        validation = Validation(
            x, t, are_classes=True, score=lambda y: float(seen.append(y.copy()) or 0)
        )
        state = model.train(x, t, recipe(), are_classes=True, validation=validation)
        y = model.predict(x)
        np.testing.assert_allclose(seen[-1], y, rtol=1e-6)
        loss = -np.log(y[t == 1].astype(float)).mean()
        assert state.record.validation_loss == pytest.approx(loss, rel=1e-5)
        hits = (y.argmax(axis=1) == t.argmax(axis=1)).mean()
        assert state.record.validation_accuracy == hits

    def test_weights_count_in_the_losses(self, name, data):
        x, t = data
        model, weights = classifier(name), np.linspace(0, 2, 60, dtype=np.float32)
        before = model.predict(x)[t == 1].astype(float)
        state = model.train(
            x,
            t,
            recipe(epochs=1, batch_size=60),
            weights=weights,
            validation=Validation(x, t, weights),
        )
        after = model.predict(x)[t == 1].astype(float)
        for y, loss in ((before, state.record.loss), (after, state.record.validation_loss)):
            assert loss == pytest.approx(np.average(-np.log(y), weights=weights), rel=1e-5)

    def test_samples_of_weight_0_change_nothing(self, name, data):
        x, t = data
        weights = (np.arange(60) < 30).astype(np.float32)
        t_changed = t.copy()
        t_changed[30:] = t[30:, ::-1]
        models = [classifier(name), classifier(name)]
        for model, targets in zip(models, (t, t_changed), strict=True):
            model.train(x, targets, recipe(), weights=weights)
        assert same_state(*models)

    def test_no_epochs_change_nothing(self, name, data):
        model = classifier(name)
        before = model.snapshot()
        state = model.train(*data, recipe(epochs=0))
        assert state.record is None
        assert np.array_equal(model.parameters, before.arrays["parameters"])
        assert model.history == {}

    def test_the_rate_of_the_last_step_is_recorded(self, name, data):
        model = classifier(name)
        model.train(*data, recipe(schedule=Exponential(0.5)))
        np.testing.assert_allclose(model.history["learning_rate"], [0.02, 0.01, 0.005, 0.0025])
        cosine = classifier(name).train(*data, recipe(schedule="cosine"))
        assert cosine.record.learning_rate == pytest.approx(
            0.02 * (1 + math.cos(math.pi * 15 / 16)) / 2
        )

    def test_a_schedule_over_samples_seen_continues_in_the_next_training(self, name, data):
        model = classifier(name)
        for _ in range(2):
            model.train(*data, recipe(epochs=2, schedule=InverseScaling()))
        expected = 0.02 / np.sqrt(1 + 60 * np.arange(4))
        np.testing.assert_allclose(model.history["learning_rate"], expected)


class TestReproducibility:
    def test_one_seed_gives_the_same_bits_with_any_callback(self, name, data, tmp_path):
        plain, watched = classifier(name), classifier(name)
        plain.train(*data, recipe())
        watched.train(
            *data,
            recipe(patience=100, tol=0.1, monitor="validation_loss"),
            are_classes=True,
            validation=Validation(*data),
            callbacks=[
                cnn_core.callbacks.CSVLog(tmp_path / "log.csv"),
                cnn_core.callbacks.SaveModel(tmp_path / "model"),
                cnn_core.callbacks.EarlyStopping(patience=None),
            ],
        )
        assert same_state(plain, watched)
        assert plain.history["loss"] == watched.history["loss"]

    def test_a_training_in_parts_is_the_training_at_once(self, name, data):
        at_once, in_parts = eventful(name), eventful(name)
        at_once.train(*data, recipe(epochs=6))
        for epochs in (1, 3, 2):
            in_parts.train(*data, recipe(epochs=epochs))
        assert same_state(at_once, in_parts)
        assert at_once.history["loss"] == in_parts.history["loss"]

    def test_the_seed_is_the_key_of_the_orders(self, name, data):
        one, other = classifier(name), classifier(name)
        other.seed = 6
        one.train(*data, recipe())
        other.train(*data, recipe())
        assert not same_state(one, other)

    def test_an_order_is_a_permutation_of_its_epoch(self):
        orders = {tuple(shuffled_order(2**64 - 1, epoch, 50)) for epoch in range(1, 6)}
        assert len(orders) == 5
        assert all(sorted(order) == list(range(50)) for order in orders)

    def test_without_shuffling_samples_are_taken_as_they_stand(self, name, data):
        x, t = data
        model, by_hand = classifier(name), classifier(name)
        model.train(x, t, recipe(epochs=2, shuffle=False))
        for _ in range(2):
            for start in range(0, 60, 16):
                by_hand.step(x[start : start + 16], t[start : start + 16], 0.02)
        assert same_state(model, by_hand)


class TestStopping:
    """Each epoch's loss is chosen, and not changed by steps too short to count."""

    plan = (0.0, 4.0, 2.0, 3.0, 1.0, 3.0, 3.0, 3.0, 3.0, 3.0)

    def train(self, name, data, **changes):
        model = regressor(name)
        settings = {"epochs": 10, "batch_size": 60, "learning_rate": 1e-30, "monitor": "loss"}
        state = model.train(
            data[0],
            np.zeros_like(data[1]),
            Recipe(**{**settings, **changes}),
            validation=Validation(data[0], np.zeros_like(data[1]), score=self.score),
            callbacks=[Values(self.plan[1:] + self.plan[1:])],
        )
        return model, state

    @staticmethod
    def score(y):
        return -float(np.abs(y).max())

    def test_ends_after_more_than_patience_epochs_without_an_improvement(self, name, data):
        for monitor in ("loss", "validation_loss", "validation_score"):
            _, state = self.train(name, data, patience=2, monitor=monitor)
            assert (state.epoch, state.best_epoch) == (7, 4)
            assert state.converged
            assert state.stopped_because == (
                f"{monitor.replace('_', ' ')} did not improve by more than 0 for 3 epochs in a row"
            )

    def test_an_improvement_within_the_tolerance_is_none(self, name, data):
        _, strict = self.train(name, data, patience=2, tol=1e9)
        assert strict.epoch == 4
        assert strict.best_epoch == 4

    def test_without_patience_it_continues(self, name, data):
        _, state = self.train(name, data)
        assert (state.epoch, state.stopped_because, state.converged) == (10, None, False)
        assert (state.best_epoch, state.best_value) == (4, state.history["loss"][3])

    def test_the_best_weights_are_restored_bit_for_bit(self, name, data):
        model, state = self.train(name, data, patience=2, restore_best=True)
        assert (model.layers[-1].weights == self.plan[4]).all()
        assert (model.epochs_done, len(state.history["loss"])) == (7, 7)
        assert model.steps == 4

    def test_the_best_of_all_that_a_training_keeps_is_restored(self, name, data):
        stopped, best = eventful(name), eventful(name)
        x, t = data
        validation = Validation(x[:20], t[:20], score=lambda y: scores.pop(0))
        scores = [0.1, 0.2, 0.9, 0.3, 0.4]
        state = stopped.train(
            x,
            t,
            recipe(epochs=5, monitor="validation_score", restore_best=True),
            validation=validation,
        )
        best.train(x, t, recipe(epochs=3))
        assert state.best_value == 0.9
        assert same_state(stopped, best)
        assert np.array_equal(stopped.predict(x), best.predict(x))

    def test_they_are_restored_after_an_error_too(self, name, data):
        class Fails(Callback):
            def on_epoch_end(self, state):
                if state.epoch == 6:
                    raise KeyboardInterrupt

        model = regressor(name)
        with pytest.raises(KeyboardInterrupt):
            model.train(
                data[0],
                np.zeros_like(data[1]),
                Recipe(10, 60, 1e-30, restore_best=True),
                callbacks=[Values(self.plan[1:]), Fails()],
            )
        assert (model.layers[-1].weights == self.plan[4]).all()

    def test_a_plateau_lowers_the_rate_and_ends_the_training_if_asked_to(self, name, data):
        schedule = Plateau(factor=0.1, patience=1, tol=0, least=1e-31, stop=True)
        _, state = self.train(name, data, schedule=schedule)
        np.testing.assert_allclose(
            state.history["learning_rate"], [1e-30] * 6 + [1e-31] * 2, rtol=1e-12
        )
        assert state.stopped_because.startswith("the learning rate fell to 1e-31")
        assert state.converged

    @pytest.mark.parametrize(
        ("monitor", "needed"),
        [
            ("accuracy", "targets that are classes"),
            ("validation_loss", "validation data"),
            ("validation_accuracy", "validation data whose targets are classes"),
            ("validation_score", "validation data and a score"),
        ],
    )
    def test_monitoring_what_is_not_measured_is_refused_before_training(
        self, name, data, monitor, needed
    ):
        model = classifier(name)
        before = model.snapshot()
        with pytest.raises(ValueError, match=f"monitor: '{monitor}' needs {needed}"):
            model.train(*data, recipe(monitor=monitor))
        assert model.steps == before.steps == 0

    def test_a_callback_may_end_it_at_any_time(self, name, data):
        class Stops(Callback):
            def __init__(self, hook, epoch):
                def stop(state):
                    if state.epoch == epoch:
                        state.stop("enough")
                        state.stop("more than enough")

                setattr(self, hook, stop)

        done = {}
        for hook, epoch in (("on_train_begin", 0), ("on_epoch_begin", 2), ("on_epoch_end", 2)):
            model = classifier(name)
            state = model.train(*data, recipe(), callbacks=[Stops(hook, epoch)])
            assert (state.stopped_because, state.converged) == ("enough", False)
            assert state.epoch == model.epochs_done
            done[hook] = model.epochs_done
        assert done == {"on_train_begin": 0, "on_epoch_begin": 1, "on_epoch_end": 2}

    def test_a_callback_may_set_the_rate_of_the_epochs_to_come(self, name, data):
        class Halves(Callback):
            def on_epoch_end(self, state):
                state.learning_rate /= 2

        model = classifier(name)
        model.train(*data, recipe(), callbacks=[Halves()])
        assert model.history["learning_rate"] == [0.02, 0.01, 0.005, 0.0025]

    @pytest.mark.parametrize("rate", [1, np.float32(0.5)])
    def test_a_rate_may_be_any_kind_of_number(self, name, data, rate):
        class Sets(Callback):
            def on_epoch_end(self, state):
                state.learning_rate = rate

        model = classifier(name, optimizer=SGD())
        model.train(*data, recipe(epochs=2), callbacks=[Sets()])
        assert model.history["learning_rate"] == [0.02, rate]

    @pytest.mark.parametrize("rate", [0, -0.1, math.nan])
    def test_a_rate_that_is_none_is_refused_where_it_is_set(self, name, data, rate):
        class Sets(Callback):
            def on_epoch_end(self, state):
                state.learning_rate = rate

        with pytest.raises(ValueError, match="learning_rate: expected"):
            classifier(name).train(*data, recipe(), callbacks=[Sets()])


class TestDivergence:
    def test_a_loss_that_is_not_finite_restores_the_last_good_weights(self, name, data):
        x, t = data
        model = regressor(name)
        model.train(x, t, Recipe(3, 16, 0.01))
        good = model.parameters.copy()
        with pytest.raises(DivergenceError) as caught:
            model.train(x, t, Recipe(5, 16, 1e6))
        assert np.array_equal(model.parameters, good)
        message = str(caught.value)
        assert "in epoch 4; the weights are again those before this training" in message
        assert "lower learning rate (it was 1e+06)" in message
        assert "inputs scaled" in message
        assert "clip_norm" in message
        assert model.epochs_done == len(model.history["loss"]) == 3
        assert isinstance(caught.value, FloatingPointError)
        assert isinstance(caught.value, ValueError)

    def test_they_are_those_after_the_last_good_epoch(self, name, data):
        class Bolts(Callback):
            def on_epoch_begin(self, state):
                if state.epoch == 3:
                    state.learning_rate = 1e9

        x, t = data
        model, two = regressor(name), regressor(name)
        with pytest.raises(DivergenceError, match=r"in epoch 3; .* those after epoch 2"):
            model.train(x, t, Recipe(5, 16, 0.01), callbacks=[Bolts()])
        two.train(x, t, Recipe(2, 16, 0.01))
        assert np.array_equal(model.parameters, two.parameters)

    def test_steps_that_lead_astray_in_the_last_batch_are_undone_too(self, name, data):
        """One step an epoch: the epoch in which it shows is the one after that of the step."""
        x, t = data
        model = regressor(name)
        start = model.parameters.copy()
        with pytest.raises(DivergenceError, match=r"in epoch 2; .* those before this training"):
            model.train(x, t, Recipe(5, 60, 1e4))
        assert np.array_equal(model.parameters, start)

    def test_weights_beyond_their_dtype_are_noticed_after_the_last_step(self, name, data):
        x, t = data
        model = regressor(name)
        start = model.parameters.copy()
        with pytest.raises(DivergenceError, match="the range of float32 in epoch 1"):
            model.train(x, t, Recipe(1, 60, 3e38))
        assert np.array_equal(model.parameters, start)

    def test_an_exploding_loss_is_caught_while_it_is_finite(self, name, data):
        x, t = data
        model = regressor(name)
        with pytest.raises(DivergenceError, match=r"the loss grew to [\d.e+]+ in epoch") as caught:
            model.train(x, t, Recipe(500, 60, 0.9), callbacks=[])
        losses = model.history["loss"]
        assert 1 < len(losses) < 20
        assert max(losses) <= 1000 * losses[0]
        assert np.isfinite(model.predict(x)).all()
        assert "clip_norm" in str(caught.value)

    def test_a_loss_below_1_may_grow_more_than_a_thousandfold(self, name, data):
        x, t = data
        model = regressor(name)
        recipe = Recipe(2, 60, 1e-30)
        model.train(x, np.zeros_like(t), recipe, callbacks=[Values([1e-4, 1e-1])])
        first, second = model.history["loss"]
        assert 0 < first < second / 1000 < 1 / 1000
        with pytest.raises(DivergenceError, match="grew"):
            model.train(x, np.zeros_like(t), recipe, callbacks=[Values([0, 0, 1e-1, 1e3])])

    def test_the_optimizer_starts_again_and_training_can_continue(self, name, data):
        x, t = data
        model, fresh = regressor(name, Adam()), regressor(name, Adam())
        with pytest.raises(DivergenceError):
            model.train(x, t, Recipe(5, 16, 1e12))
        assert model.steps == 0
        assert not model.moments.any()
        model.train(x, t, Recipe(2, 16, 0.01))
        fresh.train(x, t, Recipe(2, 16, 0.01))
        assert np.array_equal(model.parameters, fresh.parameters)

    def test_with_restore_best_the_weights_are_the_best_ones(self, name, data):
        class Bolts(Callback):
            def on_epoch_begin(self, state):
                if state.epoch == 4:
                    state.learning_rate = 1e12

        scores = [0.5, 0.9, 0.7]
        x, t = data
        model, two = regressor(name), regressor(name)
        with pytest.raises(DivergenceError, match=r"in epoch 4; .* those after epoch 2"):
            model.train(
                x,
                t,
                Recipe(6, 16, 0.01, restore_best=True, monitor="validation_score"),
                validation=Validation(x, t, score=lambda y: scores.pop(0)),
                callbacks=[Bolts()],
            )
        two.train(x, t, Recipe(2, 16, 0.01))
        assert np.array_equal(model.parameters, two.parameters)


class TestBestEpoch:
    def test_any_score_is_better_than_none(self, name, data):
        scores = [math.nan, 0.2, 0.5, math.nan, 0.4]
        validation = Validation(*data, score=lambda y: scores.pop(0))
        chosen = recipe(epochs=5, monitor="validation_score")
        state = classifier(name).train(*data, chosen, validation=validation)
        assert (state.best_epoch, state.best_value) == (3, 0.5)


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


class TestRecipe:
    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"epochs": -1}, ValueError, "epochs: expected at least 0"),
            ({"epochs": 1.5}, TypeError, "epochs: expected a whole number"),
            ({"batch_size": 0}, ValueError, "batch_size"),
            ({"learning_rate": 0}, ValueError, "learning_rate: expected a finite number above 0"),
            ({"learning_rate": math.nan}, ValueError, "learning_rate"),
            ({"time_budget": -1}, ValueError, "time_budget: expected a finite number above 0"),
            ({"tol": -1}, ValueError, "tol: expected at least 0"),
            ({"patience": -1}, ValueError, "patience"),
            ({"monitor": "f1"}, ValueError, "monitor: expected one of 'loss', .*, found 'f1'"),
            ({"schedule": "slow"}, ValueError, "schedule"),
        ],
    )
    def test_settings_outside_their_range_are_refused_by_name(self, change, error, message):
        with pytest.raises(error, match=message):
            recipe(**change)

    def test_names_of_schedules_become_schedules(self):
        assert recipe(schedule="one_cycle").schedule == OneCycle()
