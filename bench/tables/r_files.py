"""Data frames out of the files of R packages, without R.

A package has its data either as one ``.rda`` file a set, or all sets in a lazy-load database: an
index ``Rdata.rdx`` of offsets and lengths, and ``Rdata.rdb`` with the serialized objects, each
compressed by itself (R internals, section "Lazy loading").
"""

from __future__ import annotations

import bz2
import lzma
import warnings
import zlib
from pathlib import Path
from typing import Any

import rdata
from pandas import DataFrame

__all__ = ["frame_of_package"]


def frame_of_package(folder: Path, name: str) -> DataFrame:
    """Return a data set of an unpacked R package.

    Raises
    ------
    FileNotFoundError
        If the package holds none of that name.
    """
    files = [file for ending in ("rda", "RData") for file in folder.rglob(f"{name}.{ending}")]
    if files:
        return DataFrame(_converted(files[0].read_bytes())[name])
    for index in folder.rglob("Rdata.rdx"):
        places = _converted(index.read_bytes())["variables"]
        if name in places:
            offset, length = map(int, places[name])
            with index.with_suffix(".rdb").open("rb") as database:
                database.seek(offset)
                return DataFrame(_converted(_decompressed(database.read(length))))
    raise FileNotFoundError(f"no data set {name} in {folder.name}")


def _converted(contents: bytes) -> Any:
    with warnings.catch_warnings():
        # R's attributes and classes that have no counterpart here.
        warnings.simplefilter("ignore")
        return rdata.conversion.convert(rdata.parser.parse_data(contents))


def _decompressed(chunk: bytes) -> bytes:
    """Return an object's bytes; before them stand their length and, but for zlib, a letter."""
    letter = chunk[4:5]
    if letter == b"2":
        return bz2.decompress(chunk[5:])
    if letter == b"Z":
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 6}]
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(chunk[5:])
    return zlib.decompress(chunk[4:])
