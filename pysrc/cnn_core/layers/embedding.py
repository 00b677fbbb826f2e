"""The description of embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnn_core.layers.base import Activation, LayerBase, Normalization, require_column, size
from cnn_core.types import FloatArray
from cnn_core.validation import set_checked, shown

# float32 holds every whole number up to here.
MOST_CODES = 2**24


@dataclass(frozen=True)
class Embedding(LayerBase):
    """A vector for each code of some columns; other columns pass through unchanged.

    The outputs are the vectors, in the order of `columns`, followed by the other columns. The
    vectors are parameters, learned like weights (Guo and Berkhahn, "Entity embeddings of
    categorical variables", 2016). It is the first layer of a network whose `input_scale` is 1.

    Attributes
    ----------
    fan_in : int
        Number of columns of a sample.
    columns : tuple of int
        The columns that hold codes, counted from 0.
    codes : tuple of int
        Number of codes of each, at most `MOST_CODES`; codes are whole numbers from 0.
    dimensions : tuple of int
        Length of the vectors of each.

    Raises
    ------
    ValueError
        For sizes below 1, a column that does not exist or is named twice, tuples of different
        lengths.

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
        set_checked(self, size, "fan_in")
        for name in ("columns", "codes", "dimensions"):
            values = getattr(self, name)
            if not isinstance(values, tuple | list) or not values:
                raise ValueError(f"{name}: expected whole numbers, found {shown(values)}")
            # Columns count from 0, sizes from 1.
            shift = 1 if name == "columns" else 0
            found = tuple(size(name, value + shift) - shift for value in values)
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
            The error names column, row and value. Also for sparse samples.
        """
        if not isinstance(x, np.ndarray):
            raise ValueError("x: expected dense samples, since some columns are codes")
        for column, codes in zip(self.columns, self.codes, strict=True):
            values = x[:, column]
            good = (values >= 0) & (values < codes) & (values == np.floor(values))
            require_column(values, good, column, f"codes from 0 to {codes - 1}")
