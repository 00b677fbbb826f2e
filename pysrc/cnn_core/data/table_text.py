"""Read text tables: detect encoding and separator, and require rows of equal length."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cnn_core.files import in_message

from .checks import DataError

__all__ = ["SEPARATORS", "TextCells", "read_text_cells"]

# Candidates, in order of preference if several fit equally well.
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOOKED_AT = 100


@dataclass(frozen=True, eq=False)
class TextCells:
    """The cells of a text table.

    Attributes
    ----------
    frame : polars.DataFrame
        Columns of text; null for empty cells.
    path : str
        For messages.
    contents : bytes
        The text in UTF-8.
    separator, encoding : str
        As detected, or as set by the user.
    """

    frame: Any
    path: str
    contents: bytes
    separator: str
    encoding: str

    def line_of(self, record: int) -> int:
        """Return the line of the file, from 1, on which a record, from 0, begins."""
        reader = _reader(self.contents, self.separator)
        try:
            for number, _ in enumerate(reader):
                if number + 1 == record:
                    break
        except csv.Error:
            # Polars treats these quotes differently: the record is here or later.
            return int(reader.line_num)
        return reader.line_num + 1 if record else 1


def read_text_cells(
    path: str, contents: bytes, *, separator: str | None = None, encoding: str | None = None
) -> TextCells:
    """Read all cells of a text table.

    Parameters
    ----------
    path : str
        For messages.
    contents : bytes
    separator, encoding : str, optional
        By default they are detected.

    Raises
    ------
    DataError
        It is not text, or not a table.
    """
    import polars as pl

    contents, encoding = _in_utf8(path, contents, encoding)
    if not contents.strip():
        raise DataError(path, "a table", "an empty file")
    likely = _separator_of(contents)
    separator = separator or likely
    first = contents.partition(b"\n")[0].decode()
    if separator not in first and likely in first:
        raise DataError(
            path,
            f"columns separated by {separator!r}",
            f"{first!r:.80} on line 1",
            f"they seem to be separated by {SEPARATORS[likely]}: leave --separator out",
        )
    problem = ""
    try:
        frame = pl.read_csv(
            contents, has_header=False, infer_schema=False, separator=separator, glob=False
        )
    except pl.exceptions.PolarsError as error:
        # The error has many lines with contents of the file, so it is not shown as the cause.
        problem = in_message(error, 200)
    if problem or frame[:, -1].null_count():
        # Distinguish a row with too few cells from one whose last cells are empty.
        _require_regular(path, contents, separator)
    if problem:
        raise DataError(path, "comma-separated text", problem)
    return TextCells(frame, path, contents, separator, encoding)


def _in_utf8(path: str, contents: bytes, encoding: str | None) -> tuple[bytes, str]:
    """Return the text in UTF-8 with line feeds, and its original encoding."""
    for mark, name in _MARKS:
        if contents.startswith(mark) and encoding in (None, name):
            contents, encoding = contents.removeprefix(mark), name
            break
    if encoding is None:
        encoding = _encoding_of(contents)
    try:
        text = contents.decode(encoding)
    except LookupError as error:
        raise DataError(
            path, "the name of an encoding such as utf-8 or cp1252", repr(encoding)
        ) from error
    except UnicodeDecodeError as error:
        line = contents.count(b"\n", 0, error.start) + 1
        raise DataError(
            path,
            f"text in {encoding}",
            f"the byte {contents[error.start]:#04x} on line {line}",
            "say the encoding (--encoding), or write the file in UTF-8",
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            path,
            "a table in text",
            f"a NUL byte on line {line}",
            "in UTF-16? Say so (--encoding utf-16-le)",
        )
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\n" not in text:
            text = text.replace("\r", "\n")
    return text.encode(), encoding


def _encoding_of(contents: bytes) -> str:
    odd, even = contents[1:1000:2].count(0), contents[:1000:2].count(0)
    half = len(contents[:1000]) / 4
    if max(odd, even) > half:
        return "utf-16-le" if odd > even else "utf-16-be"
    try:
        contents.decode()
    except UnicodeDecodeError:
        # The encoding of spreadsheets on Western Windows; latin-1 accepts every byte.
        try:
            contents.decode("cp1252")
        except UnicodeDecodeError:
            return "latin-1"
        return "cp1252"
    return "utf-8"


def _separator_of(contents: bytes) -> str:
    """Return the separator that makes the first rows equally long."""
    best, best_score = ",", (0.0, 0)
    for separator in SEPARATORS:
        counts: list[int] = []
        try:
            counts = [len(row) for row in islice(_reader(contents, separator), _LOOKED_AT) if row]
        except csv.Error:
            continue
        usual = max(set(counts), key=counts.count)
        if usual > 1:
            score = (counts.count(usual) / len(counts), usual)
            if score > best_score:
                best, best_score = separator, score
    return best


def _reader(contents: bytes, separator: str) -> Any:
    text = io.TextIOWrapper(io.BytesIO(contents), encoding="utf-8", newline="")
    return csv.reader(text, delimiter=separator, strict=True)


def _require_regular(path: str, contents: bytes, separator: str) -> None:
    """Refuse a table with rows of different length, or with quotes inside a cell."""
    name = "comma-separated text" if separator == "," else f"text separated by {separator!r}"
    width, line = 0, 1
    reader: Iterator[list[str]] = _reader(contents, separator)
    try:
        for row in reader:
            width = width or len(row)
            if row and len(row) != width:
                raise DataError(
                    path, f"{width} cell{'s' * (width != 1)} on line {line}", f"{len(row)}"
                )
            line = reader.line_num + 1  # type: ignore[attr-defined]
    except csv.Error as error:
        raise DataError(path, name, f"line {line}: {error}") from None
