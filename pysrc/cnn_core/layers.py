"""Descriptions of layers: frozen, without parameters and without arithmetic.

A kind of layer is a subclass of `LayerBase` that `LayerDescription` names. So it is in `LAYERS`, by
which networks and files know it. Each backend has its arithmetic: a class in
``backends/numpy/layers.py``, and a branch in ``cnn_core/describe.pyx``.
"""

from __future__ import annotations

import math
import numbers
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

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
# Only for the last layer: a layer above would lose their meaning, or their range.
LAST_LAYER_ACTIVATIONS: tuple[Activation, ...] = ("softmax", "exp")
HIDDEN_ACTIVATIONS: tuple[Activation, ...] = tuple(
    name for name in ACTIVATIONS if name not in LAST_LAYER_ACTIVATIONS
)
Normalization: TypeAlias = Literal["batch", "layer"]
NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)
# Added to a variance before its root is taken.
EPSILON = 1e-5
STATISTICS_MOMENTUM = 0.1


def _size(name: str, value: Any) -> int:
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or not 1 <= value <= sys.maxsize:
        raise ValueError(f"{name}: expected a whole number of at least 1, found {shown(value)}")
    return int(value)


class LayerArrays(NamedTuple):
    """What a layer has in a flat array of parameters, or of gradients: views.

    Attributes
    ----------
    weights : array
        Of the shape `LayerBase.weights_shape`.
    bias : (units,) array
        For the article's rule (samples, units).
    gain : (units,) array or None
        None without normalization.
    """

    weights: FloatArray
    bias: FloatArray
    gain: FloatArray | None


class LayerBase(ABC):
    """What networks ask of a kind of layer, beside its fields.

    Each kind has the attributes ``fan_in`` and ``fan_out``, the numbers of values of a sample that
    come in and go out, and ``activation``, ``dropout`` and ``normalization``. Its parameters are
    the weights, row by row, then the bias, then the gain.

    Attributes
    ----------
    reads_columns : bool
        Whether it takes the columns of the samples themselves, codes among them. It is the first
        layer then, of a network whose `input_scale` is 1.
    may_be_last : bool
        Whether a network may end with it.
    """

    reads_columns: ClassVar[bool] = False
    may_be_last: ClassVar[bool] = True

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
        """What first weights are drawn by (see `cnn_core.initializers.initialize`).

        Inputs of a unit, and units that an input goes to. None: weights with deviation 1.
        """

    @property
    def has_gain(self) -> bool:
        """Whether it has a gain for each unit, as layers with normalization do."""
        return False

    @property
    def n_statistics(self) -> int:
        """Number of running averages of batch normalization: means, then variances."""
        return 0

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
            Whether the bias is to be (bias_rows, units) also for one row.
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
        """Refuse samples that the layer cannot read; called where it is the first one.

        Raises
        ------
        ValueError
            For such samples.
        """


@dataclass(frozen=True)
class Dense(LayerBase):
    """A dense layer: ``a = activation(x @ weights + bias)``.

    With normalization it is ``a = activation(gain * normalized(x @ weights) + bias)``, where
    ``normalized(u) = (u - mean) / sqrt(variance + EPSILON)``:

    ``"batch"``
        mean and variance of each unit over the samples of a batch (Ioffe and Szegedy, "Batch
        normalization", 2015). Of both, the variance by ``n / (n - 1)`` larger, the engine keeps
        a running average, which moves by `STATISTICS_MOMENTUM` of the way at each step; predictions
        use that one. A batch of one sample, whose variance is 0, moves neither; small ones are
        noisy: a few dozen samples should be in each.
    ``"layer"``
        mean and variance of each sample over the units (Ba, Kiros, Hinton, "Layer normalization",
        2016).

    Attributes
    ----------
    fan_in, fan_out : int
        Numbers of inputs and of units; ``weights`` has the shape ``(fan_in, fan_out)``.
    activation : str
        One of `ACTIVATIONS`; ``"softmax"`` and ``"exp"`` in the last layer only.
    dropout : float
        Share of the activations that are 0 in a step of training, drawn for every sample and
        step; the others are divided by ``1 - dropout`` (Srivastava et al., "Dropout", 2014, in
        its inverted form). From 0 to below 1; 0 in the last layer.
    normalization : {"batch", "layer"}, optional
        Not in the last layer.

    Raises
    ------
    TypeError
        For a share that is no number.
    ValueError
        For a size below 1 or not whole, a name that is not known, a share outside its range. What
        belongs in the last layer alone, or not there, is refused by `Network`.
    """

    fan_in: int
    fan_out: int
    activation: Activation = "sigmoid"
    dropout: float = 0.0
    normalization: Normalization | None = None

    def __post_init__(self) -> None:
        set_checked(self, _size, "fan_in", "fan_out")
        require_known("activation", self.activation, ACTIVATIONS)
        set_checked(self, share, "dropout")
        if self.normalization is not None:
            require_known("normalization", self.normalization, NORMALIZATIONS)

    @property
    def weights_shape(self) -> tuple[int, int]:
        """Shape of the weights: a row for each input, a column for each unit."""
        return self.fan_in, self.fan_out

    @property
    def units(self) -> int:
        """Number of biases, and of gains if it has them."""
        return self.fan_out

    @property
    def fans(self) -> tuple[float, int]:
        """Inputs of a unit, and units that an input goes to."""
        return self.weights_shape

    @property
    def has_gain(self) -> bool:
        """Whether there is a normalization."""
        return self.normalization is not None

    @property
    def n_statistics(self) -> int:
        """Number of running averages of batch normalization."""
        return 2 * self.fan_out if self.normalization == "batch" else 0


# float32 holds every whole number up to here.
MOST_CODES = 2**24


@dataclass(frozen=True)
class Embedding(LayerBase):
    """A vector for each code of some columns; the other columns pass through as they are.

    The outputs are the vectors, in the order of `columns`, and behind them the other columns. The
    vectors are parameters, learned like weights (Guo and Berkhahn, "Entity embeddings of
    categorical variables", 2016). It is the first layer of a network whose `input_scale` is 1.

    Attributes
    ----------
    fan_in : int
        Number of columns of a sample.
    columns : tuple of int
        The columns that hold codes, counted from 0.
    codes : tuple of int
        How many codes each of them has, at most `MOST_CODES`: whole numbers from 0 to below that.
    dimensions : tuple of int
        Values of the vector of each of them.

    Raises
    ------
    ValueError
        For sizes below 1, a column that is not there or named twice, tuples of other lengths.

    Examples
    --------
    Column 0 has 7 codes, column 2 has 12; columns 1 and 3 are numbers:

    >>> Embedding(4, columns=(0, 2), codes=(7, 12), dimensions=(3, 5)).fan_out
    10
    """

    fan_in: int
    columns: tuple[int, ...]
    codes: tuple[int, ...]
    dimensions: tuple[int, ...]
    activation: ClassVar[Activation] = "identity"
    dropout: ClassVar[float] = 0.0
    normalization: ClassVar[Normalization | None] = None
    reads_columns: ClassVar[bool] = True
    may_be_last: ClassVar[bool] = False
    units: ClassVar[int] = 0
    fans: ClassVar[None] = None

    def __post_init__(self) -> None:
        set_checked(self, _size, "fan_in")
        for name in ("columns", "codes", "dimensions"):
            values = getattr(self, name)
            if not isinstance(values, tuple | list) or not values:
                raise ValueError(f"{name}: expected whole numbers, found {shown(values)}")
            # Columns count from 0, sizes from 1.
            shift = 1 if name == "columns" else 0
            found = tuple(_size(name, value + shift) - shift for value in values)
            object.__setattr__(self, name, found)
        if not len(self.columns) == len(self.codes) == len(self.dimensions):
            raise ValueError(
                "columns, codes, dimensions: expected as many of each, found "
                f"{len(self.columns)}, {len(self.codes)} and {len(self.dimensions)}"
            )
        if max(self.columns) >= self.fan_in or len(set(self.columns)) < len(self.columns):
            raise ValueError(
                f"columns: expected different ones from 0 to {self.fan_in - 1}, "
                f"found {self.columns}"
            )
        if max(self.codes) > MOST_CODES:
            raise ValueError(f"codes: expected at most {MOST_CODES}, found {max(self.codes)}")

    @property
    def fan_out(self) -> int:
        """Number of outputs."""
        return sum(self.dimensions) + self.fan_in - len(self.columns)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The columns that pass through."""
        return tuple(column for column in range(self.fan_in) if column not in self.columns)

    @property
    def weights_shape(self) -> tuple[int]:
        """Shape of all vectors together: flat, since they differ in length; see `tables`."""
        sizes = zip(self.codes, self.dimensions, strict=True)
        return (sum(codes * values for codes, values in sizes),)

    def tables(self, weights: FloatArray) -> list[FloatArray]:
        """Return views (codes, dimension) of each column's vectors in the layer's flat array."""
        views, start = [], 0
        for codes, values in zip(self.codes, self.dimensions, strict=True):
            views.append(weights[start : start + codes * values].reshape(codes, values))
            start += codes * values
        return views

    def check_samples(self, x: Any) -> None:
        """Refuse samples with anything but codes in the columns of codes.

        Raises
        ------
        ValueError
            Naming column, row and what stands there; also for sparse samples.
        """
        if not isinstance(x, np.ndarray):
            raise ValueError("x: expected dense samples, since some columns are codes")
        for column, codes in zip(self.columns, self.codes, strict=True):
            values = x[:, column]
            good = (values >= 0) & (values < codes) & (values == np.floor(values))
            if not good.all():
                row = int(np.flatnonzero(~good)[0])
                raise ValueError(
                    f"x: expected codes from 0 to {codes - 1} in column {column}, "
                    f"found {values[row].item()!r} in row {row}"
                )


LayerDescription: TypeAlias = Dense | Embedding
# The registry of kinds of layers, by the names that files have for them.
LAYERS: dict[str, type[LayerDescription]] = {
    kind.__name__: kind for kind in get_args(LayerDescription)
}
