"""What contenders are given: the work, the samples and the first weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cnn_core.layers import Encoding
from cnn_core.network import (
    Activation,
    ByteArray,
    Dense,
    EncodedDense,
    FloatArray,
    IndexArray,
    Loss,
    Network,
)
from cnn_core.optimizers import SGD, Adam

__all__ = ["Samples", "Weights", "Work", "in_pieces", "start_weights"]

Weights = list[tuple[FloatArray, FloatArray]]
"""For each layer its weights (fan_in, fan_out) and its bias (fan_out,)."""

_LARGEST_BYTE = 255


@dataclass(frozen=True)
class Work:
    """A network, and the steps that train it.

    Attributes
    ----------
    sizes : tuple of int
        Features, units of each hidden layer, outputs.
    hidden, output : str
        Activation of the hidden layers and of the outputs.
    loss : str
    optimizer : {"sgd", "adam"}
        Without momentum, or with the settings of `cnn_core.network.Adam`.
    batch_size : int
    learning_rate : float
    dtype : {"float32", "float64"}
    epsilon_comes_first : bool
        Whether Adam adds its epsilon before the second moment is corrected, not after it.
    without_zeros : bool
        Whether no input is 0, so that nothing can be left out.
    bins : int
        Above 0: the inputs are the features of columns in so many pieces each, see
        `cnn_core.EncodedDense`.
    """

    sizes: tuple[int, ...] = (784, 128, 10)
    hidden: Activation = "sigmoid"
    output: Activation = "sigmoid"
    loss: Loss = "squared_error"
    optimizer: Literal["sgd", "adam"] = "sgd"
    batch_size: int = 64
    learning_rate: float = 0.5
    dtype: Literal["float32", "float64"] = "float32"
    epsilon_comes_first: bool = False
    without_zeros: bool = False
    bins: int = 0

    @property
    def columns(self) -> int:
        """Number of columns of the samples."""
        return self.sizes[0] // max(self.bins, 1)

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activation of each layer."""
        return (self.hidden,) * (len(self.sizes) - 2) + (self.output,)

    @property
    def operations_per_sample(self) -> int:
        """Operations of the products in one step, two for each multiply-add.

        Forward, and backward without the gradient of the input.
        """
        first, *others = (
            fan_in * fan_out for fan_in, fan_out in zip(self.sizes, self.sizes[1:], strict=False)
        )
        return 2 * (2 * first + 3 * sum(others))

    def network(self, input_scale: float = 1.0) -> Network:
        """Return the description of the network."""
        layers = zip(self.sizes, self.sizes[1:], self.activations, strict=False)
        return Network(
            tuple(Dense(*layer) for layer in layers),
            loss=self.loss,
            optimizer=Adam() if self.optimizer == "adam" else SGD(),
            input_scale=input_scale,
        )


@dataclass(frozen=True, eq=False)
class Samples:
    """Images as bytes, and their classes.

    Attributes
    ----------
    images : (n, features) array of uint8
    labels : (n,) array
    classes : int
    bins : int
        See `Work.bins`.
    """

    images: ByteArray
    labels: IndexArray
    classes: int
    bins: int = 0

    @classmethod
    def load(cls, path: str | Path, most: int) -> Samples:
        """Return the first samples, at most `most`, of a file that `save` wrote."""
        with np.load(path) as file:
            return cls(file["images"][:most], file["labels"][:most], int(file["classes"]))

    def save(self, path: str | Path) -> None:
        """Write an ``.npz`` file."""
        np.savez(path, images=self.images, labels=self.labels, classes=self.classes)

    def without_zeros(self) -> Samples:
        """Return the same images with 1 in the place of 0."""
        return Samples(np.maximum(self.images, 1), self.labels, self.classes)

    def in_pieces(self, columns: int, bins: int, classes: int) -> Samples:
        """Return the samples with columns from the middle of the images, in pieces."""
        start = (self.images.shape[1] - columns) // 2
        middle = Samples(self.images[:, start : start + columns], self.labels, self.classes)
        return replace(middle.shaped(columns, classes), bins=bins)

    def of_columns(self, dtype: npt.DTypeLike) -> FloatArray:
        """Return the columns that are in pieces: from 0 to `bins`."""
        scaled: npt.NDArray[Any] = self.images * np.asarray(self.bins / _LARGEST_BYTE, dtype)
        return scaled

    def shaped(self, features: int, classes: int) -> Samples:
        """Return the same number of samples with other numbers of features and classes.

        Columns are repeated or left out. With more classes, or fewer, the class of a sample is its
        number among them, so that all occur.
        """
        if (features, classes) == (self.images.shape[1], self.classes):
            return self
        images = np.take(self.images, np.arange(features), axis=1, mode="wrap")
        labels = self.labels
        if classes != self.classes:
            labels = np.arange(len(self), dtype=labels.dtype) % classes
        return Samples(np.ascontiguousarray(images), labels, classes)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice | IndexArray) -> Samples:
        return replace(self, images=self.images[rows], labels=self.labels[rows])

    def x(self, dtype: npt.DTypeLike) -> FloatArray:
        """Return the images from 0 to 1, or the features of columns in pieces."""
        if self.bins:
            layer = in_pieces(self.images.shape[1], self.bins, 1, "identity")
            return layer.encode(self.of_columns(dtype))
        scaled: npt.NDArray[Any] = self.images / np.asarray(_LARGEST_BYTE, dtype)
        return scaled

    def t(self, dtype: npt.DTypeLike) -> FloatArray:
        """Return the classes as one-hot rows."""
        rows: npt.NDArray[Any] = np.eye(self.classes, dtype=dtype)[self.labels]
        return rows


def in_pieces(columns: int, bins: int, units: int, activation: Activation) -> EncodedDense:
    """Return a layer on columns in pieces."""
    pieces: Encoding = "pieces"
    return EncodedDense((pieces,) * columns, (bins,) * columns, units, activation)


def start_weights(work: Work) -> Weights:
    """Return the weights that every contender starts from."""
    generator = np.random.RandomState(0)
    return [
        (
            generator.normal(scale=fan_in**-0.5, size=(fan_in, fan_out)).astype(work.dtype),
            # Not 0, so that a contender that left them out would be found.
            generator.normal(scale=0.1, size=fan_out).astype(work.dtype),
        )
        for fan_in, fan_out in zip(work.sizes, work.sizes[1:], strict=False)
    ]
