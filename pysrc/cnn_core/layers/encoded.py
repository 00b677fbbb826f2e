"""The description of dense layers on encoded columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from cnn_core.layers.base import (
    Activation,
    LayerBase,
    Normalization,
    require_column,
    size,
)
from cnn_core.layers.embedding import MOST_CODES
from cnn_core.types import FloatArray
from cnn_core.validation import require_known, set_checked, shown

Encoding: TypeAlias = Literal["number", "pieces", "codes"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)


@dataclass(frozen=True)
class EncodedDense(LayerBase):
    """A dense layer on encoded columns: ``a = activation(encode(x) @ weights + bias)``.

    Each column of a sample is encoded separately. Its size is its number of features, and each
    feature has a row of the weights:

    ``"number"``
        The value itself; the size is 1.
    ``"pieces"``
        The piecewise-linear encoding of Gorishniy et al., "On embeddings for numerical features in
        tabular deep learning", 2022, minus one half: feature t of ``size`` is ``clip(value - t, 0,
        1) - 0.5``. The value is the index of a number's bin plus its relative position in that bin,
        from 0 to `size`; others are clipped.
    ``"codes"``
        One-hot: feature t is 1 if the value is t, else 0. The value is a whole number from 0 to
        below `size`, or -1, which gives zeros.

    The features are never stored: each sample looks up rows, and sums of rows, of the weights. It
    must be the first layer of a network with `input_scale` 1.

    Attributes
    ----------
    encodings : tuple of str
        One of `ENCODINGS` for each column of a sample.
    sizes : tuple of int
        Features of each column, at most `MOST_CODES`.
    fan_out : int
        Number of units.
    activation, dropout, normalization
        As for `cnn_core.Dense`.

    Raises
    ------
    TypeError
        For a share that is not a number.
    ValueError
        For no columns, tuples of different lengths, a size below 1, one other than 1 for a number,
        a name that is not known, a share outside its range.

    Examples
    --------
    A number, the same number in 8 bins, and a category of 3 levels:

    >>> import numpy as np
    >>> layer = EncodedDense(("number", "pieces", "codes"), (1, 8, 3), fan_out=16)
    >>> layer.weights_shape
    (12, 16)
    >>> layer.encode(np.array([[0.7, 1.25, 2]]))
    array([[ 0.7 ,  0.5 , -0.25, -0.5 , -0.5 , -0.5 , -0.5 , -0.5 , -0.5 ,
             0.  ,  0.  ,  1.  ]])
    """

    encodings: tuple[Encoding, ...]
    sizes: tuple[int, ...]
    fan_out: int
    activation: Activation = "relu"
    dropout: float = 0.0
    normalization: Normalization | None = None
    reads_columns: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("encodings", "sizes"):
            values = getattr(self, name)
            if not isinstance(values, tuple | list) or not values:
                raise ValueError(f"{name}: expected one for each column, found {shown(values)}")
            object.__setattr__(self, name, tuple(values))
        if len(self.encodings) != len(self.sizes):
            raise ValueError(
                "encodings, sizes: expected as many of each, found "
                f"{len(self.encodings)} and {len(self.sizes)}"
            )
        for encoding in self.encodings:
            require_known("encodings", encoding, ENCODINGS)
        sizes = tuple(size("sizes", value) for value in self.sizes)
        object.__setattr__(self, "sizes", sizes)
        for column, (encoding, features) in enumerate(zip(self.encodings, sizes, strict=True)):
            most = 1 if encoding == "number" else MOST_CODES
            if features > most:
                raise ValueError(
                    f"sizes: expected at most {most} for {encoding!r}, found {features} "
                    f"for column {column}"
                )
        set_checked(self, size, "fan_out")
        self._check_settings()

    @property
    def fan_in(self) -> int:
        """Number of columns of a sample."""
        return len(self.encodings)

    @property
    def weights_shape(self) -> tuple[int, int]:
        """Shape of the weights: a row for each feature, column after column of the samples."""
        return sum(self.sizes), self.fan_out

    @property
    def units(self) -> int:
        """Number of biases, and of gains if it has them."""
        return self.fan_out

    @property
    def fans(self) -> tuple[float, int]:
        """Sum of the squares of a sample's features, and units that use a feature.

        For a dense layer this sum is about the number of inputs, since their mean square is about
        1. Here it is 1 for a number or a code, and a quarter of the features for pieces.
        """
        columns = zip(self.encodings, self.sizes, strict=True)
        squares = sum(features / 4 if kind == "pieces" else 1.0 for kind, features in columns)
        return squares, self.fan_out

    def columns_of(self, encoding: Encoding) -> npt.NDArray[np.intp]:
        """Return the columns that are encoded in this way."""
        return np.array([n for n, name in enumerate(self.encodings) if name == encoding], np.intp)

    def tables(self, weights: FloatArray) -> list[FloatArray]:
        """Return views (size, fan_out) of the rows of the weights that belong to each column."""
        ends = np.cumsum(self.sizes)
        return [weights[end - n : end] for n, end in zip(self.sizes, ends, strict=True)]

    def encode(self, x: npt.NDArray[Any]) -> FloatArray:
        """Return the features (n, number of rows of the weights) of samples (n, fan_in)."""
        encoded: FloatArray = np.zeros((len(x), self.weights_shape[0]), x.dtype)
        one, start = x.dtype.type(1), 0
        for encoding, features, values in zip(self.encodings, self.sizes, x.T, strict=True):
            own = encoded[:, start : start + features]
            steps = np.arange(features, dtype=x.dtype)
            if encoding == "number":
                own[:, 0] = values
            elif encoding == "pieces":
                own[...] = np.clip(values[:, np.newaxis] - steps, 0, 1) - one / 2
            else:
                own[...] = values[:, np.newaxis] == steps
            start += features
        return encoded

    def check_samples(self, x: Any) -> None:
        """Refuse NaN in columns of pieces, and anything but codes in columns of codes.

        Raises
        ------
        ValueError
            The error names column, row and value. Also for sparse samples.
        """
        if not isinstance(x, np.ndarray):
            raise ValueError("x: expected dense samples, since some columns are encoded")
        for column, (encoding, features) in enumerate(zip(self.encodings, self.sizes, strict=True)):
            if encoding == "number":
                continue
            values = x[:, column]
            if encoding == "pieces":
                good, expected = values == values, f"a number from 0 to {features}"
            else:
                good = (values >= -1) & (values < features) & (values == np.floor(values))
                expected = f"codes from 0 to {features - 1}, or -1,"
            require_column(values, good, column, expected)
