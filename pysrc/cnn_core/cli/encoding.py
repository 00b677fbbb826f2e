"""Encode columns of a table for a network: numbers unchanged, texts as indicators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.data.cell_formats import ColumnFormat, read_column
from cnn_core.data.numeric_table import features_of
from cnn_core.data.table_file import RawTable
from cnn_core.io.fields import Fields

__all__ = ["Encoding"]

Array = npt.NDArray[Any]

# Number of most frequent texts of a column that get an input.
_MOST_LEVELS = 100


@dataclass(frozen=True)
class Encoding:
    """Conversion of table columns to inputs of a network.

    Attributes
    ----------
    levels : dict of str to tuple of str, or None
        For each column, in their order, None if it holds numbers, which are one input; otherwise
        the texts that have an input each, 1 where the cell holds that text and else 0. An empty
        cell holds the text "". Other texts are 0 everywhere.
    """

    levels: Mapping[str, tuple[str, ...] | None]

    @classmethod
    def of(cls, names: Sequence[str], counts: Mapping[str, Counter[str]]) -> Encoding:
        """Return the encoding of columns, by how often each text was found in those of text.

        The most frequent texts get an input; ties are broken by order.
        """
        levels: dict[str, tuple[str, ...] | None] = dict.fromkeys(names)
        for name, found in counts.items():
            often = sorted(found, key=lambda text: (-found[text], text))[:_MOST_LEVELS]
            levels[name] = tuple(sorted(often))
        return cls(levels)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(
            name if text is None else f"{name}={text}"
            for name, levels in self.levels.items()
            for text in ((None,) if levels is None else levels)
        )

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the columns of numbers."""
        return tuple(name for name, levels in self.levels.items() if levels is None)

    @property
    def are_numbers(self) -> npt.NDArray[np.bool_]:
        """Tell for each input whether it is a column of numbers."""
        sizes = [1 if levels is None else len(levels) for levels in self.levels.values()]
        return np.repeat([levels is None for levels in self.levels.values()], sizes)

    def inputs(self, numbers: Array, places: Mapping[str, Array]) -> Array:
        """Return the inputs, (n, n_inputs).

        Parameters
        ----------
        numbers : (n, k) array
            The columns of numbers.
        places : dict of str to (n,) array of int
            For each column of text the index of each cell's text among its levels, or -1.
        """
        if not places:
            return numbers
        inputs = np.zeros((len(numbers), len(self.are_numbers)), numbers.dtype)
        inputs[:, self.are_numbers] = numbers
        begin = 0
        for name, levels in self.levels.items():
            if levels is not None:
                (rows,) = np.nonzero(places[name] >= 0)
                inputs[rows, begin + places[name][rows]] = 1
            begin += 1 if levels is None else len(levels)
        return inputs

    def of_table(self, raw: RawTable, *, comma: bool | None = None, hint: str = "") -> Array:
        """Return the inputs for the rows of a table.

        Raises
        ------
        DataError
            For the first cell of a numeric column that is not a finite number.
        """
        places = {}
        for name, levels in self.levels.items():
            if levels is not None:
                cells = read_column(raw.frame[name].cast(str), ColumnFormat("text")).values
                known = {text: place for place, text in enumerate(levels)}
                found = [known.get(cell or "", -1) for cell in cells.to_list()]
                places[name] = np.array(found, np.intp)
        return self.inputs(features_of(raw, self.numbers, comma=comma, hint=hint), places)

    def to_json(self) -> dict[str, list[str] | None]:
        """Return the texts of each column, None for numbers."""
        return {
            name: None if levels is None else list(levels) for name, levels in self.levels.items()
        }

    @classmethod
    def from_json(cls, columns: Fields) -> Encoding:
        """Return the encoding from the result of `to_json`.

        Raises
        ------
        TypeError, ValueError
            For anything else.
        """
        return cls({name: columns.optional(columns.names, name) for name in columns})
