"""cnn_core itself: the engines of its backends, and predictions through the public API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cnn_core import NN, backends
from cnn_core.backends.alignment import aligned
from cnn_core.class_targets import ClassTargets
from cnn_core.network import ByteArray, FloatArray, IndexArray, Network
from contenders.work import Samples, Weights, Work, in_pieces

__all__ = ["Compiled", "CompiledOnBytes", "CompiledOnColumns", "Predict", "Predictor", "Reference"]


class _Engine:
    """An engine on a network that holds the given weights; it is raced in training alone."""

    backend: str
    shuffles_itself = False
    input_scale = 1.0

    def __init__(self, work: Work, weights: Weights, threads: int) -> None:
        self.work = work
        self.title = _title(self.backend)
        network = self._network(work)
        parameters = aligned(np.empty(network.n_parameters(), work.dtype))
        for (w, b), own in zip(weights, network.unflatten(parameters), strict=True):
            own.weights[:], own.bias[:] = w, b
        # Its threads are those of the process, by CNN_CORE_NUM_THREADS, as for a user.
        self._engine = backends.get(self.backend).engine(network, parameters)

    def _network(self, work: Work) -> Network:
        return work.network(self.input_scale)

    def load(self, samples: Samples) -> None:
        """Take the training samples."""
        self._x = self._inputs(samples)
        # As `NN` and the estimators do: classes stay labels.
        self._t = (
            ClassTargets(samples.labels.astype(np.intp), samples.classes)
            if self.work.loss == "cross_entropy"
            else samples.t(self.work.dtype)
        )

    def train_epoch(self, order: IndexArray | None) -> None:
        """Train on every sample once."""
        work = self.work
        self._engine.train_epoch(self._x, self._t, order, work.batch_size, work.learning_rate)

    def outputs(self, samples: Samples) -> FloatArray:
        """Return the outputs."""
        y = np.empty((len(samples), self.work.sizes[-1]), self.work.dtype)
        self._engine.predict(self._inputs(samples), y)
        return y

    def _inputs(self, samples: Samples) -> FloatArray | ByteArray:
        return samples.x(self.work.dtype)


class Reference(_Engine):
    """The NumPy backend, which is written to be read."""

    backend = "numpy"


class Compiled(_Engine):
    """The compiled backend."""

    backend = "cython"


class CompiledOnBytes(Compiled):
    """The compiled backend on images that stay bytes."""

    input_scale = 1 / 255

    def __init__(self, work: Work, weights: Weights, threads: int) -> None:
        super().__init__(work, weights, threads)
        self.title += " on bytes"

    def _inputs(self, samples: Samples) -> FloatArray | ByteArray:
        return samples.images


class CompiledOnColumns(Compiled):
    """The compiled backend on columns in pieces, whose features are never made."""

    def __init__(self, work: Work, weights: Weights, threads: int) -> None:
        super().__init__(work, weights, threads)
        self.title += " on columns"

    def _network(self, work: Work) -> Network:
        network = super()._network(work)
        first, *others = network.layers
        encoded = in_pieces(work.columns, work.bins, first.fan_out, first.activation)
        return replace(network, layers=(encoded, *others))

    def _inputs(self, samples: Samples) -> FloatArray | ByteArray:
        return samples.of_columns(self.work.dtype)


class Predict:
    """Plain `NN.predict`, for a network of one hidden layer."""

    def __init__(self, work: Work, weights: Weights, threads: int) -> None:
        self.work = work
        self.title = f"{_title('auto')}, NN.predict"
        (wih, bih), (who, bho) = weights
        features, hidden, classes = work.sizes
        self._net = NN(features, hidden, classes, learning_rate=1.0, epochs=1, dtype=work.dtype)
        self._net.wih, self._net.bih = wih.T, bih
        self._net.who, self._net.bho = who.T, bho

    def outputs(self, samples: Samples) -> FloatArray:
        """Return the outputs."""
        return self._net.predict(samples.x(self.work.dtype))

    def prediction(self, samples: Samples) -> Callable[[], object]:
        """Return what predicts the samples."""
        x = samples.x(self.work.dtype)
        return lambda: self._net.predict(x)


class Predictor(Predict):
    """The predictor of an `NN`, which is made once for a number of rows."""

    def __init__(self, work: Work, weights: Weights, threads: int) -> None:
        super().__init__(work, weights, threads)
        self.title = f"{_title('auto')}, predictor"

    def outputs(self, samples: Samples) -> FloatArray:
        """Return the outputs."""
        x = samples.x(self.work.dtype)
        predict = self._net.predictor(rows=1)
        return np.concatenate([predict(x[row : row + 1]).copy() for row in range(len(x))])

    def prediction(self, samples: Samples) -> Callable[[], object]:
        """Return what predicts the samples."""
        x = samples.x(self.work.dtype)
        predict = self._net.predictor(rows=len(x))
        return lambda: predict(x)


def _title(backend: str) -> str:
    chosen = backends.get(backend)
    kind = chosen.name if chosen.name == chosen.isa else f"{chosen.name}, {chosen.isa}"
    return f"cnn_core ({kind})"
