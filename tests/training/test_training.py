"""The training loop: what is reported, and what decides its bits."""

from __future__ import annotations

import math

import numpy as np
import pytest

import cnn_core
from cnn_core.schedules import Exponential, InverseScaling, OneCycle
from cnn_core.training import (
    Validation,
    shuffled_order,
)
from learnable import one_hot_rows
from small_trainings import classifier, eventful, recipe, same_state


@pytest.fixture
def data(rng):
    return one_hot_rows(rng)


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
