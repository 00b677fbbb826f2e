"""A trained network as a list of plain operations, for all export formats.

Batch normalization and `Network.input_scale` are folded into the weights, and dropout exists only
in training. So a format needs few operations. `Walk` passes them to a format one by one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from cnn_core.bound_network import BoundNetwork
from cnn_core.layers import (
    EPSILON,
    Activation,
    Augmentation,
    AvgPool2D,
    Conv2D,
    Dense,
    Embedding,
    EncodedDense,
    Encoding,
    GlobalAveragePool,
    ImageLayer,
    LayerArrays,
    LayerDescription,
    MaxPool2D,
)
from cnn_core.layers.images import ImageShape

Array = npt.NDArray[Any]
Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Operation(ABC):
    """An operation on the values of a sample.

    Attributes
    ----------
    name : str
        The method of `Walk` that handles it.
    n_outputs : int
        Number of output values of a sample.
    """

    name: ClassVar[str]
    n_outputs: int


@dataclass(frozen=True, eq=False)
class Standardize(Operation):
    """``(x - offset) / scale``, in float64 if the format has it; the first operation.

    Attributes
    ----------
    offset, scale : (n_outputs,) float64 arrays
    """

    name = "standardize"
    offset: Array
    scale: Array


@dataclass(frozen=True, eq=False)
class Encode(Operation):
    """The features of encoded columns; see `cnn_core.EncodedDense`."""

    name = "encode"
    encodings: tuple[Encoding, ...]
    sizes: tuple[int, ...]

    def features(self, x: Array) -> Array:
        """Return the features of samples, (n, n_outputs)."""
        return EncodedDense(self.encodings, self.sizes, 1).encode(x)


@dataclass(frozen=True, eq=False)
class Embed(Operation):
    """Vectors for the codes of some columns, then the other columns; see `cnn_core.Embedding`.

    Attributes
    ----------
    columns, numbers : tuple of int
        Columns with codes, and the others.
    tables : tuple of (codes, dimension) arrays
    """

    name = "embed"
    columns: tuple[int, ...]
    numbers: tuple[int, ...]
    tables: tuple[Array, ...]

    def vectors(self, x: Array) -> Array:
        """Return vectors and numbers of samples, (n, n_outputs)."""
        vectors = [
            table[x[:, column].astype(np.intp)].astype(x.dtype)
            for column, table in zip(self.columns, self.tables, strict=True)
        ]
        return np.concatenate([*vectors, x[:, self.numbers]], axis=1)


@dataclass(frozen=True, eq=False)
class Affine(Operation):
    """``x @ weights + bias``; the bias may be None."""

    name = "affine"
    weights: Array
    bias: Array | None


@dataclass(frozen=True, eq=False)
class Convolve(Operation):
    """A convolution with the weights of `cnn_core.Conv2D`; the bias may be None."""

    name = "convolve"
    layer: Conv2D
    weights: Array
    bias: Array | None


@dataclass(frozen=True, eq=False)
class Pool(Operation):
    """The largest value of each window, or the mean.

    Attributes
    ----------
    layer : MaxPool2D, AvgPool2D or GlobalAveragePool
    largest : bool
    """

    name = "pool"
    layer: ImageLayer
    largest: bool


@dataclass(frozen=True, eq=False)
class ScaleShift(Operation):
    """``x * scale + shift`` for each channel, the last axis.

    Attributes
    ----------
    scale, shift : (channels,) arrays
    image : (height, width, channels) or None
    """

    name = "scale_shift"
    scale: Array
    shift: Array
    image: ImageShape | None


@dataclass(frozen=True, eq=False)
class Normalize(Operation):
    """``gain * (x - mean) / sqrt(variance + EPSILON) + bias`` over the channels of a pixel.

    Attributes
    ----------
    gain, bias : (channels,) arrays
    image : (height, width, channels) or None
        None if a sample is one pixel.
    """

    name = "normalize"
    gain: Array
    bias: Array
    image: ImageShape | None


@dataclass(frozen=True, eq=False)
class Activate(Operation):
    """An activation; the softmax is over all values of a sample."""

    name = "activate"
    activation: Activation


class Walk(ABC):
    """A visitor of operations; each method takes the input of an operation, returns its output."""

    def through(self, operations: Sequence[Operation], value: Any) -> Any:
        """Apply all operations; return the output of the last one."""
        for operation in operations:
            value = getattr(self, operation.name)(operation, value)
        return value

    @abstractmethod
    def standardize(self, operation: Standardize, x: Any) -> Any:
        """Handle a `Standardize`."""

    @abstractmethod
    def encode(self, operation: Encode, x: Any) -> Any:
        """Handle an `Encode`."""

    @abstractmethod
    def embed(self, operation: Embed, x: Any) -> Any:
        """Handle an `Embed`."""

    @abstractmethod
    def affine(self, operation: Affine, x: Any) -> Any:
        """Handle an `Affine`."""

    @abstractmethod
    def convolve(self, operation: Convolve, x: Any) -> Any:
        """Handle a `Convolve`."""

    @abstractmethod
    def pool(self, operation: Pool, x: Any) -> Any:
        """Handle a `Pool`."""

    @abstractmethod
    def scale_shift(self, operation: ScaleShift, x: Any) -> Any:
        """Handle a `ScaleShift`."""

    @abstractmethod
    def normalize(self, operation: Normalize, x: Any) -> Any:
        """Handle a `Normalize`."""

    @abstractmethod
    def activate(self, operation: Activate, x: Any) -> Any:
        """Handle an `Activate`."""


# From a model


def operations_of(model: BoundNetwork) -> tuple[Operation, ...]:
    """Return the operations of a model's prediction.

    Raises
    ------
    ValueError
        For the article's rule, whose biases belong to the training samples.
    TypeError
        For a kind of layer that cannot be exported.
    """
    network = model.network
    if network.rule != "exact":
        raise ValueError(
            "expected a network of rule='exact': that of the article has a bias for each training "
            "sample, and none for others"
        )
    found: list[Operation] = []
    scale = network.input_scale
    # Predictions skip the augmentation.
    first = next(layer for layer in network.layers if not isinstance(layer, Augmentation))
    if scale != 1 and isinstance(first, ImageLayer) and not isinstance(first, Conv2D):
        # With a scale below 0 the largest value of a window would become the smallest.
        found.append(_scaling(first, scale, model.dtype))
        scale = 1.0
    statistics = network.unflatten_statistics(model.statistics)
    layers = zip(network.layers, model.predicting_layers, statistics, strict=True)
    for layer, arrays, pair in layers:
        if isinstance(layer, Augmentation):
            continue
        kind = next((kind for kind in _OF_KIND if isinstance(layer, kind)), None)
        if kind is None:
            raise TypeError(f"layers: a {type(layer).__name__} cannot be exported")
        found += _OF_KIND[kind](layer, arrays, _Folded.of(arrays, pair, scale), model.dtype)
        if layer.activation != "identity":
            found.append(Activate(layer.fan_out, layer.activation))
        scale = 1.0
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Folded:
    """Scale and bias of a layer's weighted sums: ``u * scale + bias``, in float64.

    Attributes
    ----------
    scale : (units,) array
        Includes `Network.input_scale` for the first layer.
    bias : (units,) array or None
        None with layer normalization.
    """

    scale: Array
    bias: Array | None

    @classmethod
    def of(
        cls, arrays: LayerArrays, pair: tuple[Array, Array] | None, input_scale: float
    ) -> _Folded:
        bias = arrays.bias.astype(np.float64)
        scale = np.full(arrays.weights.shape[-1], input_scale)
        if pair is not None and arrays.gain is not None:
            mean, variance = (values.astype(np.float64) for values in pair)
            by = arrays.gain / np.sqrt(variance + EPSILON)
            return cls(scale * by, bias - mean * by)
        return cls(scale, None if arrays.gain is not None else bias)


def _dense(
    layer: LayerDescription, arrays: LayerArrays, folded: _Folded, dtype: np.dtype[Any]
) -> list[Operation]:
    weights = (arrays.weights * folded.scale).astype(dtype)
    bias = None if folded.bias is None else folded.bias.astype(dtype)
    return [Affine(layer.fan_out, weights, bias), *_normalized(layer, arrays, bias)]


def _normalized(
    layer: LayerDescription, arrays: LayerArrays, bias: Array | None
) -> list[Operation]:
    """Return the layer normalization, if there is one."""
    if bias is not None or arrays.gain is None:
        return []
    image = layer.output_shape if isinstance(layer, ImageLayer) else None
    return [Normalize(layer.fan_out, arrays.gain.copy(), arrays.bias.copy(), image)]


def _encoded(
    layer: LayerDescription, arrays: LayerArrays, folded: _Folded, dtype: np.dtype[Any]
) -> list[Operation]:
    assert isinstance(layer, EncodedDense)
    encode = Encode(layer.weights_shape[0], layer.encodings, layer.sizes)
    return [encode, *_dense(layer, arrays, folded, dtype)]


def _embedding(
    layer: LayerDescription, arrays: LayerArrays, folded: _Folded, dtype: np.dtype[Any]
) -> list[Operation]:
    assert isinstance(layer, Embedding)
    tables = tuple(table.copy() for table in layer.tables(arrays.weights))
    return [Embed(layer.fan_out, layer.columns, layer.numbers, tables)]


def _convolution(
    layer: LayerDescription, arrays: LayerArrays, folded: _Folded, dtype: np.dtype[Any]
) -> list[Operation]:
    assert isinstance(layer, Conv2D)
    weights = (arrays.weights * folded.scale).astype(dtype)
    bias = None if folded.bias is None else folded.bias.astype(dtype)
    convolve = Convolve(layer.fan_out, layer, weights, bias)
    return [convolve, *_normalized(layer, arrays, bias)]


def _scaling(layer: ImageLayer, scale: float, dtype: np.dtype[Any]) -> ScaleShift:
    channels = layer.input_shape[2]
    factors, zeros = np.full(channels, scale, dtype), np.zeros(channels, dtype)
    return ScaleShift(layer.fan_in, factors, zeros, layer.input_shape)


def _pool(
    layer: LayerDescription, arrays: LayerArrays, folded: _Folded, dtype: np.dtype[Any]
) -> list[Operation]:
    assert isinstance(layer, ImageLayer)
    found: list[Operation] = []
    pool = Pool(layer.fan_out, layer, isinstance(layer, MaxPool2D))
    bias = folded.bias
    if bias is not None and not bias.size:
        bias = np.zeros(layer.output_channels)
    shift = np.zeros(layer.output_channels) if bias is None else bias
    if (folded.scale != 1).any() or shift.any():
        scale = folded.scale.astype(dtype)
        found.append(ScaleShift(layer.fan_out, scale, shift.astype(dtype), layer.output_shape))
    return [pool, *found, *_normalized(layer, arrays, bias)]


_OF_KIND: dict[type[Any], Any] = {
    EncodedDense: _encoded,
    Dense: _dense,
    Embedding: _embedding,
    Conv2D: _convolution,
    MaxPool2D: _pool,
    AvgPool2D: _pool,
    GlobalAveragePool: _pool,
}
