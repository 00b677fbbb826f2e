"""A strict reader of comma-separated tables of numbers with one target column."""

from __future__ import annotations

import csv
import io
import os
from array import array
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from .checks import ALLOWED_RATIO, ALWAYS_ALLOWED_BYTES, DataError, open_data
from .csv_blocks import Block, read_blocks
from .csv_cells import is_missing, is_number, number, remedy, shown
from .csv_layout import Layout, layout_of, refuse_likely_header

__all__ = ["Columns", "read_csv", "read_first_row"]

Row = tuple[int, list[str]]
"""The number of the line on which a row ends, counted from 1, and its cells."""


@dataclass(frozen=True, eq=False)
class Columns:
    """The contents of one file.

    Attributes
    ----------
    features : numpy.ndarray, shape (n, features), float64
        All columns but the target, or those that were asked for.
    target : numpy.ndarray or None, shape (n,)
        int64 or float64 numbers, or names (Unicode).
    feature_names : tuple of str or None
        Names of the features if the file has a header.
    target_name : str or None
        Name of the target, likewise.
    """

    features: npt.NDArray[np.float64]
    target: npt.NDArray[Any] | None
    feature_names: tuple[str, ...] | None
    target_name: str | None


def read_csv(
    path: Path,
    *,
    target: str | None = None,
    has_target: bool = True,
    header: bool | None = None,
    features: Sequence[str] | int | None = None,
) -> Columns:
    """Read a file; most parameters are those of `cnn_core.data.load_file`.

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
    features : sequence of str or int, optional
        Names of the columns to read as features, in this order, or how many of the first ones;
        what is in other columns does not matter. By default all but the target.

    Returns
    -------
    Columns
        Features, target and names.

    Raises
    ------
    DataError
        Anything but a complete table of finite numbers; names line, column and value, and what to
        do. Names of classes that would take more than 256 MiB and more than 100 times the size of
        the file, since an array gives each as much room as the longest.
    """
    with open_data(path) as stream:
        line, cells = _first_row(path, stream)
        layout = layout_of(
            path, cells, target=target, has_target=has_target, header=header, features=features
        )
        before = line if layout.has_header else 0
        blocks = read_blocks(stream, layout, before)
        if blocks is None:
            stream.seek(0)
            with closing(_rows(path, stream)) as rows:
                columns = _read_rows(path, rows, layout)
        else:
            columns = _joined(path, blocks, layout, before)
    if header is None and not layout.has_header:
        refuse_likely_header(path, cells, columns.features, columns.target)
    return columns


def read_first_row(path: Path) -> list[str]:
    """Return the cells of the first row, without spaces around them.

    Raises
    ------
    FileNotFoundError, DataError
        As `read_csv`.
    """
    with open_data(path) as stream:
        _, cells = _first_row(path, stream)
    return [cell.strip() for cell in cells]


def _rows(path: Path, stream: BinaryIO) -> Generator[Row, None, None]:
    """Yield all rows of a file, which is at its beginning and stays open."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except UnicodeDecodeError as error:
        hint = "write the file as CSV in UTF-8"
        raise DataError(path, "text in UTF-8", str(error), hint) from error
    except csv.Error as error:
        raise DataError(path, "comma-separated text", f"line {reader.line_num}: {error}") from error
    finally:
        text.detach()


def _first_row(path: Path, stream: BinaryIO) -> Row:
    """Return the first row of a file, which is at its beginning and is left there."""
    with closing(_rows(path, stream)) as rows:
        first = next(rows, None)
    if first is None or not first[1]:
        raise DataError(path, "a table", "an empty first line" if first else "an empty file")
    stream.seek(0)
    return first


def _joined(path: Path, blocks: list[Block], layout: Layout, lines_before: int) -> Columns:
    """Return the contents of all blocks."""
    _require_rows(path, bool(blocks))
    features = np.concatenate([block.features for block in blocks])
    target: npt.NDArray[Any] | None = None
    if isinstance(blocks[0].target, list):
        # Nothing in a plain table spans lines.
        lines = range(lines_before + 1, lines_before + 1 + len(features))
        texts = [text for block in blocks for text in cast("list[str]", block.target)]
        target = _target_values(path, texts, lines, layout)
    elif blocks[0].target is not None:
        numbers = [cast("npt.NDArray[np.float64]", block.target) for block in blocks]
        target = _whole(np.concatenate(numbers))
    return Columns(features, target, *_names_of(layout))


# Row by row: for what is no plain table, and to find what is wrong with one


def _read_rows(path: Path, rows: Iterator[Row], layout: Layout) -> Columns:
    numbers = array("d")
    targets: list[str] = []
    lines = array("q")
    for line, cells in _data_rows(path, rows, layout):
        _add_numbers(path, line, cells, layout, numbers)
        if layout.target is not None:
            targets.append(cells[layout.target].strip())
        lines.append(line)
    _require_rows(path, bool(lines))
    shape = (len(lines), len(layout.features))
    features = np.frombuffer(numbers, dtype=np.float64).reshape(shape).copy()
    return Columns(features, _target_values(path, targets, lines, layout), *_names_of(layout))


def _require_rows(path: Path, there: bool) -> None:
    if not there:
        raise DataError(path, "at least one row of values", "a header alone")


def _names_of(layout: Layout) -> tuple[tuple[str, ...] | None, str | None]:
    """Return the names of the features and of the target, if there is a header."""
    if not layout.has_header:
        return None, None
    target = None if layout.target is None else layout.names[layout.target]
    return tuple(layout.names[i] for i in layout.features), target


def _data_rows(path: Path, rows: Iterator[Row], layout: Layout) -> Iterator[Row]:
    """Yield the rows of values, all of one length; empty lines may only end the file."""
    if layout.has_header:
        next(rows)
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


def _add_numbers(
    path: Path, line: int, cells: list[str], layout: Layout, numbers: array[float]
) -> None:
    """Append the features of one row."""
    try:
        for i in layout.features:
            numbers.append(number(cells[i]))
    except ValueError:
        raise DataError(
            path,
            "a finite number",
            f"{shown(cells[i])} in column {shown(layout.names[i])} on line {line}",
            remedy(cells[i]),
        ) from None


# The target column


def _target_values(
    path: Path, cells: list[str], lines: Sequence[int], layout: Layout
) -> npt.NDArray[Any] | None:
    """Return the target column as numbers if all its cells are, as names if none is."""
    if layout.target is None:
        return None
    column = layout.names[layout.target]
    numeric = {cell: is_number(cell) for cell in set(cells)}
    expected = numeric[cells[0]]
    if not all(cell and is_numeric == expected for cell, is_numeric in numeric.items()):
        row = next(i for i, cell in enumerate(cells) if not cell or numeric[cell] != expected)
        hint = "write the targets all as numbers or all as names"
        if is_missing(cells[row]):
            hint = remedy(cells[row])
        elif row == 1 and expected and not layout.has_header:
            hint = "if the first row holds names, pass header=True"
        kind = "a number" if expected else "a name"
        raise DataError(
            path,
            f"{kind} in the target column {shown(column)}, as in its first row",
            f"{shown(cells[row])} on line {lines[row]}",
            hint,
        )
    return (
        _whole(np.array([float(cell) for cell in cells]))
        if expected
        else _names(path, cells, lines)
    )


def _whole(values: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Return numbers as integers if all are whole and exact."""
    whole = bool(np.all((values == np.floor(values)) & (np.abs(values) < 2**53)))
    return values.astype(np.int64) if whole else values


def _names(path: Path, cells: list[str], lines: Sequence[int]) -> npt.NDArray[np.str_]:
    """Return names as an array, in which each takes as much as the longest."""
    longest = max(range(len(cells)), key=lambda i: len(cells[i]))
    size = 4 * len(cells[longest]) * len(cells)
    limit = max(ALWAYS_ALLOWED_BYTES, ALLOWED_RATIO * os.path.getsize(path))
    if size > limit:
        raise DataError(
            path,
            f"names that take at most {limit} bytes in an array of equal lengths",
            f"{shown(cells[longest])} of {len(cells[longest])} characters on line "
            f"{lines[longest]}, which makes that {size}",
        )
    return np.array(cells, dtype=np.str_)
