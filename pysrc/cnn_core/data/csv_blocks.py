"""A fast reader of plain tables: blocks of bytes, in which NumPy finds cells and numbers.

It reads what nearly all tables are: numbers, and texts without commas, quotes or line breaks in
them. It never explains what is wrong: of anything else it says that it cannot read it, and the
reader that goes row by row does.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from .csv_cells import is_number, number
from .csv_layout import Layout
from .decimals import PADDING, read_decimals

__all__ = ["Block", "read_blocks"]

# Small enough for what is computed of a block to stay in the processor's caches.
_BLOCK_BYTES = 2**18
_CELLS_AT_ONCE = 2**15

Positions = npt.NDArray[np.intp]


class _NotPlainError(Exception):
    """The file is no plain table, or has errors."""


class Block(NamedTuple):
    """The contents of some rows.

    Attributes
    ----------
    features : numpy.ndarray, (rows, features), float64
    target : numpy.ndarray, (rows,), or list of str or None
        Numbers, or texts without the spaces around them; None if there is no target.
    """

    features: npt.NDArray[np.float64]
    target: npt.NDArray[np.float64] | list[str] | None


def read_blocks(stream: BinaryIO, layout: Layout, skipped_lines: int) -> list[Block] | None:
    """Read the rows of a plain table.

    Parameters
    ----------
    stream : binary file
        At its beginning.
    layout : Layout
    skipped_lines : int
        Lines before the first row of values.

    Returns
    -------
    list of Block or None
        None if the file is no plain table, or there is an error in it. The targets of all blocks
        are of one kind.
    """
    columns = _Columns(layout)
    try:
        return [columns.read(text) for text in _texts(stream, skipped_lines)]
    except _NotPlainError:
        return None


def _texts(stream: BinaryIO, skipped_lines: int) -> Iterator[bytes]:
    """Yield the bytes of the file in pieces of whole lines, without empty lines at its end."""
    for _ in range(skipped_lines):
        # A line break that is no line feed would have been one to the caller.
        if b"\r" in stream.readline().removesuffix(b"\n").removesuffix(b"\r"):
            raise _NotPlainError
    rest = b""
    while piece := stream.read(max(_BLOCK_BYTES, len(rest))):
        rest += piece
        end = rest.rfind(b"\n") + 1
        if end:
            # Empty lines at the end are left for the next piece, which may be the last one.
            text = rest[:end].rstrip(b"\r\n")
            if text:
                kept = len(text) + (2 if rest.startswith(b"\r\n", len(text)) else 1)
                yield rest[:kept]
                rest = rest[kept:]
    if rest := rest.rstrip(b"\r\n"):
        yield rest + b"\n"


class _Columns:
    """Reads blocks; knows which columns are wanted, and whether the target is a number."""

    def __init__(self, layout: Layout) -> None:
        self._count = len(layout.names)
        self._target = layout.target
        # Positions rise in a block; features that are wanted in another order are sorted after.
        self._wanted = np.sort(np.array(layout.features, np.intp))
        order = np.searchsorted(self._wanted, layout.features)
        self._order = None if (np.diff(order) == 1).all() else order
        self._numeric: bool | None = None
        self._texts: dict[str, str] = {}

    def read(self, text: bytes) -> Block:
        """Read a block of whole lines."""
        if b"\0" in text or not _is_text(text):
            raise _NotPlainError
        buffer = b"0" * PADDING + text
        starts, ends = _cells(buffer, self._count)
        features = _numbers(buffer, starts[:, self._wanted], ends[:, self._wanted])
        if self._order is not None:
            features = features[:, self._order]
        if self._target is None:
            return Block(features, None)
        return Block(
            features, self._targets(buffer, starts[:, self._target], ends[:, self._target])
        )

    def _targets(
        self, buffer: bytes, starts: Positions, ends: Positions
    ) -> npt.NDArray[np.float64] | list[str]:
        if self._numeric is None:
            self._numeric = is_number(buffer[starts[0] : ends[0]].decode())
        if self._numeric:
            return _numbers(buffer, starts[:, None], ends[:, None])[:, 0]
        texts = [
            buffer[start:end].decode().strip()
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
        # Each text is kept once.
        return [self._texts.setdefault(text, text) for text in texts]


def _is_text(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _cells(buffer: bytes, columns: int) -> tuple[Positions, Positions]:
    """Return where each cell begins and ends, (rows, columns), without quotes around it."""
    characters = np.frombuffer(buffer, np.uint8)
    ends = np.flatnonzero((characters == ord(",")) | (characters == ord("\n")))
    rows, left = divmod(len(ends), columns)
    # Without a line feed, as before two carriage returns, there is no row.
    if left or rows == 0 or buffer.count(b"\n") != rows:
        raise _NotPlainError
    starts = np.empty_like(ends)
    starts[0], starts[1:] = PADDING, ends[:-1] + 1
    last = ends[columns - 1 :: columns]
    if (characters[last] != ord("\n")).any():
        raise _NotPlainError
    if returns := buffer.count(b"\r"):
        before = characters[last - 1] == ord("\r")
        if np.count_nonzero(before) != returns:
            raise _NotPlainError
        last -= before
    if b'"' in buffer:
        _strip_quotes(characters, starts, ends)
    if (ends - starts).max() > csv.field_size_limit():
        raise _NotPlainError
    return starts.reshape(rows, columns), ends.reshape(rows, columns)


def _strip_quotes(characters: npt.NDArray[np.uint8], starts: Positions, ends: Positions) -> None:
    """Strip the quotes around cells; quotes within cells are refused."""
    quotes = np.flatnonzero(characters == ord('"'))
    if len(quotes) % 2:
        raise _NotPlainError
    opening, closing = quotes[0::2], quotes[1::2]
    cells = np.searchsorted(ends, opening, side="right")
    if (starts[cells] != opening).any() or (ends[cells] != closing + 1).any():
        raise _NotPlainError
    starts[cells] += 1
    ends[cells] -= 1


def _numbers(buffer: bytes, starts: Positions, ends: Positions) -> npt.NDArray[np.float64]:
    """Return the numbers of some columns of all rows."""
    numbers = np.empty(starts.shape)
    flat, starts, ends = numbers.reshape(-1), starts.ravel(), ends.ravel()
    for first in range(0, len(flat), _CELLS_AT_ONCE):
        part = slice(first, first + _CELLS_AT_ONCE)
        flat[part] = _numbers_at_once(buffer, starts[part], ends[part])
    return numbers


def _numbers_at_once(buffer: bytes, starts: Positions, ends: Positions) -> npt.NDArray[np.float64]:
    if b" " in buffer:
        starts = _without_spaces(np.frombuffer(buffer, np.uint8), starts)
    values, unread = read_decimals(buffer, starts, ends)
    for i in unread.tolist():
        try:
            values[i] = number(buffer[starts[i] : ends[i]].decode())
        except ValueError:
            raise _NotPlainError from None
    return values


def _without_spaces(characters: npt.NDArray[np.uint8], starts: Positions) -> Positions:
    """Return the start of each cell after its leading spaces."""
    # Each cell ends with another character.
    while (spaces := characters[starts] == ord(" ")).any():
        starts = starts + spaces
    return starts
