"""Read tables with polars: CSV in many forms, Parquet and spreadsheets.

Cells of CSV files and spreadsheets stay text; `cell_formats` converts them.
"""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .checks import DataError, check_unpacked_size
from .table_bytes import (
    STANDARD_INPUT,
    TEXT,
    name_of,
    read_bytes,
    require_small_archive,
    unpacked,
)
from .table_header import has_header
from .table_text import SEPARATORS, read_text_cells

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ENDINGS", "INSTALL_HINT", "RawTable", "TableLayout", "is_table", "read_table_file"]

INSTALL_HINT = 'pip install "cnn-core[app]"'

_PARQUET = (".parquet", ".pq")
_SHEETS = (".xlsx", ".xls", ".xlsb", ".xlsm", ".ods")
ENDINGS = (*TEXT, *_PARQUET, *_SHEETS)

_ZIP, _OLE, _PARQUET_MARK = b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"PAR1"
# Bytes of a value in memory.
_VALUE_BYTES = 8


@dataclass(frozen=True)
class TableLayout:
    """The user's settings for the format of a table; None means automatic detection.

    Attributes
    ----------
    header : bool or None
        Whether the first row holds the names of the columns.
    separator, encoding : str or None
        For text tables.
    sheet : str or None
        Name or number, from 1, of a sheet.
    """

    header: bool | None = None
    separator: str | None = None
    encoding: str | None = None
    sheet: str | None = None


@dataclass(frozen=True, eq=False)
class RawTable:
    """A table as it is in a file.

    Attributes
    ----------
    frame : polars.DataFrame
        Columns have distinct names. Cells are text if the file has no types; null if empty.
    has_header : bool
        Whether the names come from the file.
    path : str
        For messages.
    notes : tuple of str
        Notes on the detected format that are not obvious.
    place : callable
        Returns the place of a row of `frame`, such as ``line 3``.
    repeated : tuple of str
        Names of more than one column.
    """

    frame: pl.DataFrame
    has_header: bool
    path: str
    notes: tuple[str, ...]
    place: Callable[[int], str]
    repeated: tuple[str, ...] = ()

    @cached_property
    def _names(self) -> dict[str, None]:
        return dict.fromkeys(self.frame.columns)

    def column(self, wanted: str, what: str = "column") -> str:
        """Return the name of a column, given by its name or its number from 1.

        Parameters
        ----------
        wanted : str
            A negative number counts from the last column.
        what : str
            Role of the column, for the message.

        Raises
        ------
        DataError
            If there is no such column, or several have this name.
        """
        names = self._names
        if wanted in self.repeated:
            raise DataError(
                self.path,
                f"one column named {wanted!r}",
                "several",
                f"name the {what} by its number, from 1 to {len(names)}",
            )
        if wanted in names:
            return wanted
        number = int(wanted) if wanted.lstrip("-").isdecimal() else 0
        if number and abs(number) <= len(names):
            return self.frame.columns[number - 1 if number > 0 else number]
        lower = {name.lower(): name for name in reversed(names)}
        near = get_close_matches(wanted.lower(), lower, n=1)
        hint = f"did you mean {lower[near[0]]!r}?" if near else ""
        if wanted.lstrip("-").isdecimal():
            hint = f"as numbers they go from 1 to {len(names)}"
        raise DataError(self.path, f"a column named {wanted!r}", ", ".join(names)[:1000], hint)


def is_table(path: str | os.PathLike[str]) -> bool:
    """Tell by its name whether a file is a table; standard input always is."""
    text = os.fspath(path).lower()
    return text == STANDARD_INPUT or text.removesuffix(".gz").endswith(ENDINGS)


def read_table_file(
    path: str | os.PathLike[str], layout: TableLayout | None = None, contents: bytes | None = None
) -> RawTable:
    """Read a table from a file, or from standard input.

    Parameters
    ----------
    path : str or path-like
        ``-`` means standard input. The contents decide on the kind of table.
    layout : TableLayout, optional
    contents : bytes, optional
        The contents of the file, if already read.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ImportError
        polars is not installed.
    DataError
        The file is damaged, or holds no table.
    """
    if importlib.util.find_spec("polars") is None:
        raise ImportError(f"reading tables needs polars, which is not installed: {INSTALL_HINT}")
    layout = layout or TableLayout()
    name = name_of(path)
    contents = unpacked(name, read_bytes(path) if contents is None else contents)
    if contents.startswith(_PARQUET_MARK):
        return _read_parquet(name, contents)
    if contents.startswith((_ZIP, _OLE)):
        return _read_sheet(name, contents, layout)
    return _read_text(name, contents, layout)


def _read_parquet(path: str, contents: bytes) -> RawTable:
    import polars as pl

    try:
        rows = pl.scan_parquet(io.BytesIO(contents)).select(pl.len()).collect().item()
        columns = pl.read_parquet_schema(io.BytesIO(contents))
        check_unpacked_size(path, len(contents), rows * len(columns) * _VALUE_BYTES)
        frame = pl.read_parquet(io.BytesIO(contents))
    except pl.exceptions.PolarsError as error:
        raise DataError(path, "a Parquet file", f"a damaged one: {error!s:.200}") from None
    if not frame.width or not len(frame):
        raise DataError(path, "a table", "one without rows or columns")
    return RawTable(frame, True, path, (), lambda row: f"row {row + 1}")


def _read_sheet(path: str, contents: bytes, layout: TableLayout) -> RawTable:
    if importlib.util.find_spec("fastexcel") is None:
        raise ImportError(f"a spreadsheet needs fastexcel, which is not installed: {INSTALL_HINT}")
    import fastexcel

    if contents.startswith(_ZIP):
        require_small_archive(path, contents)
    try:
        book = fastexcel.read_excel(contents)
        sheet = _sheet_named(path, book.sheet_names, layout.sheet)
        cells = book.load_sheet(sheet, header_row=None, dtypes="string").to_polars()
    except fastexcel.FastExcelError as error:
        reason = str(error).replace("\\n", "\n").partition("\n")[0]
        raise DataError(path, "a spreadsheet", f"one that cannot be read: {reason:.200}") from None
    notes = []
    others = [name for name in book.sheet_names if name != sheet]
    if others and layout.sheet is None:
        listed = ", ".join(map(repr, others[:8]))
        notes.append(f"the sheet {sheet!r} is read; the others are {listed} (--sheet)")
    return _named(path, cells, layout, notes, lambda record: f"row {record + 1} of {sheet!r}")


def _sheet_named(path: str, names: Sequence[str], wanted: str | None) -> str:
    if wanted is None:
        return names[0]
    if wanted in names:
        return wanted
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    near = get_close_matches(wanted, names, n=1)
    raise DataError(
        path,
        f"a sheet named {wanted!r}",
        ", ".join(names)[:1000],
        f"did you mean {near[0]!r}?" if near else "",
    )


def _read_text(path: str, contents: bytes, layout: TableLayout) -> RawTable:
    cells = read_text_cells(path, contents, separator=layout.separator, encoding=layout.encoding)
    notes = []
    if cells.separator != "," and layout.separator is None:
        notes.append(f"its columns are separated by {SEPARATORS[cells.separator]}")
    if cells.encoding != "utf-8" and layout.encoding is None:
        notes.append(f"its encoding was taken for {cells.encoding} (--encoding)")
    return _named(path, cells.frame, layout, notes, lambda record: f"line {cells.line_of(record)}")


def _named(
    path: str,
    cells: pl.DataFrame,
    layout: TableLayout,
    notes: list[str],
    place: Callable[[int], str],
) -> RawTable:
    """Return a table of cells with names from the first row, and without empty rows."""
    import polars as pl

    filled, records = cells, np.arange(cells.height)
    if not cells.is_empty() and cells.to_series(0).null_count():
        is_filled = ~cells.select(pl.all_horizontal(pl.all().is_null())).to_series()
        filled, records = cells.filter(is_filled), records[is_filled.to_numpy()]
    if filled.is_empty():
        raise DataError(path, "a table", "one without any value")
    first = [cell or "" for cell in filled.row(0)]
    header = layout.header
    if header is None:
        header = has_header(path, [list(row) for row in filled.head(100).iter_rows()])
        if not header:
            notes.append("its first row holds values, so that its columns are numbered (--header)")
    names = [f"column {number}" for number in range(1, filled.width + 1)]
    repeated: list[str] = []
    if header:
        filled, records = filled[1:], records[1:]
        names, repeated = _different([cell.strip() for cell in first])
        if repeated:
            listed = ", ".join(map(repr, repeated[:8]))
            notes.append(f"several columns are named {listed}: the later ones get a number")
    if filled.is_empty():
        raise DataError(path, "rows of values", "a header alone")
    # Empty rows at the end are not worth a note.
    dropped = int(records[-1]) + 1 - len(records) - header
    if dropped:
        notes.append(f"{dropped:,} empty rows are left out")
    filled.columns = names
    return RawTable(
        filled, header, path, tuple(notes), lambda row: place(int(records[row])), tuple(repeated)
    )


def _different(names: list[str]) -> tuple[list[str], list[str]]:
    """Return distinct names that are not empty, and the names that were not."""
    taken = set(names)
    found: dict[str, None] = {}
    repeated: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        own = name or f"column {number}"
        if own in found:
            count = repeated.get(name, 1) + 1
            while (own := f"{name} ({count})") in taken:
                count += 1
            repeated[name] = count
            taken.add(own)
        found[own] = None
    return list(found), list(repeated)
