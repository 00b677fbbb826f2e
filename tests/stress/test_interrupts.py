"""Ctrl-C at 50 random moments of a training: what is left is whole and can be used.

The signals are those of a timer, so each training has a process of its own:

    python test_interrupts.py model numpy
"""

from __future__ import annotations

import copy
import hashlib
import math
import random
import signal
import sys
import time
import warnings

import numpy as np
import pytest

from cnn_core import NN, MLPClassifier
from cnn_core.backends.numpy import engine as numpy_engine
from cnn_core.callbacks import Callback
from cnn_core.exclusive import Exclusive
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.optimizers import Adam
from cnn_core.training import INTERRUPTED, Recipe, Validation, shuffled_order
from scenarios import run_alone

pytestmark = pytest.mark.serial

INTERRUPTS, MOST_TRIES = 50, 500
LONGEST_RUN = 120
EPOCHS, SAMPLES, BATCH = 8, 160, 8
RATE = 0.01

rng = np.random.default_rng(20260401)
X = rng.random((SAMPLES, 20), np.float32)
LABELS = rng.integers(0, 3, SAMPLES)
TARGETS = np.eye(3, dtype=np.float32)[LABELS]


class Begin(Callback):
    """Keeps the model that a training begins with."""

    model = None

    def on_train_begin(self, state):
        self.model = copy.deepcopy(state.model)


class OfNN:
    """Plain gradient descent, with validation data."""

    def __init__(self, backend):
        self.owner = NN(20, 24, 3, RATE, EPOCHS, batch_size=BATCH, seed=5, backend=backend)

    def train(self, callback):
        self.owner.fit(X, LABELS, validation=(X, LABELS), callbacks=[callback])

    def go_on(self):
        self.owner.epochs = 1
        self.owner.fit(X, LABELS)

    @property
    def model(self):
        return self.owner.model

    def outputs(self):
        return self.owner.predict(X)


class OfModel:
    """Everything that steps change: moments, running averages and the average of the weights."""

    def __init__(self, backend):
        layers = (Dense(20, 24, "relu", 0.2, normalization="batch"), Dense(24, 3, "softmax"))
        network = Network(layers, "cross_entropy", Adam(), averaging=0.9)
        self.model = Model(network, seed=5, backend=backend)
        self.model.initialize("auto", np.random.RandomState(1))

    def train(self, callback):
        validation = Validation(X, TARGETS, are_classes=True)
        recipe = Recipe(EPOCHS, BATCH, RATE)
        self.model.train(X, TARGETS, recipe, validation=validation, callbacks=[callback])

    def go_on(self):
        self.model.train(X, TARGETS, Recipe(1, BATCH, RATE))

    def outputs(self):
        return self.model.predict(X)


class OfClassifier:
    """The best weights are restored at the end; `fit` warns in place of the exception."""

    def __init__(self, backend):
        self.owner = MLPClassifier(
            (24,),
            batch_size=BATCH,
            learning_rate_init=RATE,
            alpha=0.0,
            max_iter=EPOCHS,
            early_stopping=True,
            n_iter_no_change=EPOCHS,
            random_state=5,
            backend=backend,
        )

    def train(self, callback):
        self.owner.set_params(callbacks=[callback])
        self.owner.fit(X, LABELS, eval_set=(X, LABELS))
        if self.owner.stopped_because_ == INTERRUPTED:
            raise KeyboardInterrupt

    def go_on(self):
        self.owner.set_params(early_stopping=False).partial_fit(X, LABELS)

    @property
    def model(self):
        return self.owner.model_

    def outputs(self):
        assert self.owner.predict(X).shape == LABELS.shape
        return self.owner.predict_proba(X)


KINDS = {"nn": OfNN, "model": OfModel, "classifier": OfClassifier}


def state_of(model) -> str:
    """What steps change, in short."""
    digest = hashlib.sha256()
    for array in model.arrays().values():
        digest.update(array.tobytes())
    return digest.hexdigest()


def states_after_each_step(model) -> list[str]:
    """Take the steps of the training one by one."""
    states = [state_of(model)]
    with model.exclusively() as engine:
        for epoch in range(1, EPOCHS + 1):
            order = shuffled_order(model.seed, epoch, SAMPLES)
            for first in range(0, SAMPLES, BATCH):
                engine.train_epoch(X, TARGETS, order[first : first + BATCH], BATCH, RATE)
                states.append(state_of(model))
    return states


def tell_of_what_is_lost(lost: sys.UnraisableHookArgs) -> None:
    """Python drops an interrupt that comes in a callback of its own, as of a weak reference."""
    if lost.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(lost)


def interrupted(kind: str, backend: str) -> None:
    warnings.simplefilter("ignore")
    sys.unraisablehook = tell_of_what_is_lost
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    longest = math.inf
    for _ in range(2):
        begin, whole = Begin(), KINDS[kind](backend)
        start = time.perf_counter()
        whole.train(begin)
        longest = min(longest, time.perf_counter() - start)
    states = states_after_each_step(begin.model)
    assert state_of(whole.model) == states[whole.model.steps]
    chance = random.Random(7)
    hits = tries = 0
    while hits < INTERRUPTS:
        tries += 1
        assert tries <= MOST_TRIES, f"{hits} interrupts of {tries} came in a training"
        begin, left = Begin(), KINDS[kind](backend)
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, longest))
            left.train(begin)
            signal.setitimer(signal.ITIMER_REAL, 0)
            continue
        except KeyboardInterrupt:
            pass
        if begin.model is None:
            continue
        hits += 1
        model = left.model
        assert state_of(model) == states[model.steps], f"{model.steps} steps"
        assert {len(values) for values in model.history.values()} <= {model.epochs_done}
        assert model.samples_done == model.epochs_done * SAMPLES
        assert np.isfinite(left.outputs()).all()
        epochs, steps = model.epochs_done, model.steps
        left.go_on()
        assert (model.epochs_done, model.steps) == (epochs + 1, steps + SAMPLES // BATCH)
        assert np.isfinite(model.history["loss"]).all()
        assert np.isfinite(left.outputs()).all()
    print(f"{hits} interrupts in {tries} tries")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer signals")
@pytest.mark.parametrize("kind", KINDS)
def test_50_interrupts_each_leave_one_whole_step_and_a_network_that_trains_on(kind, name):
    code, stdout, stderr = run_alone(
        __file__, kind, name, longest=LONGEST_RUN, PYTHONWARNINGS="ignore"
    )
    assert (code, stderr) == (0, "")
    assert stdout.startswith(f"{INTERRUPTS} interrupts in ")


def test_a_step_of_the_reference_that_is_interrupted_is_undone(monkeypatch):
    left = OfModel("numpy")
    left.go_on()
    before, steps = state_of(left.model), left.model.steps
    take_step = numpy_engine.take_step

    def interrupted_step(*arguments):
        take_step(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(numpy_engine, "take_step", interrupted_step)
    with pytest.raises(KeyboardInterrupt):
        left.go_on()
    assert (state_of(left.model), left.model.steps) == (before, steps)


def test_weights_are_restored_as_a_whole(name):
    class Interrupting(dict):
        def __getitem__(self, key):
            if key == "moments" and not interrupts:
                interrupts.append(key)
                raise KeyboardInterrupt
            return super().__getitem__(key)

    interrupts = []
    left = OfModel(name)
    before, snapshot = state_of(left.model), left.model.snapshot()
    left.go_on()
    with pytest.raises(KeyboardInterrupt):
        left.model.restore(snapshot._replace(arrays=Interrupting(snapshot.arrays)))
    assert interrupts
    assert (state_of(left.model), left.model.steps) == (before, 0)


def test_an_interrupt_while_a_network_is_trained_leaves_it_to_the_next():
    class Interrupting(dict):
        def setdefault(self, *arguments):
            super().setdefault(*arguments)
            raise KeyboardInterrupt

    exclusive = Exclusive()
    exclusive._holders = Interrupting()
    with pytest.raises(KeyboardInterrupt), exclusive.held("taken"):
        pass
    assert exclusive._holders == {}


if __name__ == "__main__":
    interrupted(*sys.argv[1:])
