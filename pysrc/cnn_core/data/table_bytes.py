"""Read the bytes of a table from a file or standard input, and unpack them."""

from __future__ import annotations

import io
import os
import sys
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from .checks import ALLOWED_RATIO, ALWAYS_ALLOWED_BYTES, DataError, check_unpacked_size, open_data

__all__ = ["STANDARD_INPUT", "TEXT", "name_of", "read_bytes", "require_small_archive", "unpacked"]

STANDARD_INPUT = "-"
# File endings of text tables; for others the contents decide.
TEXT = (".csv", ".tsv", ".tab", ".txt")

_GZIP = b"\x1f\x8b"
_BLOCK = 2**20


def name_of(path: str | os.PathLike[str]) -> str:
    """Return a name of the data for messages."""
    return "standard input" if os.fspath(path) == STANDARD_INPUT else os.fspath(path)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the contents of a file.

    Parameters
    ----------
    path : str or path-like
        ``-`` means standard input.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DataError
        It is not a regular file, or standard input is a terminal.
    """
    if os.fspath(path) == STANDARD_INPUT:
        return _standard_input()
    with open_data(path) as stream:
        return stream.read()


def _standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError(
            "standard input",
            "a table from a pipe or a file",
            "a terminal",
            "write cnn-core ... - < FILE",
        )
    stream: BinaryIO = getattr(sys.stdin, "buffer", None) or io.BytesIO(sys.stdin.read().encode())
    return stream.read()


def unpacked(name: str, contents: bytes) -> bytes:
    """Unpack all members of a gzip archive; return other contents unchanged.

    Raises
    ------
    DataError
        It is damaged, or would unpack to far more than its size; see `check_unpacked_size`.
    """
    if not contents.startswith(_GZIP):
        return contents
    packed = contents
    limit = max(ALWAYS_ALLOWED_BYTES, ALLOWED_RATIO * len(packed))
    parts: list[bytes] = []
    size = 0
    rest = packed
    try:
        while rest.startswith(_GZIP):
            unpacker = zlib.decompressobj(wbits=31)
            while not unpacker.eof:
                part = unpacker.decompress(rest, _BLOCK)
                rest = unpacker.unconsumed_tail
                if not part and not unpacker.eof and not rest:
                    raise EOFError("the file ends too early")
                parts.append(part)
                size += len(part)
                if size > limit:
                    check_unpacked_size(name, len(packed), size)
            rest = unpacker.unused_data
    except (zlib.error, EOFError) as error:
        raise DataError(name, "a gzip archive", f"one that cannot be unpacked: {error}") from error
    return b"".join(parts)


def require_small_archive(path: str | Path, contents: bytes) -> None:
    """Refuse a zip archive, such as a spreadsheet, that would unpack to far more than its size.

    Raises
    ------
    DataError
        If it would, or if it is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError) as error:
        raise DataError(path, "a spreadsheet", f"a damaged file: {error}") from None
    check_unpacked_size(path, len(contents), unpacked)
