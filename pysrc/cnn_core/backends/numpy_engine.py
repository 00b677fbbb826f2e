"""The engine as the formulas are written: the definition of what the compiled one computes.

What each method does, with shapes and errors, stands in `cnn_core.contracts.Engine`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from cnn_core.backends import numpy_kernels as kernels
from cnn_core.backends.numpy_checks import (
    require,
    require_samples,
    require_vector,
    require_whole,
)
from cnn_core.contracts import Predictor
from cnn_core.network import ByteArray, Dense, FloatArray, IndexArray, Network

# Rows that `predict` takes at once: few enough that their activations stay in the caches.
_PREDICTED_AT_ONCE = 1024


class _Layer:
    """A dense layer: its parameters, their gradients, and the way through it and back."""

    def __init__(
        self,
        number: int,
        description: Dense,
        parameters: tuple[FloatArray, FloatArray],
        gradients: tuple[FloatArray, FloatArray],
    ) -> None:
        self.number = number
        self.activation = description.activation
        self.rate = description.dropout
        self.weights, self.bias = parameters
        self.grad_weights, self.grad_bias = gradients

    def forward(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the pre-activation and the activation for `x`."""
        z = np.empty((len(x), self.weights.shape[1]), x.dtype)
        kernels.dense_forward(x, self.weights, self.bias, z)
        a = np.empty_like(z)
        kernels.activate(self.activation, z, a)
        return z, a

    def drop(self, seed: int, step: int, values: FloatArray) -> FloatArray:
        """Return what the dropout of this step leaves of an activation or of its gradient."""
        if not self.rate:
            return values
        left = np.empty_like(values)
        kernels.dropout(self.rate, seed, step, self.number, values, left)
        return left

    def signal(self, a: FloatArray, grad_a: FloatArray) -> FloatArray:
        """Return what this layer learns from, dloss/dz, from its activation and dloss/da."""
        delta = np.empty_like(a)
        kernels.activation_backward(self.activation, a, grad_a, delta)
        return delta

    def backward(
        self, x: FloatArray, a: FloatArray, signal: FloatArray, grad_x: FloatArray | None
    ) -> None:
        """Fill the gradients of the parameters and, if asked for, the one with respect to `x`."""
        kernels.dense_backward(x, self.weights, signal, self.grad_weights, self.grad_bias, grad_x)


class _ArticleLayer(_Layer):
    """The article's layer: a bias for each training sample, and its own way back.

    There the sigmoid is taken a second time, of what is an activation already, and it is the error
    that goes down to the layer below, not the delta.
    """

    def forward(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        z = np.empty((len(x), self.weights.shape[1]), x.dtype)
        kernels.dense_forward(x, self.weights, np.zeros_like(z, shape=z.shape[1]), z)
        z += self.bias
        a = np.empty_like(z)
        kernels.activate(self.activation, z, a)
        return z, a

    def signal(self, a: FloatArray, grad_a: FloatArray) -> FloatArray:
        return grad_a

    def backward(
        self, x: FloatArray, a: FloatArray, signal: FloatArray, grad_x: FloatArray | None
    ) -> None:
        twice = np.empty_like(a)
        kernels.activate(self.activation, a, twice)
        delta = self.grad_bias
        kernels.activation_backward(self.activation, twice, signal, delta)
        kernels.dense_backward(x, self.weights, delta, self.grad_weights)
        kernels.dense_backward(x, self.weights, signal, grad_x=grad_x)


class NumpyEngine:
    """A network of dense layers; see `cnn_core.contracts.Engine`.

    Parameters
    ----------
    network : Network
    parameters : array
        Flat; bound and trained in place.
    moments : array, optional
        What the optimizer keeps, ``(n_moments, n_parameters)``; bound and changed in place.
        Zeros of the engine's own by default.
    seed : int
        Key of the dropout's random numbers, from 0 to below ``2**64``.
    """

    def __init__(
        self,
        network: Network,
        parameters: FloatArray,
        *,
        moments: FloatArray | None = None,
        seed: int = 0,
    ) -> None:
        require("parameters", parameters, (np.size(parameters),), parameters, written=True)
        shape = (network.optimizer.n_moments, parameters.size)
        if moments is None:
            moments = np.zeros_like(parameters, shape=shape)
        require("moments", moments, shape, parameters, written=True)
        self.moments = moments
        self.steps = 0
        self._seed = require_whole("seed", seed, 0, 2**64)
        self._network = network
        self._parameters = parameters
        self._gradient = np.zeros_like(parameters)
        layer = _ArticleLayer if network.rule == "article" else _Layer
        self._layers = [
            layer(number, *parts)
            for number, parts in enumerate(
                zip(
                    network.layers,
                    network.unflatten(parameters),
                    network.unflatten(self._gradient),
                    strict=True,
                )
            )
        ]
        self._training = threading.Lock()

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return self._steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self._steps = require_whole("steps", steps, 0, 2**32)

    def train_epoch(
        self,
        x: FloatArray | ByteArray,
        t: FloatArray,
        order: IndexArray | None,
        batch_size: int,
        learning_rate: float,
    ) -> tuple[float, int]:
        """Train on every sample named by `order` once; return the mean loss and the hits."""
        self._check(x, t)
        if order is not None:
            require_vector("order", order, np.intp)
        samples = len(x) if order is None else len(order)
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
        if order is not None and samples and not (order.min() >= 0 and order.max() < len(x)):
            raise ValueError(f"order: expected indices from 0 to {len(x) - 1}")
        if self._network.rule == "article" and (order is not None or batch_size < samples):
            raise ValueError("the article's rule takes all samples in one step, as they stand")
        loss = 0.0
        hits = 0
        with self._exclusively():
            for start in range(0, samples, batch_size):
                rows = slice(start, start + batch_size)
                batch = rows if order is None else order[rows]
                xb, tb = x[batch], t[batch]
                batch_loss, batch_hits = self._backpropagate(xb, tb)
                loss += batch_loss * len(xb)
                hits += batch_hits
                self._update(learning_rate)
        return loss / max(samples, 1), hits

    def gradient(self, x: FloatArray | ByteArray, t: FloatArray, out: FloatArray) -> float:
        """Write the step's direction for all of `x` into `out`; return the loss."""
        self._check(x, t)
        require("out", out, self._parameters.shape, self._parameters, written=True)
        with self._exclusively():
            loss, _ = self._backpropagate(x, t)
            out[:] = self._gradient
        return loss

    def predict(self, x: FloatArray | ByteArray, out: FloatArray) -> bool:
        """Write the outputs for `x` into `out`; return whether all of `x` is finite."""
        self._check(x, out)
        require("outputs", out, out.shape, self._parameters, written=True)
        # The article's biases belong to all the samples at once.
        finite = True
        at_once = len(x) if self._network.rule == "article" else _PREDICTED_AT_ONCE
        with np.errstate(all="ignore"):
            for start in range(0, len(x), max(at_once, 1)):
                rows = slice(start, start + at_once)
                a = self._scaled(x[rows])
                finite = finite and bool(np.isfinite(a).all())
                for layer in self._layers:
                    _, a = layer.forward(a)
                out[rows] = a
        return finite

    def predictor(self, rows: int) -> Predictor:
        """Return a predictor of `rows` samples at a time."""
        rows = require_whole("rows", rows, 1, sys.maxsize)
        if self._network.rule == "article":
            raise ValueError("the article's rule predicts the samples that it was fitted to alone")
        out = np.zeros_like(self._parameters, shape=(rows, self._network.n_outputs))

        def predict(x: FloatArray | ByteArray) -> FloatArray:
            if isinstance(x, np.ndarray) and x.ndim == 1:
                x = x.reshape(1, -1)
            self.predict(x, out)
            return out

        return predict

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        if not self._training.acquire(blocking=False):
            raise RuntimeError("this network is being trained already, perhaps by another thread")
        try:
            # A training that diverges shows in its loss, as it does where there are no warnings.
            with np.errstate(all="ignore"):
                yield
        finally:
            self._training.release()

    def _check(self, x: FloatArray | ByteArray, t: FloatArray) -> None:
        network = self._network
        require_samples("x", x, network.n_inputs, self._parameters)
        require("targets or outputs", t, (len(x), network.n_outputs), self._parameters)
        rows = network.bias_rows(self._parameters.size)
        if network.rule == "article" and len(x) != rows:
            raise ValueError(f"x: expected the {rows} samples of the biases, found {len(x)}")

    def _scaled(self, x: FloatArray | ByteArray) -> FloatArray:
        """Return the samples as the first layer takes them."""
        real = self._parameters.dtype.type
        scale = self._network.input_scale
        values: FloatArray = x.astype(real, copy=False)
        return values if scale == 1 else values * real(scale)

    def _backpropagate(self, x: FloatArray | ByteArray, t: FloatArray) -> tuple[float, int]:
        """Fill the gradients from one batch; return its mean loss and its hits."""
        step = self._steps
        inputs = [self._scaled(x)]
        activations = []
        for layer in self._layers:
            z, a = layer.forward(inputs[-1])
            activations.append(a)
            inputs.append(layer.drop(self._seed, step, a))
        y = activations[-1]
        signal = self._signal_of_loss(y, t)
        for number in range(len(self._layers) - 1, -1, -1):
            x_layer, a = inputs[number], activations[number]
            grad_x = np.empty_like(x_layer) if number else None
            self._layers[number].backward(x_layer, a, signal, grad_x)
            if grad_x is not None:
                below = self._layers[number - 1]
                grad_a = below.drop(self._seed, step, grad_x)
                signal = below.signal(activations[number - 1], grad_a)
        hits = np.count_nonzero(y.argmax(axis=1) == t.argmax(axis=1))
        return kernels.loss(self._network.loss, z, y, t), int(hits)

    def _signal_of_loss(self, y: FloatArray, t: FloatArray) -> FloatArray:
        """Return what the last layer learns from."""
        if self._network.rule == "article":
            return np.subtract(y, t)
        delta = np.empty_like(y)
        kernels.output_delta(self._network.loss, self._layers[-1].activation, y, t, delta)
        return delta

    def _update(self, learning_rate: float) -> None:
        kernels.update(
            self._network.optimizer,
            self._parameters,
            self._gradient,
            self.moments,
            learning_rate,
            self._steps + 1,
        )
        self._steps += 1
