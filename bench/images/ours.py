"""cnn_core: the compiled engine in training, `Model.predict` and a predictor of one image."""

from __future__ import annotations

from typing import Any

import numpy as np

import cnn_core
from images.work import LEARNING_RATE, Floats, Job, first_parameters, network


class Ours:
    """A `cnn_core.Model`, whose engine is asked for whole epochs."""

    def __init__(self, job: Job, x: Floats, labels: Any) -> None:
        self._job = job
        self._x = np.ascontiguousarray(x.reshape(len(x), -1))
        described = network(job.order)
        self._model = cnn_core.Model(described, backend="cython", n_threads=job.threads)
        self._model.parameters[...] = first_parameters(described)
        self.title = f"cnn_core {cnn_core.__version__}"
        self._targets = np.eye(described.n_outputs, dtype=np.float32)[labels]
        self._predict = self._model.predictor(1) if len(x) == 1 else self._model.predict

    def train_epoch(self) -> None:
        """Train on every image once."""
        with self._model.exclusively() as engine:
            engine.train_epoch(self._x, self._targets, None, self._job.batch_size, LEARNING_RATE)

    def predict(self) -> Any:
        """Predict all images, one alone by a predictor."""
        return self._predict(self._x)

    def outputs(self) -> Floats:
        """Return the outputs."""
        found: Floats = np.array(self.predict())
        return found
