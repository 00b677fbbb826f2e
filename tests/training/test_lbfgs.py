"""L-BFGS finds the minimum that SciPy's finds, and is a training like any other."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from cnn_core.callbacks import Callback
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.training import DivergenceError, Recipe, Validation

scipy_optimize = pytest.importorskip("scipy.optimize")


@pytest.fixture
def data(rng):
    x = rng.normal(size=(50, 4))
    return x, (x[:, :1] - 2 * x[:, 1:2] + 0.1 * rng.normal(size=(50, 1)))


def linear(name, dtype=np.float64, **settings):
    return Model(Network((Dense(4, 1, "identity"),), **settings), dtype=dtype, backend=name)


def deep(name, dtype=np.float64):
    layers = (Dense(4, 6, "tanh", normalization="layer"), Dense(6, 1, "identity"))
    model = Model(Network(layers, l2=0.01), dtype=dtype, backend=name)
    return model.initialize("auto", np.random.RandomState(0))


def recipe(epochs=200, **changes):
    return Recipe(epochs, 1, 1.0, **{"tol": 1e-8, **changes})


class Counts(Callback):
    def __init__(self, stops_at=None, fails_at=None):
        self.epochs = []
        self.stops_at = stops_at
        self.fails_at = fails_at
        self.kept = None

    def on_epoch_end(self, state):
        self.epochs.append(state.epoch)
        self.kept = state.model.parameters.copy()
        if state.epoch == self.stops_at:
            state.stop("enough")
        if state.epoch == self.fails_at:
            raise LookupError


class TestMinimum:
    @pytest.mark.parametrize("l2", [0.0, 2.0])
    def test_of_a_linear_network_is_that_of_the_normal_equations(self, name, data, l2):
        x, t = data
        model = linear(name, l2=l2)
        state = model.minimize(x, t, recipe())
        extended = np.hstack([x, np.ones((50, 1))])
        penalty = l2 * np.diag([1, 1, 1, 1, 0])
        solution = np.linalg.solve(extended.T @ extended + penalty, extended.T @ t)
        np.testing.assert_allclose(model.parameters, solution.ravel(), rtol=1e-3, atol=1e-3)
        assert state.converged
        assert state.stopped_because.startswith("L-BFGS: CONVERGENCE")

    def test_is_the_weighted_one(self, name, data):
        x, t = data
        weights = np.linspace(0, 2, 50)
        model = linear(name)
        model.minimize(x, t, recipe(), weights=weights)
        extended = np.hstack([x, np.ones((50, 1))]) * np.sqrt(weights)[:, np.newaxis]
        solution = np.linalg.lstsq(extended, t * np.sqrt(weights)[:, np.newaxis], rcond=None)[0]
        np.testing.assert_allclose(model.parameters, solution.ravel(), rtol=1e-3, atol=1e-3)

    def test_float32_finds_it_to_its_precision(self, name, data):
        x, t = data
        single, double = deep(name, np.float32), deep(name)
        first = double.evaluate(x, t)[0]
        single.minimize(x.astype(np.float32), t.astype(np.float32), recipe(60))
        double.minimize(x, t, recipe(60))
        losses = [model.history["loss"][-1] for model in (single, double)]
        assert losses[0] == pytest.approx(losses[1], rel=0.2)
        assert losses[0] < first / 20


class TestTraining:
    def test_an_iteration_is_an_epoch_with_the_loss_after_it(self, name, data):
        counts = Counts()
        model = deep(name)
        state = model.minimize(*data, recipe(7), callbacks=[counts], validation=Validation(*data))
        assert counts.epochs == [1, 2, 3, 4, 5, 6, 7]
        assert (state.epoch, model.epochs_done, state.stopped_because) == (7, 7, None)
        assert not state.converged
        losses = model.history["loss"]
        assert all(after < before for before, after in itertools.pairwise(losses))
        penalty = 0.01 / 100 * sum((layer.weights**2).sum() for layer in model.layers)
        assert model.history["validation_loss"][-1] + penalty == pytest.approx(losses[-1])
        assert "learning_rate" not in model.history

    def test_continues_from_the_state_of_the_model(self, name, data):
        model = deep(name)
        for _ in range(2):
            model.minimize(*data, recipe(3))
        assert model.epochs_done == 6
        assert model.history["loss"][3] < model.history["loss"][2]

    def test_evaluations_are_limited(self, name, data):
        model = deep(name)
        state = model.minimize(*data, recipe(), max_evaluations=5)
        assert 1 <= state.epoch <= 5
        assert "EXCEEDS LIMIT" in state.stopped_because
        assert not state.converged

    def test_a_callback_may_stop_it(self, name, data):
        model, counts = deep(name), Counts(stops_at=3)
        state = model.minimize(*data, recipe(), callbacks=[counts])
        assert (state.epoch, state.stopped_because) == (3, "enough")
        assert np.array_equal(model.parameters, counts.kept)

    def test_an_error_leaves_the_weights_of_the_last_iteration(self, name, data):
        model, counts = deep(name), Counts(fails_at=3)
        with pytest.raises(LookupError):
            model.minimize(*data, recipe(), callbacks=[counts])
        assert np.array_equal(model.parameters, counts.kept)
        assert model.minimize(*data, recipe(1)).epoch == 4

    def test_an_error_in_the_middle_of_a_line_does_too(self, name, data, monkeypatch):
        class Interrupts:
            def __init__(self, engine):
                self.engine = engine
                self.calls = 0

            def gradient(self, *arguments):
                self.calls += 1
                if self.calls == 6:
                    raise KeyboardInterrupt
                return self.engine.gradient(*arguments)

        model, counts = deep(name), Counts()
        model._engine = Interrupts(model._engine)
        with pytest.raises(KeyboardInterrupt):
            model.minimize(*data, recipe(), callbacks=[counts])
        assert np.array_equal(model.parameters, counts.kept)

    def test_stops_early_and_restores_the_best(self, name, data):
        scores = [0.5, 0.9, 0.8, 0.7, 0.6, 0.5]
        validation = Validation(*data, score=lambda y: scores.pop(0))
        model, two = deep(name), deep(name)
        settings = {"monitor": "validation_score", "patience": 1, "tol": 0, "restore_best": True}
        state = model.minimize(*data, recipe(**settings), validation=validation)
        assert (state.epoch, state.best_epoch) == (4, 2)
        two.minimize(*data, recipe(2, tol=0))
        assert np.array_equal(model.parameters, two.parameters)

    def test_no_iterations_change_nothing(self, name, data):
        model = deep(name)
        before = model.parameters.copy()
        assert model.minimize(*data, recipe(0)).record is None
        assert np.array_equal(model.parameters, before)

    def test_a_loss_that_is_not_finite_is_an_error_with_advice(self, name, data):
        model = deep(name)
        model.minimize(*data, recipe(2))
        model.parameters[3] = np.nan
        before = model.parameters.copy()
        with pytest.raises(DivergenceError, match=r"nan in epoch 3; .* inputs scaled"):
            model.minimize(*data, recipe())
        assert np.array_equal(model.parameters, before, equal_nan=True)
        assert model.epochs_done == 2


class TestRefusals:
    @pytest.mark.parametrize(
        ("network", "reason"),
        [
            (Network((Dense(4, 3, dropout=0.5), Dense(3, 1))), "dropout"),
            (Network((Dense(4, 3, normalization="batch"), Dense(3, 1))), "batch normalization"),
            (Network((Dense(4, 1),), averaging=0.9), "averaging"),
            (Network((Dense(4, 1),), clip_norm=1.0), "clip_norm"),
            (Network((Dense(4, 1),), clip_value=1.0), "clip_value"),
        ],
    )
    def test_a_loss_that_changes_is_refused_with_the_reason(self, name, data, network, reason):
        model = Model(network, dtype=np.float64, backend=name)
        with pytest.raises(ValueError, match=f"L-BFGS needs a loss .* goes with no {reason}"):
            model.minimize(*data, recipe())

    def test_without_scipy_it_says_what_to_install(self, data, monkeypatch):
        monkeypatch.setitem(sys.modules, "scipy.optimize", None)
        with pytest.raises(ImportError, match="pip install scipy"):
            linear("numpy").minimize(*data, recipe())
