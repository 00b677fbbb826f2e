"""A model predicts, measures, copies and keeps all that it has learned."""

from __future__ import annotations

import copy
import os
import pickle

import numpy as np
import pytest

from cnn_core.callbacks import Callback
from cnn_core.model import Model
from cnn_core.network import Dense, Huber, Network, Pinball
from cnn_core.optimizers import SGD, Adam
from cnn_core.training import Recipe
from learnable import one_hot_rows


@pytest.fixture
def data(rng):
    return one_hot_rows(rng)


def network_of(loss="cross_entropy", last="softmax", **settings):
    layers = (
        Dense(6, 8, "relu", dropout=0.2, normalization="batch"),
        Dense(8, 7, "tanh", normalization="layer"),
        Dense(7, 3, last),
    )
    return Network(layers, loss, **{"optimizer": Adam(), "averaging": 0.9, **settings})


def model_of(name, network=None, **settings):
    model = Model(network or network_of(), seed=5, backend=name, **settings)
    return model.initialize("auto", np.random.RandomState(0))


def trained(name, data, **settings):
    model = model_of(name, **settings)
    model.train(*(a.astype(model.dtype) for a in data), Recipe(3, 16, 0.02), are_classes=True)
    return model


def same_state(one, other):
    return (
        (one.steps, one.epochs_done, one.samples_done, one.history)
        == (other.steps, other.epochs_done, other.samples_done, other.history)
    ) and all(np.array_equal(array, other.arrays()[key]) for key, array in one.arrays().items())


class TestPredict:
    def test_goes_by_the_average_of_the_parameters(self, name, data):
        model = trained(name, data)
        plain = Model(network_of(averaging=0.0), backend=name)
        plain.parameters[...] = model.average
        plain.statistics[...] = model.statistics
        assert not np.array_equal(model.average, model.parameters)
        assert np.array_equal(model.predict(data[0]), plain.predict(data[0]))
        predict = model.predictor(4)
        assert np.array_equal(predict(data[0][:4]), model.predict(data[0][:4]))
        for layer, expected in zip(model.predicting_layers, plain.layers, strict=True):
            assert np.array_equal(layer.weights, expected.weights)

    def test_writes_into_an_array_of_ones_own(self, name, data):
        model = trained(name, data)
        out = np.empty((60, 3), np.float32)
        assert model.predict(data[0], out) is out
        assert np.array_equal(out, model.predict(data[0]))

    def test_names_the_value_that_is_not_finite(self, name, data):
        x = data[0].copy()
        x[7, 2] = np.nan
        with pytest.raises(ValueError, match="row 7, column 2"):
            model_of(name).predict(x)

    def test_takes_bytes(self, name):
        model = model_of(name, network_of(input_scale=1 / 255))
        x = np.arange(60, dtype=np.uint8).reshape(10, 6)
        assert np.array_equal(model.predict(x), model.predict(x.astype(np.float32)))


class TestEvaluate:
    """The loss on data that is not trained on is that of the formula, in either dtype."""

    LOSSES = (
        ("squared_error", "identity"),
        ("absolute_error", "tanh"),
        (Huber(0.1), "identity"),
        (Pinball(0.9), "identity"),
        ("poisson", "exp"),
        ("binary_cross_entropy", "sigmoid"),
        ("cross_entropy", "softmax"),
    )

    @pytest.mark.parametrize(("loss", "last"), LOSSES, ids=lambda value: str(value))
    def test_is_the_loss_of_the_first_step_where_nothing_differs_in_training(
        self, name, dtype, data, loss, last
    ):
        layers = (Dense(6, 8, "relu", normalization="layer"), Dense(8, 3, last))
        x, t = (array.astype(dtype) for array in data)
        weights = np.linspace(0, 3, 60).astype(dtype)
        for w in (None, weights):
            model = model_of(name, Network(layers, loss), dtype=dtype)
            found, y = model.evaluate(x, t, w)
            assert np.array_equal(y, model.predict(x))
            stepped = model.step(x, t, 1e-9, w)
            assert found == pytest.approx(stepped, rel=1e-6 if dtype == np.float32 else 1e-14)

    def test_is_exact_where_the_outputs_have_nothing_left_to_say(self, name):
        """The probability of the right class is 0 in float32, and its loss is still known."""
        model = Model(Network((Dense(1, 2, "softmax"),), "cross_entropy"), backend=name)
        model.layers[0].weights[...] = [[300.0, -300.0]]
        x, t = np.ones((1, 1), np.float32), np.array([[0, 1]], np.float32)
        loss, y = model.evaluate(x, t)
        assert y[0, 1] == 0
        assert loss == 600

    def test_sees_later_weights(self, name, data):
        model = model_of(name, network_of(averaging=0.0))
        before, _ = model.evaluate(*data)
        model.parameters[...] = 0
        after, _ = model.evaluate(*data)
        assert before != after
        assert after == pytest.approx(np.log(3), rel=1e-6)


class TestState:
    def test_a_snapshot_brings_back_every_bit(self, name, data):
        model = trained(name, data)
        kept, twin = model.snapshot(), copy.deepcopy(model)
        model.train(*data, Recipe(2, 16, 0.02))
        model.restore(kept)
        model.epochs_done = twin.epochs_done
        model.train(*data, Recipe(2, 16, 0.02))
        twin.train(*data, Recipe(2, 16, 0.02))
        for key, array in model.arrays().items():
            assert np.array_equal(array, twin.arrays()[key]), key
        assert model.steps == twin.steps

    @pytest.mark.parametrize(
        "way", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
    )
    def test_copies_are_equal_and_independent_and_train_alike(self, name, data, way):
        model = trained(name, data)
        twin = way(model)
        assert same_state(model, twin)
        before = model.snapshot()
        twin.train(*data, Recipe(2, 16, 0.02))
        assert np.array_equal(model.parameters, before.arrays["parameters"])
        assert len(model.history["loss"]) == 3
        model.train(*data, Recipe(2, 16, 0.02))
        model.history["seconds"] = twin.history["seconds"]
        assert same_state(model, twin)

    def test_first_values_are_those_of_the_average_too(self, name):
        model = model_of(name)
        assert np.array_equal(model.average, model.parameters)
        assert model.parameters.any()
        for pair in model.network.unflatten_statistics(model.statistics)[:1]:
            assert (pair[0] == 0).all()
            assert (pair[1] == 1).all()

    def test_layers_are_views(self, name, data):
        model = model_of(name, network_of(averaging=0.0))
        model.layers[-1].weights[...] = 0
        model.layers[-1].bias[...] = [0, 1, 0]
        assert (model.predict(data[0]).argmax(axis=1) == 1).all()

    def test_a_step_is_one_on_all_samples(self, name, data):
        network = Network((Dense(6, 3, "softmax"),), "cross_entropy", SGD(0.5))
        stepped, fitted = model_of(name, network), model_of(name, network)
        loss = stepped.step(*data, 0.1)
        state = fitted.train(*data, Recipe(1, 60, 0.1, shuffle=False))
        assert loss == state.record.loss
        assert np.array_equal(stepped.parameters, fitted.parameters)
        assert stepped.epochs_done == 0

    def test_there_is_nothing_to_learn_from_no_samples(self, name, data):
        model = model_of(name)
        with pytest.raises(ValueError, match="x: expected at least one sample, found none"):
            model.train(data[0][:0], data[1][:0], Recipe(1, 10, 0.1))
        assert model.steps == model.epochs_done == 0

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_child_that_was_forked_off_in_a_training_can_train(self, name, data):
        class Forks(Callback):
            def on_epoch_end(self, state):
                child = os.fork()
                if child == 0:
                    status = 1
                    try:
                        model.train(*data, Recipe(1, 16, 0.1))
                        status = 0
                    finally:
                        os._exit(status)
                statuses.append(os.waitpid(child, 0)[1])

        model, statuses = model_of(name), []
        model.train(*data, Recipe(1, 16, 0.1), callbacks=[Forks()])
        assert statuses == [0]

    def test_threads_and_backend_are_reported(self, backend):
        model = Model(network_of(), backend=backend.name, n_threads=1)
        assert model.backend == backend.name
        assert model.n_threads == (1 if backend.name == "cython" else None)
        assert backend.name in repr(model)

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"seed": -1}, ValueError, "seed: expected at least 0"),
            ({"seed": 2**64}, ValueError, "seed: expected at most"),
            ({"seed": 1.0}, TypeError, "seed"),
            ({"dtype": "float16"}, ValueError, "dtype: expected float32 or float64"),
            ({"backend": "cuda"}, ValueError, "found 'cuda'"),
            ({"n_threads": 0}, ValueError, "n_threads: expected at least 1"),
        ],
    )
    def test_settings_outside_their_range_are_refused_by_name(self, change, error, message):
        with pytest.raises(error, match=message):
            Model(network_of(), **change)


def test_a_network_larger_than_memory_names_the_layer_that_takes_it(name):
    network = Network((Dense(10**7, 10**7, "relu"), Dense(10**7, 3)))
    with pytest.raises(
        MemoryError, match=r"10,000,000 inputs x 10,000,000 units .* fewer features"
    ):
        Model(network, backend=name)
