"""The engine as the formulas are written: the definition of what the compiled one computes.

What each method does, with shapes and errors, stands in `cnn_core.contracts.Engine`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from cnn_core.backends import numpy_kernels as kernels
from cnn_core.backends.numpy_checks import require, require_indices
from cnn_core.network import FloatArray, IndexArray, Network


class _Layer:
    """A dense sigmoid layer: its parameters, their gradients, and the way through it and back."""

    def __init__(
        self, parameters: tuple[FloatArray, FloatArray], gradients: tuple[FloatArray, FloatArray]
    ) -> None:
        self.weights, self.bias = parameters
        self.grad_weights, self.grad_bias = gradients

    def forward(self, x: FloatArray) -> FloatArray:
        """Return the activation for `x`."""
        a = np.empty((len(x), self.weights.shape[1]), x.dtype)
        kernels.dense_forward(x, self.weights, self.bias, a)
        kernels.sigmoid(a, a)
        return a

    def backward(
        self, x: FloatArray, a: FloatArray, grad_a: FloatArray, grad_x: FloatArray | None
    ) -> None:
        """Fill the gradients of the parameters and, if asked for, the one with respect to `x`."""
        delta = np.empty_like(a)
        kernels.sigmoid_backward(a, grad_a, delta)
        kernels.dense_backward(x, self.weights, delta, self.grad_weights, self.grad_bias, grad_x)


class _ArticleLayer(_Layer):
    """The article's layer: a bias for each training sample, and its own way back.

    There the sigmoid is taken a second time, of what is an activation already, and it is the error
    that goes down to the layer below, not the delta.
    """

    def forward(self, x: FloatArray) -> FloatArray:
        a = np.empty((len(x), self.weights.shape[1]), x.dtype)
        kernels.dense_forward(x, self.weights, np.zeros_like(a, shape=a.shape[1]), a)
        a += self.bias
        kernels.sigmoid(a, a)
        return a

    def backward(
        self, x: FloatArray, a: FloatArray, grad_a: FloatArray, grad_x: FloatArray | None
    ) -> None:
        twice = np.empty_like(a)
        kernels.sigmoid(a, twice)
        delta = self.grad_bias
        kernels.sigmoid_backward(twice, grad_a, delta)
        kernels.dense_backward(x, self.weights, delta, self.grad_weights)
        kernels.dense_backward(x, self.weights, grad_a, grad_x=grad_x)


class NumpyEngine:
    """A network of dense sigmoid layers with the squared error; see `cnn_core.contracts.Engine`."""

    def __init__(self, network: Network, parameters: FloatArray) -> None:
        require("parameters", parameters, (np.size(parameters),), parameters, written=True)
        self._network = network
        self._parameters = parameters
        self._gradient = np.zeros_like(parameters)
        layer = _ArticleLayer if network.rule == "article" else _Layer
        self._layers = [
            layer(of_parameters, of_gradient)
            for of_parameters, of_gradient in zip(
                network.unflatten(parameters), network.unflatten(self._gradient), strict=True
            )
        ]
        self._training = threading.Lock()

    def train_epoch(
        self,
        x: FloatArray,
        t: FloatArray,
        order: IndexArray | None,
        batch_size: int,
        learning_rate: float,
    ) -> tuple[float, int]:
        """Train on every sample named by `order` once; return the mean loss and the hits."""
        self._check(x, t)
        if order is not None:
            require_indices("order", order)
        samples = len(x) if order is None else len(order)
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
        if order is not None and samples and not (order.min() >= 0 and order.max() < len(x)):
            raise ValueError(f"order: expected indices from 0 to {len(x) - 1}")
        if self._network.rule == "article" and (order is not None or batch_size < samples):
            raise ValueError("the article's rule takes all samples in one step, as they stand")
        loss = 0.0
        hits = 0
        # A training that diverges shows in its loss, as it does where there are no warnings.
        with self._exclusively(), np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, samples, batch_size):
                rows = slice(start, start + batch_size)
                batch = rows if order is None else order[rows]
                xb, tb = x[batch], t[batch]
                batch_loss, batch_hits = self._backpropagate(xb, tb)
                loss += batch_loss * len(xb)
                hits += batch_hits
                kernels.gradient_descent(self._parameters, self._gradient, learning_rate)
        return loss / max(samples, 1), hits

    def gradient(self, x: FloatArray, t: FloatArray, out: FloatArray) -> float:
        """Write the step's direction for all of `x` into `out`; return the loss."""
        self._check(x, t)
        require("out", out, self._parameters.shape, self._parameters, written=True)
        with self._exclusively():
            loss, _ = self._backpropagate(x, t)
            out[:] = self._gradient
        return loss

    def predict(self, x: FloatArray, out: FloatArray) -> None:
        """Write the outputs for `x` into `out`."""
        self._check(x, out)
        require("outputs", out, out.shape, self._parameters, written=True)
        out[:] = self._activations(x)[-1]

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        if not self._training.acquire(blocking=False):
            raise RuntimeError("this network is being trained already, perhaps by another thread")
        try:
            yield
        finally:
            self._training.release()

    def _check(self, x: FloatArray, t: FloatArray) -> None:
        network = self._network
        require("x", x, None, self._parameters)
        require("x", x, (len(x), network.n_inputs), self._parameters)
        require("targets or outputs", t, (len(x), network.n_outputs), self._parameters)
        rows = network.bias_rows(self._parameters.size)
        if network.rule == "article" and len(x) != rows:
            raise ValueError(f"x: expected the {rows} samples of the biases, found {len(x)}")

    def _activations(self, x: FloatArray) -> list[FloatArray]:
        """Return `x` and the activation of each layer."""
        activations = [x]
        for layer in self._layers:
            activations.append(layer.forward(activations[-1]))
        return activations

    def _backpropagate(self, x: FloatArray, t: FloatArray) -> tuple[float, int]:
        """Fill the gradients from one batch; return its mean loss and its hits."""
        activations = self._activations(x)
        y = activations[-1]
        grad_a = np.empty_like(y)
        if self._network.rule == "article":
            np.subtract(y, t, out=grad_a)
        else:
            kernels.squared_error_delta(y, t, grad_a)
        for number in range(len(self._layers) - 1, -1, -1):
            below = activations[number]
            grad_below = np.empty_like(below) if number else None
            self._layers[number].backward(below, activations[number + 1], grad_a, grad_below)
            if grad_below is not None:
                grad_a = grad_below
        hits = np.count_nonzero(y.argmax(axis=1) == t.argmax(axis=1))
        return kernels.squared_error(y, t), int(hits)
