"""A training that diverges ends where it does, with the last good weights."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.callbacks import Callback
from cnn_core.optimizers import Adam
from cnn_core.training import (
    DivergenceError,
    Recipe,
    Validation,
)
from learnable import one_hot_rows
from small_trainings import Values, regressor


@pytest.fixture
def data(rng):
    return one_hot_rows(rng)


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
