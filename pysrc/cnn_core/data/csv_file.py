"""A strict reader of comma-separated tables of numbers with one target column."""

from __future__ import annotations

import csv
import math
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import ALLOWED_RATIO, ALWAYS_ALLOWED_BYTES, DataError

__all__ = ["Columns", "read_csv"]

Row = tuple[int, list[str]]
"""The number of the line on which a row ends, counted from 1, and its cells."""


@dataclass(frozen=True, eq=False)
class Columns:
    """The contents of one file.

    Attributes
    ----------
    features : numpy.ndarray, shape (n, features), float64
        All columns but the target.
    target : numpy.ndarray or None, shape (n,)
        int64 or float64 numbers, or names (Unicode).
    feature_names : tuple of str or None
        Names of the features if the file has a header.
    """

    features: npt.NDArray[np.float64]
    target: npt.NDArray[Any] | None
    feature_names: tuple[str, ...] | None


@dataclass(frozen=True)
class _Layout:
    """What the first row tells about all the others."""

    names: list[str]
    """The header, or `column 1` and so on; used in messages."""
    has_header: bool
    target: int | None
    features: list[int] = field(init=False)

    def __post_init__(self) -> None:
        features = [i for i in range(len(self.names)) if i != self.target]
        object.__setattr__(self, "features", features)


def read_csv(
    path: Path, *, target: str | None = None, has_target: bool = True, header: bool | None = None
) -> Columns:
    """Read a file; the parameters are those of `cnn_core.data.load_file`.

    Parameters
    ----------
    path : pathlib.Path
        File to read: UTF-8, commas, quotes as in RFC 4180.
    target : str, optional
        Name of the target column, the last one by default.
    has_target : bool, default True
        Whether there is a target column.
    header : bool, optional
        Whether the first row holds names; found out by default.

    Returns
    -------
    Columns
        Features, target and names.

    Raises
    ------
    DataError
        Anything but a complete table of finite numbers; names line, column and value. Names of
        classes that would take more than 256 MiB and more than 100 times the size of the file,
        since an array gives each as much room as the longest.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            rows = ((reader.line_num, cells) for cells in reader)
            return _read_rows(path, rows, target, has_target, header)
    except UnicodeDecodeError as error:
        raise DataError(path, "text in UTF-8", str(error)) from error
    except csv.Error as error:
        raise DataError(path, "comma-separated text", f"line {reader.line_num}: {error}") from error


def _read_rows(
    path: Path, rows: Iterator[Row], target: str | None, has_target: bool, header: bool | None
) -> Columns:
    first = next(rows, None)
    if first is None or not first[1]:
        raise DataError(path, "a table", "an empty first line" if first else "an empty file")
    layout = _layout(path, first[1], target, has_target, header)
    numbers = array("d")
    targets: list[str] = []
    lines = array("q")
    for line, cells in _data_rows(path, None if layout.has_header else first, rows, layout):
        _add_numbers(path, line, cells, layout, numbers)
        if layout.target is not None:
            targets.append(cells[layout.target].strip())
        lines.append(line)
    if not lines:
        raise DataError(path, "at least one row of values", "a header alone")
    shape = (len(lines), len(layout.features))
    features = np.frombuffer(numbers, dtype=np.float64).reshape(shape).copy()
    names = tuple(layout.names[i] for i in layout.features) if layout.has_header else None
    return Columns(features, _target_values(path, targets, lines, layout), names)


def _data_rows(
    path: Path, first: Row | None, rows: Iterator[Row], layout: _Layout
) -> Iterator[Row]:
    """Give the rows that must hold values, all of one length; empty lines may only end the file."""
    if first is not None:
        yield first
    empty_line = 0
    for line, cells in rows:
        if not cells:
            empty_line = empty_line or line
            continue
        if empty_line:
            raise DataError(path, f"values on line {empty_line}", "an empty line")
        if len(cells) != len(layout.names):
            raise DataError(path, f"{len(layout.names)} cells on line {line}", f"{len(cells)}")
        yield line, cells


# The first row


def _layout(
    path: Path, cells: list[str], target: str | None, has_target: bool, header: bool | None
) -> _Layout:
    if header is None:
        header = target is not None or _is_header(path, cells, has_target)
    count = len(cells)
    names = _checked_names(path, cells) if header else [f"column {i + 1}" for i in range(count)]
    if has_target and count < 2:
        raise DataError(
            path,
            "at least one feature and a target on each line",
            "one column",
            "pass has_target=False if there is no target",
        )
    if target is not None and target not in names:
        raise DataError(path, f"a column named {target!r}", f"{', '.join(names):.1000}")
    position = names.index(target) if target is not None else count - 1
    return _Layout(names, header, position if has_target else None)


def _is_header(path: Path, cells: list[str], has_target: bool) -> bool:
    """Tell names from values, and refuse where that would be guessing."""
    numeric = [_is_number(cell) for cell in cells]
    if len(cells) > 2 and [cell.strip() for cell in cells] == [str(i) for i in range(len(cells))]:
        raise _unclear(path, "the numbers 0, 1, 2, ..., which may be names or values")
    if has_target and len(cells) > 1 and all(numeric[:-1]) and not numeric[-1]:
        raise _unclear(
            path, f"numbers and {_shown(cells[-1])}, which may be a column's name or a class"
        )
    return not all(numeric)


def _unclear(path: Path, found: str) -> DataError:
    return DataError(
        path, "names or values in the first row", found, "pass header=True or header=False"
    )


def _checked_names(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    seen: set[str] = set()
    for position, name in enumerate(names):
        if not name:
            raise DataError(
                path,
                "a name for each column",
                f"none for column {position + 1}",
                "an index that pandas wrote? Write the file with index=False",
            )
        if name in seen:
            raise DataError(path, "names that differ", f"{_shown(name)} twice")
        seen.add(name)
    return names


# Cells


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _number(cell: str) -> float:
    """Return the value of a finite decimal number; Python's underscores are not part of one."""
    value = float(cell)
    if "_" in cell or not math.isfinite(value):
        raise ValueError(cell)
    return value


def _add_numbers(
    path: Path, line: int, cells: list[str], layout: _Layout, numbers: array[float]
) -> None:
    """Append the features of one row."""
    try:
        for i in layout.features:
            numbers.append(_number(cells[i]))
    except ValueError:
        raise DataError(
            path,
            "a finite number",
            f"{_shown(cells[i])} in column {_shown(layout.names[i])} on line {line}",
        ) from None


def _shown(cell: str) -> str:
    """Name a cell in a message, whatever it holds."""
    if not cell.strip():
        return "an empty cell"
    return repr(cell) if len(cell) <= 40 else f"{cell[:40]!r}..."


def _target_values(
    path: Path, cells: list[str], lines: array[int], layout: _Layout
) -> npt.NDArray[Any] | None:
    """Return the target column as numbers if all its cells are, as names if none is."""
    if layout.target is None:
        return None
    column = layout.names[layout.target]
    numeric = [_is_number(cell) for cell in cells]
    for cell, is_number, line in zip(cells, numeric, lines, strict=True):
        if not cell or is_number != numeric[0]:
            kind = "a number" if numeric[0] else "a name"
            raise DataError(
                path,
                f"{kind} in the target column {_shown(column)}, as in its first row",
                f"{_shown(cell)} on line {line}",
            )
    if not numeric[0]:
        return _names(path, cells, lines)
    values = np.array([float(cell) for cell in cells])
    whole = bool(np.all((values == np.floor(values)) & (np.abs(values) < 2**53)))
    return values.astype(np.int64) if whole else values


def _names(path: Path, cells: list[str], lines: array[int]) -> npt.NDArray[np.str_]:
    """Return names as an array, in which each takes as much as the longest."""
    longest = max(range(len(cells)), key=lambda i: len(cells[i]))
    size = 4 * len(cells[longest]) * len(cells)
    limit = max(ALWAYS_ALLOWED_BYTES, ALLOWED_RATIO * os.path.getsize(path))
    if size > limit:
        raise DataError(
            path,
            f"names that take at most {limit} bytes in an array of equal lengths",
            f"{_shown(cells[longest])} of {len(cells[longest])} characters on line "
            f"{lines[longest]}, which makes that {size}",
        )
    return np.array(cells, dtype=np.str_)
