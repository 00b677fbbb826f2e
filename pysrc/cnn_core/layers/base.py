"""The interface of all kinds of layers, and the names that they share."""

from __future__ import annotations

import math
import numbers
import sys
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from cnn_core.types import FloatArray
from cnn_core.validation import require_known, set_checked, share, shown

Activation: TypeAlias = Literal[
    "identity",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "softplus",
    "exp",
    "softmax",
]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
# Only for the last layer: another layer after them would not make sense.
LAST_LAYER_ACTIVATIONS: tuple[Activation, ...] = ("softmax", "exp")
HIDDEN_ACTIVATIONS: tuple[Activation, ...] = tuple(
    name for name in ACTIVATIONS if name not in LAST_LAYER_ACTIVATIONS
)
Normalization: TypeAlias = Literal["batch", "layer"]
NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)
# Added to a variance before its root is taken.
EPSILON = 1e-5
STATISTICS_MOMENTUM = 0.1


def size(name: str, value: Any) -> int:
    """Return a number of values, at least 1.

    Raises
    ------
    ValueError
        For anything else.
    """
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or not 1 <= value <= sys.maxsize:
        raise ValueError(f"{name}: expected a whole number of at least 1, found {shown(value)}")
    return int(value)


class LayerArrays(NamedTuple):
    """Views of a layer's part of a flat array of parameters, or of gradients.

    Attributes
    ----------
    weights : array
        Shape `LayerBase.weights_shape`.
    bias : (units,) array
        For the article's rule (samples, units).
    gain : (units,) array or None
        None without normalization.
    """

    weights: FloatArray
    bias: FloatArray
    gain: FloatArray | None


def require_column(
    values: npt.NDArray[Any], good: npt.NDArray[np.bool_], column: int, expected: str
) -> None:
    """Refuse a column of samples if one of its values is not valid.

    Raises
    ------
    ValueError
        The error names column, row and value.
    """
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise ValueError(
            f"x: expected {expected} in column {column}, found {values[row].item()!r} in row {row}"
        )


class LayerBase(ABC):
    """The interface of a kind of layer, in addition to its fields.

    Each kind has the attributes ``fan_in`` and ``fan_out``, the numbers of inputs and outputs for a
    sample, and ``activation``, ``dropout`` and ``normalization``. Its parameters are the weights,
    row by row, then the bias, then the gain.

    Attributes
    ----------
    reads_columns : bool
        Whether it reads the raw columns of the samples, codes among them. Then it must be the first
        layer, and `input_scale` must be 1.
    must_be_first : bool
        Whether it must be the first layer for another reason.
    may_be_last : bool
        Whether a network may end with it.
    """

    reads_columns: ClassVar[bool] = False
    must_be_first: ClassVar[bool] = False
    may_be_last: ClassVar[bool] = True

    @property
    @abstractmethod
    def activation(self) -> Activation:
        """Applied to the layer's sums."""

    @property
    @abstractmethod
    def dropout(self) -> float:
        """Share of the outputs that a training step sets to 0."""

    @property
    @abstractmethod
    def normalization(self) -> Normalization | None:
        """Applied before the activation."""

    def _check_settings(self) -> None:
        """Refuse names that are not known, and a share of dropout outside its range."""
        require_known("activation", self.activation, ACTIVATIONS)
        set_checked(self, share, "dropout")
        if self.normalization is not None:
            require_known("normalization", self.normalization, NORMALIZATIONS)

    @property
    @abstractmethod
    def weights_shape(self) -> tuple[int, ...]:
        """Shape of the weights."""

    @property
    @abstractmethod
    def units(self) -> int:
        """Number of biases, and of gains if it has them."""

    @property
    @abstractmethod
    def fans(self) -> tuple[float, int] | None:
        """Fan-in and fan-out for the first weights (see `cnn_core.initializers.initialize`).

        Inputs of a unit, and units that use an input. None: weights with deviation 1.
        """

    @property
    def has_gain(self) -> bool:
        """Whether it has a gain for each unit, as layers with normalization do."""
        return self.normalization is not None

    @property
    def n_statistics(self) -> int:
        """Number of running averages of batch normalization: means, then variances."""
        return 2 * self.units if self.normalization == "batch" else 0

    def n_parameters(self, bias_rows: int = 1) -> int:
        """Return the number of weights, biases and gains.

        Parameters
        ----------
        bias_rows : int
            As for `Network.n_parameters`.
        """
        return math.prod(self.weights_shape) + self.units * (bias_rows + self.has_gain)

    def arrays(self, flat: FloatArray, bias_rows: int = 1, *, by_rows: bool = False) -> LayerArrays:
        """Return views into the part of a flat array that belongs to this layer.

        Parameters
        ----------
        flat : (n_parameters(bias_rows),) array
        bias_rows : int
        by_rows : bool
            Whether the bias has the shape (bias_rows, units) also for one row.
        """
        middle = math.prod(self.weights_shape)
        end = middle + bias_rows * self.units
        bias = flat[middle:end]
        return LayerArrays(
            flat[:middle].reshape(self.weights_shape),
            bias.reshape(bias_rows, self.units) if by_rows else bias,
            flat[end:] if self.has_gain else None,
        )

    def check_samples(self, x: Any) -> None:  # noqa: B027
        """Refuse samples that the layer cannot read; called if it is the first layer.

        Raises
        ------
        ValueError
            For such samples.
        """
