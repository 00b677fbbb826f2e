"""Layers as the formulas are written: forward and backward.

A batch x has the shape (n, fan_in); pre-activations z, activations a and what a layer learns from,
its signal, (n, fan_out).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_core.backends.numpy import kernels
from cnn_core.backends.numpy.normalization import AXIS
from cnn_core.layers import (
    Augmentation,
    AvgPool2D,
    Conv2D,
    GlobalAveragePool,
    LayerDescription,
    MaxPool2D,
)
from cnn_core.network import (
    STATISTICS_MOMENTUM,
    Dense,
    Embedding,
    EncodedDense,
    FloatArray,
    LayerArrays,
    Network,
    Normalization,
)


class Normalizer:
    """The normalization of a layer, by the batch or by the layer.

    It keeps what the last `forward` left for the backward pass.
    """

    def __init__(
        self,
        normalization: Normalization,
        parameters: LayerArrays,
        gradients: LayerArrays,
        statistics: tuple[FloatArray, FloatArray] | None,
    ) -> None:
        assert parameters.gain is not None
        assert gradients.gain is not None
        self._normalization = normalization
        self._statistics = statistics
        self._gain, self._grad_gain = parameters.gain, gradients.gain
        self._bias, self._grad_bias = parameters.bias, gradients.bias

    def forward(self, u: FloatArray) -> FloatArray:
        """Return the pre-activation in a step of training, normalized by the batch or the layer."""
        self._u = u
        z, self._normal, self._spread = self._normalize(u)
        return z

    def predict(self, u: FloatArray) -> FloatArray:
        """Return the pre-activation, normalized by the running averages or by the layer."""
        if self._statistics is None:
            return self._normalize(u)[0]
        z = np.empty_like(u)
        kernels.normalize_by(*self._statistics, self._gain, self._bias, u, z)
        return z

    def backward(self, signal: FloatArray) -> FloatArray:
        """Fill the gradients of gain and bias; return the one with respect to `u`."""
        grad_u = np.empty_like(signal)
        kernels.normalize_backward(
            self._normalization,
            self._normal,
            self._spread,
            self._gain,
            signal,
            self._grad_gain,
            self._grad_bias,
            grad_u,
        )
        return grad_u

    def move_statistics(self) -> None:
        """Move the running averages towards mean and variance of the last `forward`."""
        if self._statistics is None or len(self._u) == 1:
            return
        mean, variance = self._statistics
        mean += STATISTICS_MOMENTUM * (self._u.mean(axis=0, dtype=np.float64) - mean)
        # Bessel's correction: n / (n - 1) makes the variance of a batch an unbiased estimate.
        variance += STATISTICS_MOMENTUM * (self._u.var(axis=0, dtype=np.float64, ddof=1) - variance)

    def _normalize(self, u: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        normal, z = np.empty_like(u), np.empty_like(u)
        spread = np.empty_like(u, shape=u.shape[1 - AXIS[self._normalization]])
        kernels.normalize(self._normalization, u, self._gain, self._bias, normal, spread, z)
        return z, normal, spread


class Layer:
    """A dense layer, and what other kinds share: forward, backward, the arrays of both.

    A kind whose weights meet the samples in another way overrides `multiply` and
    `multiply_backward`.
    """

    def __init__(
        self,
        number: int,
        description: LayerDescription,
        parameters: LayerArrays,
        gradients: LayerArrays,
        statistics: tuple[FloatArray, FloatArray] | None = None,
    ) -> None:
        self.number = number
        self.activation = description.activation
        self.rate = description.dropout
        self.weights, self.bias, _ = parameters
        self.grad_weights, self.grad_bias, _ = gradients
        self.normalizer = None
        if description.normalization is not None:
            self.normalizer = Normalizer(
                description.normalization, parameters, gradients, statistics
            )

    def multiply(self, x: FloatArray) -> FloatArray:
        """Return the weighted sums of `x`, without a bias."""
        u: FloatArray = x @ self.weights
        return u

    def multiply_backward(
        self, x: FloatArray, grad_u: FloatArray, grad_x: FloatArray | None
    ) -> None:
        """Fill the gradient of the weights and, if asked for, the one with respect to `x`."""
        kernels.dense_backward(x, self.weights, grad_u, self.grad_weights, grad_x=grad_x)

    def affine(self, x: FloatArray) -> FloatArray:
        """Return the pre-activation for `x` in a step of training."""
        if self.normalizer is None:
            return self.affine_for_prediction(x)
        return self.normalizer.forward(self.multiply(x))

    def affine_for_prediction(self, x: FloatArray) -> FloatArray:
        """Return the pre-activation for `x` in a prediction."""
        u = self.multiply(x)
        if self.normalizer is not None:
            return self.normalizer.predict(u)
        u += self.bias
        return u

    def activate(self, z: FloatArray) -> FloatArray:
        """Return the activation."""
        a = np.empty_like(z)
        kernels.activate(self.activation, z, a)
        return a

    def drop(self, seed: int, step: int, values: FloatArray) -> FloatArray:
        """Apply the dropout of this step to an activation or to its gradient."""
        if not self.rate:
            return values
        left = np.empty_like(values)
        kernels.dropout(self.rate, seed, step, self.number, values, left)
        return left

    def signal(self, z: FloatArray, a: FloatArray, grad_a: FloatArray) -> FloatArray:
        """Return the signal, dloss/dz, from z, a and dloss/da."""
        delta = np.empty_like(a)
        kernels.activation_backward(self.activation, z, a, grad_a, delta)
        return delta

    def backward(
        self, x: FloatArray, a: FloatArray, signal: FloatArray, grad_x: FloatArray | None
    ) -> None:
        """Fill the gradients of the parameters and, if asked for, the one with respect to `x`."""
        grad_u = signal
        if self.normalizer is not None:
            grad_u = self.normalizer.backward(signal)
        else:
            signal.sum(axis=0, out=self.grad_bias)
        self.multiply_backward(x, grad_u, grad_x)

    def move_statistics(self) -> None:
        """Update the running averages of predictions by the batch of the last `affine`."""
        if self.normalizer is not None:
            self.normalizer.move_statistics()


class ArticleLayer(Layer):
    """The article's layer: a bias for each training sample, and its own backward pass.

    There the sigmoid is taken a second time, of what is an activation already, and it is the error
    that goes down to the layer below, not the delta.
    """

    def affine_for_prediction(self, x: FloatArray) -> FloatArray:
        """Return the pre-activation, with the bias of each sample."""
        z = np.empty((len(x), self.weights.shape[1]), x.dtype)
        kernels.dense_forward(x, self.weights, np.zeros_like(z, shape=z.shape[1]), z)
        z += self.bias
        return z

    def signal(self, z: FloatArray, a: FloatArray, grad_a: FloatArray) -> FloatArray:
        """Return dloss/da unchanged."""
        return grad_a

    def backward(
        self, x: FloatArray, a: FloatArray, signal: FloatArray, grad_x: FloatArray | None
    ) -> None:
        """Fill the gradients with the article's directions."""
        twice = self.activate(a)
        delta = self.grad_bias
        kernels.activation_backward(self.activation, a, twice, signal, delta)
        kernels.dense_backward(x, self.weights, delta, self.grad_weights)
        kernels.dense_backward(x, self.weights, signal, grad_x=grad_x)


class EmbeddingLayer(Layer):
    """Vectors for codes, and the numbers behind them; the first layer."""

    def __init__(
        self,
        number: int,
        description: Embedding,
        parameters: LayerArrays,
        gradients: LayerArrays,
        statistics: None = None,
    ) -> None:
        super().__init__(number, description, parameters, gradients)
        self._description = description
        self._tables = description.tables(self.weights)
        self._grad_tables = description.tables(self.grad_weights)

    def affine_for_prediction(self, x: FloatArray) -> FloatArray:
        """Return the vectors of the codes of `x`, and its numbers."""
        vectors = [
            table[x[:, column].astype(np.intp)]
            for column, table in zip(self._description.columns, self._tables, strict=True)
        ]
        return np.concatenate([*vectors, x[:, self._description.numbers]], axis=1)

    def backward(
        self, x: FloatArray, a: FloatArray, signal: FloatArray, grad_x: FloatArray | None
    ) -> None:
        """Sum the gradient of each code's vector, sample after sample."""
        start = 0
        for column, gradient in zip(self._description.columns, self._grad_tables, strict=True):
            end = start + gradient.shape[1]
            gradient[...] = 0
            np.add.at(gradient, x[:, column].astype(np.intp), signal[:, start:end])
            start = end


class EncodedLayer(Layer):
    """A dense layer on the encoded columns of the samples; the first layer."""

    def __init__(
        self,
        number: int,
        description: EncodedDense,
        parameters: LayerArrays,
        gradients: LayerArrays,
        statistics: tuple[FloatArray, FloatArray] | None = None,
    ) -> None:
        super().__init__(number, description, parameters, gradients, statistics)
        self._encode = description.encode

    def multiply(self, x: FloatArray) -> FloatArray:
        """Return the weighted sums of the encoded columns, without a bias."""
        return super().multiply(self._encode(x))

    def multiply_backward(
        self, x: FloatArray, grad_u: FloatArray, grad_x: FloatArray | None
    ) -> None:
        """Fill the gradient of the weights."""
        super().multiply_backward(self._encode(x), grad_u, None)


class ImagesLayer(Layer):
    """What the layers for images have in common.

    Bias and normalization treat the pixels of all samples as those of a dense layer treat samples.
    """

    def __init__(
        self,
        number: int,
        description: Conv2D | MaxPool2D | AvgPool2D | GlobalAveragePool,
        parameters: LayerArrays,
        gradients: LayerArrays,
        statistics: tuple[FloatArray, FloatArray] | None = None,
    ) -> None:
        super().__init__(number, description, parameters, gradients, statistics)
        self._channels = description.output_channels
        self._drops_channels = description.spatial_dropout

    def affine(self, x: FloatArray) -> FloatArray:
        """Return the pre-activation for `x` in a step of training."""
        if self.normalizer is None:
            return self.affine_for_prediction(x)
        u = self.multiply(x)
        return self.normalizer.forward(self._pixels(u)).reshape(u.shape)

    def affine_for_prediction(self, x: FloatArray) -> FloatArray:
        """Return the pre-activation for `x` in a prediction."""
        u = self.multiply(x)
        if self.normalizer is not None:
            return self.normalizer.predict(self._pixels(u)).reshape(u.shape)
        if self.bias.size:
            u = (self._pixels(u) + self.bias).reshape(u.shape)
        return u

    def drop(self, seed: int, step: int, values: FloatArray) -> FloatArray:
        """Apply the dropout of this step, to single values or to whole channels of a sample."""
        if not (self.rate and self._drops_channels):
            return super().drop(seed, step, values)
        mask = np.ones((len(values), self._channels), values.dtype)
        kernels.dropout(self.rate, seed, step, self.number, mask, mask)
        images = values.reshape(len(values), -1, self._channels)
        mask = mask[:, np.newaxis]
        return np.where(mask, images * mask, mask).reshape(values.shape)

    def backward(
        self, x: FloatArray, a: FloatArray, signal: FloatArray, grad_x: FloatArray | None
    ) -> None:
        """Fill the gradients of the parameters and, if asked for, the one with respect to `x`."""
        grad_u = signal
        if self.normalizer is not None:
            grad_u = self.normalizer.backward(self._pixels(signal)).reshape(signal.shape)
        elif self.bias.size:
            self._pixels(signal).sum(axis=0, out=self.grad_bias)
        self.multiply_backward(x, grad_u, grad_x)

    def _pixels(self, values: FloatArray) -> FloatArray:
        """Return the values of all samples, a row for each pixel."""
        return values.reshape(-1, self._channels)


class ConvolutionLayer(ImagesLayer):
    """A dense layer of the pixels around each pixel."""

    def __init__(self, number: int, description: Conv2D, *arrays: Any) -> None:
        super().__init__(number, description, *arrays)
        self._description = description

    def multiply(self, x: FloatArray) -> FloatArray:
        """Return the convolution of `x`, without a bias."""
        u = np.empty((len(x), self._description.fan_out), x.dtype)
        kernels.convolve(self._description, x, self.weights, u)
        return u

    def multiply_backward(
        self, x: FloatArray, grad_u: FloatArray, grad_x: FloatArray | None
    ) -> None:
        """Fill the gradient of the weights and, if asked for, the one with respect to `x`."""
        kernels.convolve_backward(
            self._description, x, self.weights, grad_u, self.grad_weights, grad_x
        )


class PoolLayer(ImagesLayer):
    """The largest value or the mean of each window."""

    def __init__(
        self,
        number: int,
        description: MaxPool2D | AvgPool2D | GlobalAveragePool,
        *arrays: Any,
    ) -> None:
        super().__init__(number, description, *arrays)
        self._description = description

    def multiply(self, x: FloatArray) -> FloatArray:
        """Return what the windows of `x` give."""
        u = np.empty((len(x), self._description.fan_out), x.dtype)
        kernels.pool(self._description, x, u)
        return u

    def multiply_backward(
        self, x: FloatArray, grad_u: FloatArray, grad_x: FloatArray | None
    ) -> None:
        """Fill the gradient with respect to `x` if asked for; there are no weights."""
        if grad_x is not None:
            kernels.pool_backward(self._description, x, grad_u, grad_x)


# The class of each kind in `cnn_core.layers.LAYERS`.
_CLASSES: dict[type[LayerDescription], Callable[..., Layer]] = {
    Dense: Layer,
    Embedding: EmbeddingLayer,
    EncodedDense: EncodedLayer,
    Conv2D: ConvolutionLayer,
    MaxPool2D: PoolLayer,
    AvgPool2D: PoolLayer,
    GlobalAveragePool: PoolLayer,
}


def layers_of(
    network: Network, parameters: FloatArray, gradient: FloatArray, statistics: FloatArray
) -> list[Layer]:
    """Return the layers; their arrays are views into the flat ones.

    An augmentation is none: the engine applies it to the samples.
    """
    parts = zip(
        network.layers,
        network.unflatten(parameters),
        network.unflatten(gradient),
        network.unflatten_statistics(statistics),
        strict=True,
    )
    layers = []
    for number, (description, arrays, gradients, averages) in enumerate(parts):
        if isinstance(description, Augmentation):
            continue
        is_article = network.rule == "article"
        make = ArticleLayer if is_article else _CLASSES[type(description)]
        layers.append(make(number, description, arrays, gradients, averages))
    return layers
