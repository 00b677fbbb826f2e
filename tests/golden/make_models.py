"""Make files of models as this version writes them, with what they predict in `models.json`.

A file of a released version is never made again: once a release has written it, the version of its
name goes up here, and the old file stays.

    python tests/golden/make_models.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cnn_core import MLPClassifier, MLPRegressor
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.optimizers import Adam
from cnn_core.training import Recipe

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
    for name, face in made.items():
        face.save(FOLDER / f"{name}_version_1.safetensors")
        predict = getattr(face, "predict_proba", face.predict)
        predicted[name] = np.asarray(predict(samples())).tolist()
    (FOLDER / "models.json").write_text(json.dumps(predicted, indent=1) + "\n")
