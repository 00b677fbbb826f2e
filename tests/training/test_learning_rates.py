"""The learning-rate finder tries rates, and leaves everything as it was."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core import NN, MLPClassifier, find_learning_rate
from cnn_core.learning_rates import LearningRates
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.optimizers import Adam
from cnn_core.training import Recipe
from learnable import one_hot_rows


@pytest.fixture
def data(rng):
    return one_hot_rows(rng, 300)


def model_of(name):
    layers = (Dense(6, 8, "relu", dropout=0.1, normalization="batch"), Dense(8, 3, "softmax"))
    network = Network(layers, "cross_entropy", Adam(), averaging=0.9)
    return Model(network, backend=name).initialize("auto", np.random.RandomState(0))


def test_the_model_is_as_it_was_bit_for_bit(name, data):
    model, untouched = model_of(name), model_of(name)
    for one in (model, untouched):
        one.train(*data, Recipe(2, 32, 0.01))
    find_learning_rate(model, *data, most=10)
    assert (model.steps, model.epochs_done) == (untouched.steps, untouched.epochs_done)
    for key, array in model.arrays().items():
        assert np.array_equal(array, untouched.arrays()[key]), key


def test_rates_grow_by_the_same_factor_and_losses_are_those_before_each_step(name, data):
    x, t = data
    found = find_learning_rate(model_of(name), x, t, least=1e-5, most=1e-1, steps=41)
    assert len(found.rates) == len(found.losses) == len(found.smoothed)
    np.testing.assert_allclose(found.rates[1:] / found.rates[:-1], 10 ** (4 / 40))
    assert found.rates[0] == pytest.approx(1e-5)
    again = find_learning_rate(model_of(name), x, t, least=1e-5, most=1e-1, steps=41)
    assert np.array_equal(found.losses, again.losses)


def test_the_suggestion_is_a_rate_that_learns(name, data):
    found = find_learning_rate(model_of(name), *data, most=1000, steps=100)
    assert 1e-3 < found.suggestion < 1
    model = model_of(name)
    model.train(*data, Recipe(5, 32, found.suggestion))
    assert model.history["loss"][-1] < 0.7 * model.history["loss"][0]


def test_it_ends_where_the_loss_has_grown_several_times_over(name, data):
    net = NN(6, 8, 3, 0.1, 1, seed=0, backend=name)
    linear = Model(Network((Dense(6, 3, "identity"),)), backend=name)
    found = find_learning_rate(linear, *data, least=1e-3, most=1e6)
    assert len(found.rates) < 100
    assert np.isfinite(found.losses).all()
    assert not linear.parameters.any()
    assert len(find_learning_rate(net, data[0], data[1].argmax(axis=1)).rates) == 100


def test_the_curve_can_be_drawn(name, data, tmp_path):
    pytest.importorskip("matplotlib")
    found = find_learning_rate(model_of(name), *data)
    found.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")


def test_a_batch_whose_loss_explodes_does_not_flatten_the_curve(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    figures = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda one, *_, **__: figures.append(one)
    )
    smoothed = np.linspace(2, 1, 50)
    losses = np.append(smoothed[:-1], 1e9)
    LearningRates(np.geomspace(1e-3, 1, 50), losses, smoothed, 0.1).plot(tmp_path / "rates.png")
    assert 2 < figures[0].axes[0].get_ylim()[1] < 3


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"least": 0}, ValueError, "least, most: expected two numbers above 0 in rising order"),
        ({"least": 2, "most": 1}, ValueError, "rising order"),
        ({"most": "1"}, TypeError, "most: expected a number"),
        ({"steps": 1}, ValueError, "steps: expected at least 2"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"least": 1e30, "most": 1e38}, ValueError, "least: the loss explodes within 2 steps"),
    ],
)
def test_what_makes_no_sense_is_refused(name, data, change, error, message):
    model = Model(Network((Dense(6, 3, "identity"),)), backend=name)
    with pytest.raises(error, match=message):
        find_learning_rate(model, *data, **change)
    assert not model.parameters.any()


@pytest.mark.parametrize("network", [None, MLPClassifier, "net"], ids=str)
def test_what_has_no_learning_rate_is_refused_by_name(network):
    with pytest.raises(TypeError, match="expected a Model, an NN or an estimator"):
        find_learning_rate(network, np.zeros((4, 2)), np.zeros(4))
