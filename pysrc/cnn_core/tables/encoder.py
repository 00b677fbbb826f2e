"""Encode the features of a table as the matrix that a network's first layer reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.io.fields import Fields
from cnn_core.layers import Encoding
from cnn_core.tables.columns import Feature
from cnn_core.tables.scaling import NumberScale, scale_of
from cnn_core.tables.views import View


@dataclass(frozen=True, eq=False)
class Encoder:
    """Encodes the features of a table as a matrix, for a view.

    Attributes
    ----------
    scales : tuple of NumberScale or int
        For each feature the scale of its numbers, or its number of levels.
    """

    scales: tuple[NumberScale | int, ...]

    @classmethod
    def of(cls, features: list[Feature], view: View) -> Encoder:
        """Return the encoder of a view for these features."""
        return cls(
            tuple(
                one.n_levels or scale_of(one.values, view.bins, marks_missing=one.marks_missing)
                for one in features
            )
        )

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """Encoding of each column of the matrix, for `EncodedDense`."""
        return tuple(encoding for encoding, _ in self._columns())

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of weights of each column of the matrix: 1, bins, or levels."""
        return tuple(size for _, size in self._columns())

    def _columns(self) -> list[tuple[Encoding, int]]:
        return [column for scale in self.scales for column in _columns_of(scale)]

    def columns_of_features(self) -> list[slice]:
        """Return the columns of the matrix for each feature."""
        widths = [len(_columns_of(scale)) for scale in self.scales]
        ends = np.cumsum(widths).tolist()
        return [slice(end - width, end) for width, end in zip(widths, ends, strict=True)]

    def encode(self, features: list[Feature]) -> npt.NDArray[np.float32]:
        """Return the matrix, (n, columns) of float32 in C order.

        A number has a column with its scaled value, a missing indicator if needed, and a column
        with its position among the bins. A category has one column with its code.
        """
        matrix = np.empty((len(features[0].values), len(self.sizes)), np.float32)
        column = 0
        for feature, scale in zip(features, self.scales, strict=True):
            if isinstance(scale, int):
                matrix[:, column] = feature.values
                column += 1
                continue
            matrix[:, column] = scale.scaled(feature.values)
            column += 1
            if scale.marked:
                matrix[:, column] = np.isnan(feature.values)
                column += 1
            if scale.n_bins:
                matrix[:, column] = scale.places(feature.values)
                column += 1
        return matrix

    def to_json(self) -> list[Any]:
        """Return it in terms of JSON."""
        return [scale if isinstance(scale, int) else scale.to_json() for scale in self.scales]

    @classmethod
    def from_json(cls, values: Any, place: str) -> Encoder:
        """Return the encoder from the result of `to_json`.

        Raises
        ------
        TypeError, ValueError
            For anything else.
        """
        if not isinstance(values, list) or not values:
            raise TypeError(f"{place}: expected a list of scales, found {values!r:.80}")
        scales: list[NumberScale | int] = []
        for number, value in enumerate(values):
            name = f"{place}[{number}]"
            if isinstance(value, dict):
                scales.append(NumberScale.from_json(value, name))
            else:
                scales.append(Fields({name: value}).whole(name, 1))
        return cls(tuple(scales))


def _columns_of(scale: NumberScale | int) -> list[tuple[Encoding, int]]:
    if isinstance(scale, int):
        return [("codes", scale)]
    columns: list[tuple[Encoding, int]] = [("number", 1)]
    if scale.marked:
        columns.append(("number", 1))
    if scale.n_bins:
        columns.append(("pieces", scale.n_bins))
    return columns
