"""The engine as the formulas are written: the definition of what the compiled one computes.

What each method does, with shapes and errors, stands in `cnn_core.backends.interface.Engine`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cnn_core.backends.arguments import require_steps, require_targets
from cnn_core.backends.backend import EngineSpec
from cnn_core.backends.checks import require, require_samples, require_vector, require_whole
from cnn_core.backends.interface import Predictor
from cnn_core.backends.numpy import kernels
from cnn_core.backends.numpy.augmentation import augmented
from cnn_core.backends.numpy.layers import layers_of
from cnn_core.backends.numpy.optimizers import take_step
from cnn_core.backends.state import bound_state
from cnn_core.class_targets import ClassTargets, Targets, rows_of
from cnn_core.exclusive import Exclusive
from cnn_core.interrupts import all_or_nothing
from cnn_core.layers import Augmentation
from cnn_core.sparse import Samples, SparseRows
from cnn_core.types import FloatArray, IndexArray

_Array = TypeVar("_Array", bound=npt.NDArray[Any])
# Rows that `predict` takes at once: few enough that their activations stay in the caches.
_PREDICTED_AT_ONCE = 1024
# Values of sparse rows that are made dense at once.
_VALUES_AT_ONCE = 2**23


class NumpyEngine:
    """A network of dense layers; see `cnn_core.backends.interface.Engine`."""

    def __init__(self, spec: EngineSpec) -> None:
        network, parameters = spec.network, spec.parameters
        moments, statistics, average = bound_state(spec)
        self.moments, self.statistics, self.average = moments, statistics, average
        self.steps = 0
        self._seed = require_whole("seed", spec.seed, 0, 2**64)
        self._network = network
        self._parameters = parameters
        self._gradient = np.zeros_like(parameters)
        changed = (parameters, moments, statistics, average)
        self._changed = [array for array in changed if array is not None]
        self._before = [np.empty_like(array) for array in self._changed]
        self._layers = layers_of(network, parameters, self._gradient, statistics)
        self._training = Exclusive()

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return self._steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self._steps = require_whole("steps", steps, 0, 2**63)

    def train_epoch(
        self,
        x: Samples,
        t: Targets,
        order: IndexArray | None,
        batch_size: int,
        learning_rate: float | npt.NDArray[np.float64],
        weights: FloatArray | None = None,
    ) -> tuple[float, int]:
        """Train on every sample named by `order` once; return the mean loss and the hits."""
        self._check(x)
        self._check_targets(x, t, weights)
        if order is not None:
            _require_below("order", "indices", order, len(x))
        samples = len(x) if order is None else len(order)
        require_steps(self._network, samples, order is not None, batch_size, learning_rate)
        rates = learning_rate
        if not isinstance(rates, np.ndarray):
            rates = np.full(-(-samples // batch_size), float(rates))
        x, t, weights = (
            _plain_samples(x),
            _plain_targets(t),
            None if weights is None else _plain(weights),
        )
        losses, totals, hits = 0.0, 0.0, 0
        with self._exclusively():
            for number, start in enumerate(range(0, samples, batch_size)):
                rows = slice(start, start + batch_size)
                batch = rows if order is None else order[rows]
                weights_of_batch = None if weights is None else weights[batch]
                rows_of_batch = rows_of(t[batch], self._parameters.dtype)
                loss, total, hits_of_batch = self._backpropagate(
                    x[batch], rows_of_batch, weights_of_batch
                )
                if not math.isfinite(loss):
                    return loss, hits
                losses += loss * total
                totals += total
                hits += hits_of_batch
                self._take_step(float(rates[number]))
        return losses / totals if totals else 0.0, hits

    def gradient(
        self,
        x: Samples,
        t: Targets,
        out: FloatArray,
        weights: FloatArray | None = None,
    ) -> float:
        """Write the step's direction for all of `x` into `out`; return the loss."""
        self._check(x)
        self._check_targets(x, t, weights)
        require("out", out, self._parameters.shape, self._parameters, written=True)
        x, t, weights = (
            _plain_samples(x),
            _plain_targets(t),
            None if weights is None else _plain(weights),
        )
        with self._exclusively():
            rows = rows_of(t, self._parameters.dtype)
            loss, total, _ = self._backpropagate(x, rows, weights)
            out[:] = self._gradient
            squares = sum(
                np.sum(np.square(layer.weights, dtype=np.float64)) for layer in self._layers
            )
            return loss + self._share_of_l2(total) / 2 * float(squares)

    def predict(self, x: Samples, out: FloatArray) -> bool:
        """Write the outputs for `x` into `out`; return whether all of `x` is finite."""
        self._check(x)
        shape = (len(x), self._network.n_outputs)
        require("outputs", out, shape, self._parameters, written=True)
        x, out = _plain_samples(x), _plain(out)
        # The article's biases belong to all the samples at once.
        finite = True
        at_once = len(x) if self._network.rule == "article" else _PREDICTED_AT_ONCE
        if isinstance(x, SparseRows):
            at_once = min(at_once, max(_VALUES_AT_ONCE // self._network.n_inputs, 1))
        with np.errstate(all="ignore"):
            for start in range(0, len(x), max(at_once, 1)):
                rows = slice(start, start + at_once)
                a = self._scaled(x[rows])
                finite = finite and bool(np.isfinite(a).all())
                for layer in self._layers:
                    a = layer.activate(layer.affine_for_prediction(a))
                out[rows] = a
        return finite

    def predictor(self, rows: int) -> Predictor:
        """Return a predictor of `rows` samples at a time."""
        rows = require_whole("rows", rows, 1, sys.maxsize)
        if self._network.rule == "article":
            raise ValueError("the article's rule predicts the samples that it was fitted to alone")
        out = np.zeros_like(self._parameters, shape=(rows, self._network.n_outputs))

        def predict(x: Samples) -> FloatArray:
            if isinstance(x, np.ndarray) and x.ndim == 1:
                x = x.reshape(1, -1)
            self.predict(x, out)
            return out

        return predict

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        refusal = "this network is being trained already, perhaps by another thread"
        # A training that diverges is found by its loss, not by warnings.
        with self._training.held(refusal), np.errstate(all="ignore"):
            yield

    def _check(self, x: Samples) -> None:
        network = self._network
        require_samples("x", x, network.n_inputs, self._parameters)
        network.layers[0].check_samples(x)
        rows = network.bias_rows(self._parameters.size)
        if network.rule == "article" and len(x) != rows:
            raise ValueError(f"x: expected the {rows} samples of the biases, found {len(x)}")

    def _check_targets(self, x: Samples, t: Targets, weights: FloatArray | None) -> None:
        require_targets(self._network, self._parameters, len(x), t, weights)
        if isinstance(t, ClassTargets):
            _require_below("labels", "labels", t.labels, t.n_classes)

    def _scaled(self, x: Samples) -> FloatArray:
        """Return the samples as the first layer takes them."""
        real = self._parameters.dtype.type
        scale = self._network.input_scale
        values: FloatArray = (
            x.dense(real) if isinstance(x, SparseRows) else x.astype(real, copy=False)
        )
        return values if scale == 1 else values * real(scale)

    def _backpropagate(
        self, x: Samples, t: FloatArray, weights: FloatArray | None
    ) -> tuple[float, float, int]:
        """Fill the gradients from one batch.

        Returns
        -------
        loss : float
            Mean over the batch, without the term of l2; the gradients have it.
        total : float
            What the batch's samples count together: their number, or the sum of their weights.
        hits : int
        """
        step, first = self._steps, self._network.layers[0]
        samples = self._scaled(x)
        if isinstance(first, Augmentation):
            samples = augmented(first, self._seed, step, samples)
        inputs, pre_activations, activations = [samples], [], []
        for layer in self._layers:
            z = layer.affine(inputs[-1])
            a = layer.activate(z)
            pre_activations.append(z)
            activations.append(a)
            inputs.append(layer.drop(self._seed, step, a))
        signal = self._signal_of_loss(z, a, t, weights)
        for number in range(len(self._layers) - 1, -1, -1):
            x_layer = inputs[number]
            grad_x = np.empty_like(x_layer) if number else None
            self._layers[number].backward(x_layer, activations[number], signal, grad_x)
            if grad_x is not None:
                below = self._layers[number - 1]
                grad_a = below.drop(self._seed, step, grad_x)
                signal = below.signal(pre_activations[number - 1], activations[number - 1], grad_a)
        total = float(len(x) if weights is None else weights.sum(dtype=np.float64))
        self._add_l2(total)
        hits = np.count_nonzero(a.argmax(axis=1) == t.argmax(axis=1))
        return kernels.loss(self._network.loss, z, a, t, weights), total, int(hits)

    def _signal_of_loss(
        self, z: FloatArray, y: FloatArray, t: FloatArray, weights: FloatArray | None
    ) -> FloatArray:
        """Return dloss/dz of the last layer."""
        if self._network.rule == "article":
            return np.subtract(y, t)
        delta = np.empty_like(y)
        activation = self._layers[-1].activation
        kernels.output_delta(self._network.loss, activation, z, y, t, delta, weights)
        return delta

    def _share_of_l2(self, total: float) -> float:
        """Return the factor of the weights in the gradient of the l2 term."""
        return self._network.l2 / total if total else 0.0

    def _add_l2(self, total: float) -> None:
        if self._network.l2:
            share = self._parameters.dtype.type(self._share_of_l2(total))
            for layer in self._layers:
                layer.grad_weights += share * layer.weights

    def _take_step(self, learning_rate: float) -> None:
        """Take a complete step, or none."""
        self._clip()
        number = self._steps + 1
        for before, array in zip(self._before, self._changed, strict=True):
            before[...] = array

        def undo() -> None:
            for before, array in zip(self._before, self._changed, strict=True):
                array[...] = before
            self._steps = number - 1

        with all_or_nothing(undo):
            self._change(learning_rate, number)
            self._steps = number

    def _change(self, learning_rate: float, number: int) -> None:
        """Update parameters, moments, statistics and average by this step."""
        take_step(
            self._network.optimizer,
            self._parameters,
            self._gradient,
            self.moments,
            learning_rate,
            number,
        )
        if self.average is not None:
            decay = min(self._network.averaging, (1 + number) / (10 + number))
            self.average += self.average.dtype.type(1 - decay) * (self._parameters - self.average)
        for layer in self._layers:
            layer.move_statistics()

    def _clip(self) -> None:
        network, gradient = self._network, self._gradient
        if network.clip_value is not None:
            np.clip(gradient, -network.clip_value, network.clip_value, out=gradient)
        if network.clip_norm is not None:
            norm = math.sqrt(np.sum(np.square(gradient, dtype=np.float64)))
            if norm > network.clip_norm:
                gradient *= gradient.dtype.type(network.clip_norm / norm)


def _plain(array: _Array) -> _Array:
    """Return the array as a plain ndarray, without the arithmetic of a subclass."""
    return array if type(array) is np.ndarray else array.view(np.ndarray)  # type: ignore[return-value]


def _plain_samples(x: Samples) -> Samples:
    return x if isinstance(x, SparseRows) else _plain(x)


def _plain_targets(t: Targets) -> Targets:
    return t if isinstance(t, ClassTargets) else _plain(t)


def _require_below(argument: str, what: str, numbers: IndexArray, end: int) -> None:
    require_vector(argument, numbers, np.intp)
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < end):
        raise ValueError(f"{argument}: expected {what} from 0 to {end - 1}")
