"""Read one table from several files, as if their rows were in one file."""

from __future__ import annotations

import glob
import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from .checks import DataError
from .table_file import RawTable, TableLayout, read_table_file

__all__ = ["are_several", "files_of", "read_table_parts"]


def are_several(path: str) -> bool:
    """Tell whether a path is a pattern of several files, such as ``part-*.csv``."""
    return glob.has_magic(path) and not os.path.exists(path)


def files_of(path: str) -> list[str]:
    """Return the files of a path or a pattern, sorted by name.

    Raises
    ------
    FileNotFoundError
        If no file matches a pattern. A plain path is not checked.
    """
    if not are_several(path):
        return [path]
    found = sorted(one for one in glob.glob(path) if os.path.isfile(one))
    if not found:
        raise FileNotFoundError(f"{path}: no such file")
    return found


def read_table_parts(
    pattern: str, files: Sequence[str], layout: TableLayout, contents: Sequence[bytes]
) -> RawTable:
    """Return the table in several files.

    Parameters
    ----------
    pattern : str
        Name of the table in messages.
    files : sequence of str
    layout : TableLayout
        Unset settings are detected in the first file.
    contents : sequence of bytes
        The contents of each file.

    Raises
    ------
    DataError
        For a file that cannot be read, or has other columns than the first.
    ImportError
        As for `read_table_file`.
    """
    import polars as pl

    first = read_table_file(files[0], layout, contents[0])
    layout = replace(layout, header=first.has_header)
    others = zip(files[1:], contents[1:], strict=True)
    parts = [first, *(read_table_file(file, layout, inside) for file, inside in others)]
    for part in parts[1:]:
        if part.frame.columns != first.frame.columns:
            raise DataError(
                part.path,
                f"the columns of {first.path}, {', '.join(first.frame.columns):.500}",
                f"{', '.join(part.frame.columns):.500}",
            )
    try:
        frame = pl.concat([part.frame for part in parts], how="vertical_relaxed")
    except pl.exceptions.PolarsError as error:
        raise DataError(pattern, "columns of one kind in all files", f"{error!s:.200}") from None
    ends = list(accumulate(len(part.frame) for part in parts))

    def place(row: int) -> str:
        number = bisect_right(ends, row)
        part = parts[number]
        return f"{part.place(row - ends[number] + len(part.frame))} of {part.path}"

    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    return RawTable(frame, first.has_header, pattern, notes, place, first.repeated)
