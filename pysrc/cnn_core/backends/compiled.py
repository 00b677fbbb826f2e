"""The kernels of the compiled backend: which loops an operation is made of.

An operation of a layer is that layer, run by itself on the caller's arrays. What takes no loop
worth compiling stands here: sums of weights, copies, one array made of two. The arguments are
checked already, by `cnn_core.backends.kernels.CheckedKernels`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.layers import Activation, Conv2D, ImageLayer, Normalization
from cnn_core.losses import Loss
from cnn_core.optimizers import Optimizer
from cnn_core.types import FloatArray


class CompiledKernels:
    """The operations on arrays of one dtype; see `cnn_core.backends.interface.Kernels`.

    Parameters
    ----------
    modules : dict of str to module
        The compiled modules of an ISA level and a dtype.
    """

    def __init__(self, modules: Mapping[str, ModuleType]) -> None:
        self.loops = modules["kernels"]
        self._modules = modules

    def dense_forward(
        self, x: FloatArray, weights: FloatArray, bias: FloatArray, out: FloatArray
    ) -> None:
        """``out = x @ weights + bias``."""
        self._multiply(x, False, weights, False, out, bias)

    def dense_backward(
        self,
        x: FloatArray,
        weights: FloatArray,
        delta: FloatArray,
        grad_weights: FloatArray | None = None,
        grad_bias: FloatArray | None = None,
        grad_x: FloatArray | None = None,
    ) -> None:
        """``x.T @ delta``, ``delta.sum(axis=0)`` and ``delta @ weights.T``, each if asked for."""
        if grad_weights is not None:
            self._multiply(x, True, delta, False, grad_weights)
        if grad_bias is not None:
            grad_bias[:] = 0
            self.loops.add_rows(delta, grad_bias)
        if grad_x is not None:
            self._multiply(delta, False, weights, True, grad_x)

    def _multiply(
        self,
        left: FloatArray,
        turns_left: bool,
        right: FloatArray,
        turns_right: bool,
        out: FloatArray,
        base: FloatArray | None = None,
    ) -> None:
        """``out = base + left @ right``, with the operands as they are or transposed."""
        if left.size and right.size:
            self.loops.multiply(left, turns_left, right, turns_right, base, out)
        else:
            out[:] = 0 if base is None else base

    def convolve(self, layer: Conv2D, x: FloatArray, weights: FloatArray, out: FloatArray) -> None:
        """``out`` = the convolution of the images `x`, without a bias."""
        self._convolution(layer, x, weights).forward(x, out)

    def convolve_backward(
        self,
        layer: Conv2D,
        x: FloatArray,
        weights: FloatArray,
        delta: FloatArray,
        grad_weights: FloatArray | None = None,
        grad_x: FloatArray | None = None,
    ) -> None:
        """From dloss/dout, `delta`, the gradients of weights and `x`, each if asked for."""
        gradient = None if grad_weights is None else grad_weights.reshape(-1)
        self._convolution(layer, x, weights, gradient).backward(x, None, delta, grad_x)

    def _convolution(
        self, layer: Conv2D, x: FloatArray, weights: FloatArray, gradient: FloatArray | None = None
    ) -> Any:
        height, width, _ = layer.output_shape
        make = self._modules["convolution"].convolution_layer
        alone = make(layer, height, width, 0, False, None, False)
        return self.loops.Alone(alone, len(x), weights.flatten(), gradient)

    def pool(self, layer: ImageLayer, x: FloatArray, out: FloatArray) -> None:
        """``out`` = the largest value or the mean of each window of the images `x`."""
        self._pool(layer, x).forward(x, out)

    def pool_backward(
        self, layer: ImageLayer, x: FloatArray, grad_out: FloatArray, grad_x: FloatArray
    ) -> None:
        """``grad_x`` = dloss/dx from dloss/dout, `grad_out`."""
        self._pool(layer, x).backward(x, None, grad_out, grad_x)

    def _pool(self, layer: ImageLayer, x: FloatArray) -> Any:
        return self.loops.Alone(self._modules["pooling"].pool_layer(layer), len(x))

    def activate(self, activation: Activation, z: FloatArray, out: FloatArray) -> None:
        """``out = activation(z)``."""
        self._activation(activation, z).forward(z, out)

    def activation_backward(
        self,
        activation: Activation,
        z: FloatArray,
        a: FloatArray,
        grad_a: FloatArray,
        out: FloatArray,
    ) -> None:
        """``out`` = dloss/dz from z, ``a = activation(z)`` and dloss/da."""
        self._activation(activation, z).backward(z, a, grad_a, out)

    def _activation(self, activation: Activation, z: FloatArray) -> Any:
        layer = self._modules["activations"].ActivationLayer(activation, z.shape[1], False, False)
        return self.loops.Alone(layer, len(z))

    def loss(
        self,
        loss: Loss,
        z: FloatArray,
        y: FloatArray,
        t: FloatArray,
        weights: FloatArray | None = None,
    ) -> float:
        """Return the loss, summed over outputs, averaged over samples, in float64."""
        if z.size == 0:
            return 0.0
        losses = np.empty(len(z))
        self.loops.row_losses(loss, z, y, t, losses)
        with np.errstate(all="ignore"):
            if weights is not None:
                losses *= weights
            total = _total(z, weights)
            return _sum(losses) / total if total else 0.0

    def output_delta(
        self,
        loss: Loss,
        activation: Activation,
        z: FloatArray,
        y: FloatArray,
        t: FloatArray,
        out: FloatArray,
        weights: FloatArray | None = None,
    ) -> None:
        """``out`` = dloss/dz in the last layer."""
        total = _total(z, weights) if z.size else 0.0
        if total == 0:
            out[:] = 0
            return
        if np.may_share_memory(y, out):
            y = y.copy()
        if not self.loops.output_slope(loss, y, t, total, out):
            self.activation_backward(activation, z, y, out, out)
        if weights is not None:
            with np.errstate(all="ignore"):
                np.multiply(out, weights[:, np.newaxis], out=out)

    def normalize(
        self,
        normalization: Normalization,
        u: FloatArray,
        gain: FloatArray,
        bias: FloatArray,
        normal: FloatArray,
        spread: FloatArray,
        z: FloatArray,
    ) -> None:
        """Write ``normal = (u - mean) * spread`` and ``z = gain * normal + bias``."""
        # By the layer the inputs are normalized in place.
        normal[:] = u
        self._normalization(normalization, u, bias, gain, spread=spread).forward(normal, z)
        if normalization == "batch":
            zeros, ones = np.zeros_like(bias), np.ones_like(gain)
            alone = self._normalization(normalization, u, zeros, ones, spread=spread)
            alone.forward(normal, normal)

    def normalize_backward(
        self,
        normalization: Normalization,
        normal: FloatArray,
        spread: FloatArray,
        gain: FloatArray,
        delta: FloatArray,
        grad_gain: FloatArray,
        grad_bias: FloatArray,
        out: FloatArray,
    ) -> None:
        """From dloss/dz, `delta`, the gradients and ``out`` = dloss/du."""
        gradient = np.zeros(2 * gain.size, gain.dtype)
        if normalization == "batch":
            # The layer normalizes them once more, by a spread of 1; the gain takes theirs.
            gain, spread = gain * spread, np.ones_like(spread)
        arrays = {"gradient": gradient, "spread": spread.copy()}
        alone = self._normalization(normalization, normal, gain, gain, **arrays)
        alone.backward(normal, None, delta, out)
        grad_bias[:], grad_gain[:] = gradient[: gain.size], gradient[gain.size :]

    def normalize_by(
        self,
        mean: FloatArray,
        variance: FloatArray,
        gain: FloatArray,
        bias: FloatArray,
        u: FloatArray,
        z: FloatArray,
    ) -> None:
        """``z = gain * (u - mean) / sqrt(variance + EPSILON) + bias``."""
        statistics = np.concatenate((mean, variance))
        self._normalization("batch", u, bias, gain, statistics=statistics).predict(u, z)

    def _normalization(
        self,
        normalization: Normalization,
        u: FloatArray,
        bias: FloatArray,
        gain: FloatArray,
        **arrays: FloatArray,
    ) -> Any:
        """Return the layer, for values whose running means are 0 unless `arrays` has others."""
        make = self._modules["normalization"].normalization_layer
        layer = make(normalization, u.shape[1], 1, 0, 0, None)
        arrays = {"statistics": np.zeros(2 * gain.size, gain.dtype)} | arrays
        return self.loops.Alone(layer, len(u), np.concatenate((bias, gain)), **arrays)

    def update(
        self,
        optimizer: Optimizer,
        parameters: FloatArray,
        gradient: FloatArray,
        moments: FloatArray,
        learning_rate: float,
        step: int,
    ) -> None:
        """Take the step of this number, from 1, in place."""
        none = parameters[:0]
        first, second = (*moments, none, none)[:2]
        self.loops.update(optimizer, parameters, gradient, first, second, learning_rate, step)

    def random_bits(
        self, key: int, counter: tuple[int, int, int, int], out: npt.NDArray[np.uint32]
    ) -> None:
        """Fill `out` with random numbers of 32 bits, four from each counter."""
        if out.size:
            self.loops.random_bits(key, *counter, out)

    def dropout(
        self, rate: float, key: int, step: int, layer: int, a: FloatArray, out: FloatArray
    ) -> None:
        """``out = a / (1 - rate)`` where a sample keeps a unit, else 0."""
        units = a.shape[1]
        alone = self._modules["dropout"].DropoutLayer(rate, units, units)
        numbers = {"key": key, "step": step % 2**32, "number": layer % 2**32}
        self.loops.Alone(alone, len(a), **numbers).forward(a, out)


def _total(z: FloatArray, weights: FloatArray | None) -> float:
    """Return what the samples count together."""
    return float(len(z)) if weights is None else _sum(weights)


def _sum(values: FloatArray) -> float:
    """Return the sum in float64, made in rising order, as the engine makes it."""
    return float(np.cumsum(values, dtype=np.float64)[-1])
