"""A model trains beyond 2**32 steps, which batches of one sample reach in hours."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

import cnn_core
from cnn_core import MLPClassifier, Model, Recipe
from cnn_core.callbacks import Callback, EarlyStopping
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam, Lion, Nadam, RMSprop, Rprop

LAYERS = (Dense(3, 4, "relu", dropout=0.3), Dense(4, 2, "softmax"))
X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
T = np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 1, 0]]
RECIPE = Recipe(epochs=2, batch_size=2, learning_rate=0.05)
NEAR_THE_END_OF_32_BITS = (2**32 - 2, 2**32 - 1, 2**32, 2**40)

steps = pytest.mark.parametrize("steps", NEAR_THE_END_OF_32_BITS)


def model_at(steps, backend, optimizer=None):
    network = Network(LAYERS, "cross_entropy", optimizer or Adam(), averaging=0.9)
    model = Model(network, seed=3, backend=backend)
    model.initialize("auto", np.random.RandomState(0))
    model.steps = steps
    return model


def same(one, other):
    assert one.steps == other.steps
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])


@steps
def test_it_is_saved_loaded_copied_and_restored(name, steps, tmp_path):
    model = model_at(steps, name)
    model.train(X, T, RECIPE)
    assert model.steps == steps + 6
    model.save(tmp_path / "file")
    for other in (
        cnn_core.load(tmp_path / "file", backend=name),
        copy.deepcopy(model),
        copy.copy(model),
        pickle.loads(pickle.dumps(model)),
    ):
        same(other, model)
    snapshot = model.snapshot()
    model.train(X, T, RECIPE)
    model.restore(snapshot)
    assert model.steps == steps + 6


@steps
def test_it_continues_from_a_file_without_a_difference(name, steps, tmp_path):
    model = model_at(steps, name)
    model.train(X, T, RECIPE)
    model.save(tmp_path / "file")
    other = cnn_core.load(tmp_path / "file", backend=name)
    for one in (model, other):
        one.train(X, T, RECIPE)
    same(model, other)


class Ended(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, state):
        if state.epoch == self.epoch:
            raise InterruptedError


@steps
def test_it_is_resumed_from_its_checkpoint(name, steps, tmp_path):
    whole, killed, resumed = (model_at(steps, name) for _ in range(3))
    whole.train(X, T, RECIPE)
    checkpoint = cnn_core.Checkpoint(tmp_path / "file", every_epochs=1)
    with pytest.raises(InterruptedError):
        killed.train(X, T, RECIPE, checkpoint=checkpoint, callbacks=[Ended(2)])
    stopping = EarlyStopping("loss", restore_best=True)
    resumed.train(X, T, RECIPE, checkpoint=checkpoint)
    same(resumed, whole)
    best = model_at(steps, name)
    best.train(X, T, RECIPE, callbacks=[stopping])
    assert best.steps in (steps + 3, steps + 6)


def test_an_estimator_of_so_many_steps_is_saved_and_trains_on(name, tmp_path):
    labels = np.array([0, 1, 0, 1, 1, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = MLPClassifier((3,), max_iter=2, random_state=0, backend=name).fit(X, labels)
    estimator.model_.steps = 2**32 - 1
    estimator.save(tmp_path / "file")
    other = cnn_core.load(tmp_path / "file", backend=name)
    for one in (estimator, other):
        one.partial_fit(X, labels)
    assert other.model_.steps == 2**32
    other.save(tmp_path / "file")
    same(cnn_core.load(tmp_path / "file", backend=name).model_, estimator.model_)


@pytest.mark.parametrize(
    "optimizer", [SGD(0.9, nesterov=True), Adam(), RMSprop(), Nadam(), Lion(), Rprop()], ids=repr
)
def test_every_optimizer_takes_the_same_steps_as_long_after_its_beginning(name, optimizer):
    # What formulas correct for the first steps has long come to its limit.
    first, second = (model_at(steps, name, optimizer) for steps in (2**32 - 3, 2**33 - 3))
    for model in (first, second):
        model.train(X, T, RECIPE)
    np.testing.assert_array_equal(first.parameters, second.parameters)


def test_the_dropout_counts_them_modulo_32_bits(name):
    # The formulas of Lion do not depend on their number.
    first, second = (model_at(steps, name, Lion()) for steps in (7, 2**32 + 7))
    for model in (first, second):
        model.train(X, T, RECIPE)
    np.testing.assert_array_equal(first.parameters, second.parameters)
    other = model_at(8, name, Lion())
    other.train(X, T, RECIPE)
    assert (other.parameters != first.parameters).any()
