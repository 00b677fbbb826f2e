"""When a training stops, by itself or by a callback, and what it restores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnn_core.callbacks import Callback
from cnn_core.optimizers import SGD
from cnn_core.schedules import Plateau
from cnn_core.training import (
    Recipe,
    Validation,
)
from learnable import one_hot_rows
from small_trainings import Values, classifier, eventful, recipe, regressor, same_state


@pytest.fixture
def data(rng):
    return one_hot_rows(rng)


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


class TestBestEpoch:
    def test_any_score_is_better_than_none(self, name, data):
        scores = [math.nan, 0.2, 0.5, math.nan, 0.4]
        validation = Validation(*data, score=lambda y: scores.pop(0))
        chosen = recipe(epochs=5, monitor="validation_score")
        state = classifier(name).train(*data, chosen, validation=validation)
        assert (state.best_epoch, state.best_value) == (3, 0.5)
