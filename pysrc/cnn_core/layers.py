"""Descriptions of layers: frozen, without parameters and without arithmetic."""

from __future__ import annotations

import numbers
import sys
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


@dataclass(frozen=True)
class Dense:
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

    def n_parameters(self, bias_rows: int = 1) -> int:
        """Return the number of weights, biases and gains.

        Parameters
        ----------
        bias_rows : int
            As for `Network.n_parameters`.
        """
        gain_rows = 1 if self.normalization is not None else 0
        return self.fan_out * (self.fan_in + bias_rows + gain_rows)

    @property
    def n_statistics(self) -> int:
        """Number of running averages of batch normalization."""
        return 2 * self.fan_out if self.normalization == "batch" else 0


# float32 holds every whole number up to here.
MOST_CODES = 2**24


@dataclass(frozen=True)
class Embedding:
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
    n_statistics: ClassVar[int] = 0

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

    def n_parameters(self, bias_rows: int = 1) -> int:
        """Return the number of values of all vectors, however many rows a bias has elsewhere."""
        return sum(
            codes * values for codes, values in zip(self.codes, self.dimensions, strict=True)
        )

    def tables(self, weights: FloatArray) -> list[FloatArray]:
        """Return views (codes, dimension) of each column's vectors in the layer's flat array."""
        views, start = [], 0
        for codes, values in zip(self.codes, self.dimensions, strict=True):
            views.append(weights[start : start + codes * values].reshape(codes, values))
            start += codes * values
        return views

    def require_codes(self, x: Any) -> None:
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


class LayerArrays(NamedTuple):
    """What a layer has in a flat array of parameters, or of gradients: views.

    Attributes
    ----------
    weights : (fan_in, fan_out) array
    bias : (fan_out,) array
        For the article's rule (samples, fan_out). Empty for an `Embedding`, whose `weights` are
        flat: see `Embedding.tables`.
    gain : (fan_out,) array or None
        None without normalization.
    """

    weights: FloatArray
    bias: FloatArray
    gain: FloatArray | None
