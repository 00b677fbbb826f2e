"""Make files of models as this version writes them, with what they predict in `models.json`.

The checkpoint is of a training that was ended in its middle, by the compiled backend at a level
with a fused multiply-add; beside it is the result of the training, resumed or not.

A file of a released version is never made again: once a release has written it, the version of its
name goes up here, and the old file stays.

    python tests/golden/make_models.py
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnn_core import Checkpoint, MLPClassifier, MLPRegressor
from cnn_core.callbacks import Callback
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.optimizers import Adam
from cnn_core.schedules import StepDecay
from cnn_core.training import Recipe, Validation

FOLDER = Path(__file__).parent


def model() -> Model:
    layers = (
        Dense(4, 5, "relu", normalization="batch"),
        Dense(5, 4, "tanh", dropout=0.1, normalization="layer"),
        Dense(4, 3, "softmax"),
    )
    network = Network(layers, "cross_entropy", Adam(), averaging=0.9)
    made = Model(network, dtype=np.float64, seed=7, backend="numpy")
    made.initialize("auto", np.random.RandomState(1))
    rng = np.random.RandomState(2)
    made.train(rng.normal(size=(20, 4)), np.eye(3)[rng.randint(3, size=20)], Recipe(2, 8, 0.01))
    return made


class EndedError(Exception):
    """Ends a training in its middle."""


class EndAfterThree(Callback):
    def on_epoch_begin(self, state) -> None:
        if state.epoch == 4:
            raise EndedError


def checkpointed(
    path: Path | None, backend: str = "cython", callbacks: Sequence[Callback] = ()
) -> Model:
    """Train to the end, from the checkpoint if there is one."""
    layers = (
        Dense(4, 6, "relu", dropout=0.2),
        Dense(6, 5, "tanh", normalization="batch"),
        Dense(5, 3, "softmax"),
    )
    network = Network(layers, "cross_entropy", Adam(weight_decay=0.01), averaging=0.9)
    made = Model(network, seed=11, backend=backend)
    # Uniform numbers are the same everywhere: they take no logarithm of a C library.
    rng = np.random.RandomState(5)
    made.initialize("glorot_uniform", rng)
    x = rng.uniform(-1, 1, size=(40, 4)).astype(np.float32)
    t = np.eye(3, dtype=np.float32)[np.argmax(x[:, :3], axis=1)]
    made.train(
        x[:30],
        t[:30],
        Recipe(
            *(7, 8, 0.05, StepDecay(2, 0.5)),
            patience=3,
            restore_best=True,
            monitor="validation_loss",
        ),
        are_classes=True,
        validation=Validation(x[30:], t[30:], are_classes=True),
        callbacks=callbacks,
        checkpoint=None if path is None else Checkpoint(path, every_epochs=1),
    )
    return made


def comes_to(model: Model) -> dict:
    """Return all that a training has changed but the times that it took."""
    return {
        "arrays": {name: array.ravel().tolist() for name, array in model.arrays().items()},
        "counts": [model.steps, model.epochs_done, model.samples_done],
        "history": {name: v for name, v in model.history.items() if name != "seconds"},
    }


def samples() -> np.ndarray:
    return np.random.RandomState(3).normal(size=(5, 4))


def data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.RandomState(4).normal(size=(40, 4))
    return x, np.argmax(x[:, :3], axis=1)


if __name__ == "__main__":
    x, y = data()
    settings = {
        "hidden_layer_sizes": (5,),
        "max_iter": 3,
        "random_state": 0,
        "dtype": "float64",
        "backend": "numpy",
    }
    names = np.array(["lily", "rose", "tulip"])
    made = {
        "model": model(),
        "classifier": MLPClassifier(**settings).fit(x, names[y]),
        "regressor": MLPRegressor(**settings).fit(x, x[:, 0] - x[:, 1]),
    }
    predicted = {"x": samples().tolist()}
    for name, saved in made.items():
        saved.save(FOLDER / f"{name}_version_1.safetensors")
        predict = getattr(saved, "predict_proba", saved.predict)
        predicted[name] = np.asarray(predict(samples())).tolist()
    path = FOLDER / "checkpoint_version_1.safetensors"
    path.unlink(missing_ok=True)
    try:
        checkpointed(path, callbacks=[EndAfterThree()])
    except EndedError:
        predicted["checkpoint"] = comes_to(checkpointed(None))
    (FOLDER / "models.json").write_text(json.dumps(predicted, indent=1) + "\n")
