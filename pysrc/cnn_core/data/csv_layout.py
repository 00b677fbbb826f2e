"""The layout of a table, found from its first row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import DataError
from .csv_cells import is_number, shown

__all__ = ["Layout", "layout_of", "refuse_likely_header"]

_WAY_OUT = "pass header=True or header=False"


@dataclass(frozen=True)
class Layout:
    """Names and roles of the columns.

    Attributes
    ----------
    names : list of str
        The header, or ``column 1`` and so on; used in messages.
    has_header : bool
    target : int or None
        Position of the target column.
    features : list of int
        Positions of the features, in the order in which they are wanted.
    """

    names: list[str]
    has_header: bool
    target: int | None
    features: list[int]


def layout_of(
    path: Path,
    cells: list[str],
    *,
    target: str | None,
    has_target: bool,
    header: bool | None,
    features: Sequence[str] | int | None,
) -> Layout:
    """Return the layout of a file by its first row; the parameters are those of `read_csv`.

    Raises
    ------
    DataError
        If the columns that are wanted are not there, or a row of names cannot be told from one of
        values.
    """
    if header is None:
        named = target is not None or isinstance(features, Sequence)
        values = cells[:features] if isinstance(features, int) else cells
        header = named or _is_header(path, values, has_target)
    count = len(cells)
    if has_target and count < 2:
        raise DataError(
            path,
            "at least one feature and a target on each line",
            "one column",
            "pass has_target=False if there is no target",
        )
    at = count - 1 if has_target else None
    first = range(features if isinstance(features, int) else count)
    if not header:
        names = [f"column {i + 1}" for i in range(count)]
        return Layout(names, False, at, [i for i in first if i != at])
    names = [cell.strip() for cell in cells]
    by_name = [] if features is None or isinstance(features, int) else list(features)
    wanted = [*by_name, *([] if target is None else [target])]
    # Names of columns that are not read may be missing or given twice.
    _check_names(path, names, set(wanted if by_name else names[: len(first)]))
    positions = {name: i for i, name in enumerate(names)}
    for name in wanted:
        if name not in positions:
            raise DataError(path, f"a column named {name!r}", ", ".join(names)[:1000])
    if target is not None:
        at = positions[target]
    if by_name:
        return Layout(names, True, at, [positions[name] for name in by_name])
    return Layout(names, True, at, [i for i in first if i != at])


def _is_header(path: Path, cells: list[str], has_target: bool) -> bool:
    """Tell whether the first row is a header; refuse an ambiguous one."""
    numeric = [is_number(cell) for cell in cells]
    if len(cells) > 2 and [cell.strip() for cell in cells] == [str(i) for i in range(len(cells))]:
        raise _unclear(path, "the numbers 0, 1, 2, ..., which may be names or values")
    if has_target and len(cells) > 1 and all(numeric[:-1]) and not numeric[-1]:
        raise _unclear(
            path, f"numbers and {shown(cells[-1])}, which may be a column's name or a class"
        )
    return not all(numeric)


def refuse_likely_header(
    path: Path, cells: list[str], features: npt.NDArray[np.float64], target: npt.NDArray[Any] | None
) -> None:
    """Refuse a first row of numbers that looks like the years or wavelengths of a header.

    That is a row of whole numbers in even steps, such as 2019, 2020, 2021, where each lies outside
    of all values below it.

    Parameters
    ----------
    path : pathlib.Path
    cells : list of str
        The first row, in which all are numbers.
    features : numpy.ndarray, (n, features)
        All rows, the first one included.
    target : numpy.ndarray or None, (n,)
        The target column, if it holds numbers.

    Raises
    ------
    DataError
        If it looks so.
    """
    values = np.array([float(cell) for cell in cells])
    steps = np.diff(values)
    if len(values) < 3 or len(features) < 2 or (values != np.floor(values)).any():
        return
    if not steps[0] or (steps != steps[0]).any():
        return
    columns = features if target is None else np.column_stack([features, target])
    first, others = columns[0], columns[1:]
    if (np.diff(others[0]) == steps[0]).all():
        return  # a row like the first one: both are values
    if ((first < others.min(axis=0)) | (first > others.max(axis=0))).all():
        raise _unclear(
            path,
            f"the numbers {', '.join(cell.strip() for cell in cells[:3])}, ..., which may be names "
            "or values",
        )


def _unclear(path: Path, found: str) -> DataError:
    return DataError(path, "names or values in the first row", found, _WAY_OUT)


def _check_names(path: Path, names: list[str], wanted: set[str]) -> None:
    seen: set[str] = set()
    for position, name in enumerate(names):
        if name not in wanted:
            continue
        if not name:
            raise DataError(
                path,
                "a name for each column",
                f"none for column {position + 1}",
                "an index that pandas wrote? Write the file with index=False",
            )
        if name in seen:
            raise DataError(path, "names that differ", f"{shown(name)} twice")
        seen.add(name)
