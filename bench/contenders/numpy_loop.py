"""NumPy: the loop that a careful user writes, with buffers made once and nothing copied twice.

In float64 it is also what every contender's result is held against.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnn_core.network import Activation, FloatArray, IndexArray
from cnn_core.optimizers import Adam
from contenders.work import Samples, Weights, Work

__all__ = ["NumpyLoop"]

_ADAM = Adam()


class NumpyLoop:
    """Preallocated arrays, in-place operations, one matrix product for each product."""

    shuffles_itself = False

    def __init__(self, work: Work, weights: Weights, threads: int) -> None:
        self.work = work
        self.title = f"NumPy {np.__version__}"
        self._weights = [(w.astype(work.dtype), b.astype(work.dtype)) for w, b in weights]
        self._gradients = [(np.empty_like(w), np.empty_like(b)) for w, b in self._weights]
        self._update = self._adam() if work.optimizer == "adam" else self._descend
        # Plain descent scales the small delta, not the large gradient, by the learning rate.
        self._delta_scale = 1.0 if work.optimizer == "adam" else work.learning_rate

    def load(self, samples: Samples) -> None:
        """Take the training samples."""
        self._x, self._t = samples.x(self.work.dtype), samples.t(self.work.dtype)
        rows = min(self.work.batch_size, len(samples))
        self._batch = self._buffers(rows), self._buffers(rows)
        rest = len(samples) % rows
        self._last_batch = (self._buffers(rest), self._buffers(rest)) if rest else self._batch
        self._x_batch = np.empty((rows, self.work.sizes[0]), self.work.dtype)
        self._t_batch = np.empty((rows, self.work.sizes[-1]), self.work.dtype)

    def train_epoch(self, order: IndexArray | None) -> None:
        """Train on every sample once."""
        order = np.arange(len(self._x)) if order is None else order
        size = len(self._x_batch)
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            x, t = self._x_batch[: len(rows)], self._t_batch[: len(rows)]
            # With another mode, take would fill a copy first.
            self._x.take(rows, axis=0, out=x, mode="clip")
            self._t.take(rows, axis=0, out=t, mode="clip")
            self._step(x, t, *(self._batch if len(rows) == size else self._last_batch))

    def outputs(self, samples: Samples) -> FloatArray:
        """Return the outputs."""
        x = samples.x(self.work.dtype)
        return self._forward(x, self._buffers(len(x)))

    def prediction(self, samples: Samples) -> Callable[[], object]:
        """Return what predicts the samples."""
        x, buffers = samples.x(self.work.dtype), self._buffers(len(samples))
        return lambda: self._forward(x, buffers)

    def _buffers(self, rows: int) -> list[FloatArray]:
        return [np.empty((rows, units), self.work.dtype) for units in self.work.sizes[1:]]

    def _forward(self, x: FloatArray, activations: list[FloatArray]) -> FloatArray:
        """Fill the activation of each layer; return the last one."""
        for (w, b), activation, a in zip(
            self._weights, self.work.activations, activations, strict=True
        ):
            np.matmul(x, w, out=a)
            a += b
            _activate(activation, a)
            x = a
        return x

    def _step(
        self,
        x: FloatArray,
        t: FloatArray,
        activations: list[FloatArray],
        deltas: list[FloatArray],
    ) -> None:
        y = self._forward(x, activations)
        np.subtract(y, t, out=deltas[-1])
        if self.work.loss == "squared_error":
            _times_derivative(self.work.output, y, deltas[-1])
        deltas[-1] *= self._delta_scale / len(x)
        inputs = [x, *activations[:-1]]
        for number in range(len(inputs) - 1, -1, -1):
            delta, below = deltas[number], inputs[number]
            grad_w, grad_b = self._gradients[number]
            np.matmul(below.T, delta, out=grad_w)
            delta.sum(axis=0, out=grad_b)
            if number:
                np.matmul(delta, self._weights[number][0].T, out=deltas[number - 1])
                _times_derivative(self.work.hidden, below, deltas[number - 1])
        self._update()

    def _descend(self) -> None:
        for layer, gradients in zip(self._weights, self._gradients, strict=True):
            for value, gradient in zip(layer, gradients, strict=True):
                value -= gradient

    def _adam(self) -> Callable[[], None]:
        """Return the update of Adam, which keeps its moments."""
        values = [value for layer in self._weights for value in layer]
        gradients = [gradient for layer in self._gradients for gradient in layer]
        kept = [(np.zeros_like(v), np.zeros_like(v), np.empty_like(v)) for v in values]
        steps = 0

        def update() -> None:
            nonlocal steps
            steps += 1
            rate = self.work.learning_rate / (1 - _ADAM.beta_1**steps)
            second_scale = (1 - _ADAM.beta_2**steps) ** -0.5
            for value, gradient, (m, v, scratch) in zip(values, gradients, kept, strict=True):
                m *= _ADAM.beta_1
                np.multiply(gradient, 1 - _ADAM.beta_1, out=scratch)
                m += scratch
                v *= _ADAM.beta_2
                gradient *= gradient
                gradient *= 1 - _ADAM.beta_2
                v += gradient
                np.sqrt(v, out=scratch)
                if self.work.epsilon_comes_first:
                    scratch += _ADAM.epsilon
                    scratch *= second_scale
                else:
                    scratch *= second_scale
                    scratch += _ADAM.epsilon
                np.divide(m, scratch, out=scratch)
                scratch *= rate
                value -= scratch

        return update


def _activate(activation: Activation, z: FloatArray) -> None:
    """Replace pre-activations by activations."""
    if activation == "sigmoid":
        np.negative(z, out=z)
        np.exp(z, out=z)
        z += 1
        np.reciprocal(z, out=z)
    elif activation == "relu":
        np.maximum(z, 0, out=z)
    elif activation == "softmax":
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)


def _times_derivative(activation: Activation, a: FloatArray, grad: FloatArray) -> None:
    """Turn dloss/da into dloss/dz, in place; what `a` holds is lost."""
    if activation == "sigmoid":
        grad *= a
        np.subtract(1, a, out=a)
        grad *= a
    elif activation == "relu":
        grad *= np.sign(a, out=a)
