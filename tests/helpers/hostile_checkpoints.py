"""Checkpoints for the tests of hostile files and the fuzzer: trainings that are resumed.

A checkpoint that is refused has to leave everything as it was: no epoch begins, and the network and
the file are what they were.
"""

from __future__ import annotations

import functools
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_core import Checkpoint, Model, Recipe
from cnn_core.callbacks import Callback, TimeBudget
from cnn_core.estimators import MLPClassifier
from cnn_core.model_file import ModelFileError
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam
from cnn_core.schedules import Plateau
from cnn_core.training import DivergenceError, Validation


class EndedError(Exception):
    """Ends a training from the outside, when its second epoch has been written down."""


class EndAfterTwo(Callback):
    def on_epoch_begin(self, state):
        if state.epoch == 3:
            raise EndedError


class Epochs(Callback):
    """Counts the epochs that begin."""

    count = 0

    def on_epoch_begin(self, state):
        self.count += 1


class Recipes(NamedTuple):
    network: Network
    recipe: Recipe
    callbacks: Callable[[], list[Callback]]


EPOCHS = 4
TRAININGS = {
    "Adam, dropout, cosine": Recipes(
        Network(
            (Dense(3, 4, "relu", dropout=0.3), Dense(4, 2, "softmax")), "cross_entropy", Adam()
        ),
        Recipe(EPOCHS, 4, 0.02, "cosine"),
        lambda: [TimeBudget(3600.0)],
    ),
    "early stopping, batch normalization": Recipes(
        Network(
            (Dense(3, 3, "tanh", normalization="batch"), Dense(3, 2, "softmax")),
            "cross_entropy",
            SGD(momentum=0.9),
        ),
        Recipe(EPOCHS, 4, 0.1, patience=2, restore_best=True, monitor="validation_loss"),
        list,
    ),
    "averaging, plateau": Recipes(
        Network(
            (Dense(3, 3, "gelu"), Dense(3, 2, "softmax")), "cross_entropy", Adam(), averaging=0.9
        ),
        Recipe(EPOCHS, 4, 0.05, Plateau(0.5, 0, 0.1)),
        list,
    ),
}
ESTIMATOR = "an estimator with early stopping"


@functools.cache
def samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(10, 3)).astype(np.float32)
    return x, np.eye(2, dtype=np.float32)[rng.integers(2, size=10)]


def model_of(name: str) -> Model:
    model = Model(TRAININGS[name].network, seed=5, backend="numpy")
    return model.initialize("auto", np.random.RandomState(1))


def go_on(name: str, model: Model, path: Path, *callbacks: Callback, every: int = 1) -> Any:
    """Train a model, or go on with that, to the end of its epochs."""
    _, recipe, own = TRAININGS[name]
    return model.train(
        *samples(),
        recipe,
        are_classes=True,
        validation=Validation(*samples(), are_classes=True),
        callbacks=[*own(), *callbacks],
        checkpoint=Checkpoint(path, every_epochs=every),
    )


def fit(estimator: MLPClassifier, path: Path, *, every: int = 1) -> MLPClassifier:
    x, t = samples()
    return estimator.fit(x, t[:, 0], checkpoint=Checkpoint(path, every_epochs=every))


def estimator_of(*callbacks: Callback) -> MLPClassifier:
    return MLPClassifier(
        (3,),
        early_stopping=True,
        n_iter_no_change=3,
        validation_fraction=0.4,
        batch_size=4,
        max_iter=EPOCHS,
        random_state=0,
        backend="numpy",
        callbacks=list(callbacks),
    )


@functools.cache
def checkpoints() -> dict[str, bytes]:
    """Checkpoints after two epochs of four, by the names of their trainings."""
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for name in (*TRAININGS, ESTIMATOR):
            try:
                if name == ESTIMATOR:
                    fit(estimator_of(EndAfterTwo()), path)
                else:
                    go_on(name, model_of(name), path, EndAfterTwo())
            except EndedError:
                made[name] = path.read_bytes()
            path.unlink()
    assert len(made) == len(TRAININGS) + 1
    return made


def resume_one(name: str, path: Path) -> Any:
    """Go on with one training; what a refusal must leave alone is compared."""
    before, beside = path.read_bytes(), sorted(os.listdir(path.parent))
    epochs = Epochs()
    estimator, model = estimator_of(epochs), None
    if name != ESTIMATOR:
        model = model_of(name)
        arrays = {key: array.copy() for key, array in model.arrays().items()}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", ".*the last bits may differ")
        # What scikit-learn warns of too: a training that ends with its epochs, or diverges.
        warnings.filterwarnings("ignore", "the maximum of|Solver produced non-finite")
        try:
            if model is None:
                return fit(estimator, path, every=EPOCHS)
            return go_on(name, model, path, epochs, every=EPOCHS)
        except DivergenceError as error:
            # Moments of any size are of the right form.
            return error
        except ModelFileError:
            assert epochs.count == 0, "an epoch began"
            assert path.read_bytes() == before, "the file has changed"
            assert sorted(os.listdir(path.parent)) == beside, "something was left beside the file"
            if model is None:
                assert not hasattr(estimator, "model_"), "the estimator was fitted"
            else:
                for key, array in model.arrays().items():
                    np.testing.assert_array_equal(array, arrays[key])
                assert (model.seed, model.steps, model.epochs_done) == (5, 0, 0)
                assert (model.samples_done, model.history) == (0, {})
            raise


def resume(path: Path) -> Any:
    """Go on with the training that a checkpoint is of."""
    refusals = []
    for name in (*TRAININGS, ESTIMATOR):
        try:
            return resume_one(name, path)
        except ModelFileError as error:
            refusals.append(error)
    # The error of the one that came furthest says what is wrong with the file itself.
    raise min(refusals, key=lambda error: "of another" in str(error))
