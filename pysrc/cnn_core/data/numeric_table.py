"""Read tables of numbers; an error names the first cell that is not a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .cell_formats import COLUMNS_AT_ONCE, ColumnFormat, find_format, prefers_comma, read_column
from .checks import DataError

if TYPE_CHECKING:
    import polars as pl

    from .table_file import RawTable

__all__ = ["features_of", "target_of"]

_LONGEST_NAME = 1000
_CELLS_AT_ONCE = 1_000_000


def features_of(
    raw: RawTable, names: Sequence[str], *, comma: bool | None = None, hint: str = ""
) -> npt.NDArray[np.float64]:
    """Return columns of a table as numbers, (n, n_columns); words for true and false are 1 and 0.

    Parameters
    ----------
    raw : RawTable
    names : sequence of str
        Its columns to read, in this order.
    comma : bool, optional
        Whether numbers have decimal commas; by default this is detected.
    hint : str
        Advice about cells that are not numbers, for the message.

    Raises
    ------
    DataError
        For the first cell that is not a finite number.
    """
    comma = prefers_comma(raw.frame) if comma is None else comma
    numbers = np.empty((len(raw.frame), len(names)))
    step = max(1, min(COLUMNS_AT_ONCE, _CELLS_AT_ONCE // len(raw.frame)))
    for start in range(0, len(names), step):
        listed = names[start : start + step]
        block = numbers[:, start : start + step]
        block[:] = _plain_numbers([raw.frame.get_column(name) for name in listed], comma=comma)
        for place in np.flatnonzero(~np.isfinite(block).all(axis=0)).tolist():
            block[:, place] = _numbers(raw, listed[place], comma=comma, hint=hint)
    return numbers


def _plain_numbers(columns: Sequence[pl.Series], *, comma: bool) -> npt.NDArray[np.float64]:
    """Convert the cells that are plain numbers, for all columns at once, which is faster.

    Cells that need a closer look become NaN.
    """
    import polars as pl

    numbers = np.full((len(columns), len(columns[0])), np.nan)
    texts = [place for place, column in enumerate(columns) if column.dtype == pl.String]
    if texts:
        cells = pl.concat([columns[place] for place in texts]).str.strip_chars()
        if comma:
            # Points are then thousands separators, or the column differs from the others.
            cells = cells.str.replace_all(".", "?", literal=True)
            cells = cells.str.replace(",", ".", literal=True)
        plain = cells.cast(pl.Float64, strict=False)
        numbers[texts] = plain.to_numpy().reshape(len(texts), -1)
    for place, column in enumerate(columns):
        if column.dtype.is_numeric():
            numbers[place] = column.cast(pl.Float64, strict=False).to_numpy()
    turned: npt.NDArray[np.float64] = numbers.T
    return turned


def target_of(
    raw: RawTable, name: str, *, comma: bool | None = None, hint: str = ""
) -> npt.NDArray[Any]:
    """Return a column as numbers, int64 if all are whole, or as text.

    Raises
    ------
    DataError
        For the first empty cell, and for a cell that is not a number among numbers.
    """
    comma = prefers_comma(raw.frame) if comma is None else comma
    column = raw.frame[name]
    format = _format(raw, column, comma=comma, hint=hint)
    if format.kind == "number":
        numbers = _numbers(raw, name, comma=comma, hint=hint)
        whole = (numbers == np.floor(numbers)).all() and (np.abs(numbers) < 2.0**63).all()
        return numbers.astype(np.int64) if whole else numbers
    cells = read_column(column.cast(str), ColumnFormat("text")).values
    if cells.null_count():
        raise _refused(raw, name, cells.is_null(), "a name in the target column", hint)
    lengths = cells.str.len_chars()
    if (lengths > _LONGEST_NAME).any():
        # Each item of an array of text takes the length of the longest.
        row = int((lengths > _LONGEST_NAME).arg_true()[0])
        raise DataError(
            raw.path,
            f"names of at most {_LONGEST_NAME} characters in the target column {name!r}",
            f"one of {lengths[row]} characters on {raw.place(row)}",
            hint,
        )
    return np.array(cells.to_list())


def _format(raw: RawTable, column: pl.Series, *, comma: bool, hint: str) -> ColumnFormat:
    try:
        return find_format(column, comma=comma)
    except TypeError as error:
        raise DataError(raw.path, "numbers or text", str(error), hint) from error


def _numbers(raw: RawTable, name: str, *, comma: bool, hint: str) -> npt.NDArray[np.float64]:
    column = raw.frame[name]
    format = _format(raw, column, comma=comma, hint=hint)
    if format.kind in ("text", "date"):
        values = read_column(column, ColumnFormat("number", "," if comma else ".")).values
        if not values.null_count():
            return np.asarray(values.cast(float).to_numpy())
    else:
        values = read_column(column, format).values
    if values.null_count():
        raise _refused(raw, name, values.is_null(), "a finite number in column", hint)
    found: npt.NDArray[np.float64] = values.cast(float).to_numpy()
    return found


def _refused(raw: RawTable, name: str, wrong: pl.Series, expected: str, hint: str) -> DataError:
    row = int(wrong.arg_true()[0])
    cell = raw.frame[name][row]
    found = "an empty cell" if cell is None or not str(cell).strip() else f"{str(cell)!r:.80}"
    return DataError(raw.path, f"{expected} {name!r}", f"{found} on {raw.place(row)}", hint)
