"""Trainings with a checkpoint that can be killed, and the data they learn."""

import numpy as np

from cnn_core import Checkpoint
from cnn_core.callbacks import Callback
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam
from cnn_core.schedules import Plateau
from cnn_core.training import Recipe, Validation

EPOCHS = 6


class KilledError(Exception):
    pass


class KillAfter(Callback):
    """Ends a training from the outside: in the epoch after the one whose checkpoint is there."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, state):
        if state.epoch == self.epoch + 1:
            raise KilledError


def data(seed=5, n=40):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 4)).astype(np.float32)
    t = np.zeros((n, 3), np.float32)
    t[np.arange(n), random.integers(3, size=n)] = 1
    return x, t


NETWORKS = {
    "momentum, plateau, dropout": (
        Network(
            (Dense(4, 8, "relu", dropout=0.3), Dense(8, 3, "softmax")),
            "cross_entropy",
            SGD(momentum=0.9),
        ),
        {"learning_rate": 0.2, "schedule": Plateau(0.5, 0, 0.01)},
    ),
    "Adam, cosine, averaging, batch norm": (
        Network(
            (Dense(4, 8, "tanh", normalization="batch"), Dense(8, 3, "softmax")),
            "cross_entropy",
            Adam(),
            averaging=0.9,
        ),
        {"learning_rate": 0.02, "schedule": "cosine"},
    ),
    "early stopping": (
        Network((Dense(4, 8, "relu"), Dense(8, 3, "softmax")), "cross_entropy", Adam()),
        {
            "learning_rate": 0.3,
            "patience": 1,
            "restore_best": True,
            "monitor": "validation_loss",
        },
    ),
}


def train(network, name, settings, path, *callbacks, every=1, seed=3, xt=None, **others):
    model = Model(network, seed=seed, backend=name).initialize("auto", np.random.RandomState(1))
    recipe = Recipe(**{"epochs": EPOCHS, "batch_size": 8, **settings, **others})
    state = model.train(
        *(xt or data()),
        recipe,
        are_classes=True,
        validation=Validation(*data(6), are_classes=True),
        callbacks=callbacks,
        checkpoint=None if path is None else Checkpoint(path, every_epochs=every),
    )
    return model, state


def same_models(one, other):
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name], err_msg=name, strict=True)
    assert (one.steps, one.epochs_done, one.samples_done, one.seed) == (
        other.steps,
        other.epochs_done,
        other.samples_done,
        other.seed,
    )
    assert without_times(one.history) == without_times(other.history)


def without_times(history):
    return {name: values for name, values in history.items() if name != "seconds"}


KIND = "momentum, plateau, dropout"


OTHER_DATA = data(8)


def epochs_in(table):
    return [int(line.split(",")[0]) for line in table.read_text().splitlines()[1:]]
