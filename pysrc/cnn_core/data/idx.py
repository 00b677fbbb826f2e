"""A strict reader of the IDX format.

An IDX file is two zero bytes, a type code, the rank, one big-endian 32-bit size per dimension,
and the values, big-endian, the last dimension running fastest. Nothing follows the values.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import sys
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import numpy.typing as npt

from .checks import DataError, check_unpacked_size, open_data, size_of

__all__ = ["is_idx", "read_idx"]

DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_RANK = 32
_CHUNK = 2**18

Path = str | os.PathLike[str]
OnBytes = Callable[[bytes], object]


class _Stream(Protocol):
    """The file interface of the reader, for packed and plain files."""

    def read1(self, size: int, /) -> bytes: ...


def is_idx(path: Path) -> bool:
    """Tell by its name whether a file is an IDX file, such as ``train-images-idx3-ubyte.gz``."""
    name = os.fspath(path).lower().removesuffix(".gz")
    return name.endswith(".idx") or re.search(r"[.-]idx\d+(-\w+)?$", name) is not None


def read_idx(path: Path) -> npt.NDArray[Any]:
    """Read an IDX file, packed with gzip or not.

    Packed files are recognized by their first two bytes, not by their name. Every declared size is
    checked before memory is allocated. A packed file is never unpacked further than one byte beyond
    its declared size.

    Parameters
    ----------
    path : str or path-like
        File to read.

    Returns
    -------
    numpy.ndarray
        Array of the declared shape, rank 1 to 32; uint8, int8, int16, int32, float32 or float64
        in the machine's byte order; C-contiguous and writable.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DataError
        It is not an IDX file, is damaged, is shorter or longer than it declares, or declares an
        absurd size.
    """
    return read_known_idx(path)


def read_known_idx(
    path: Path,
    *,
    shape: tuple[int, ...] | None = None,
    on_bytes: OnBytes | None = None,
) -> npt.NDArray[Any]:
    """Read an IDX file with a known shape.

    Parameters
    ----------
    path : str or path-like
        File to read.
    shape : tuple of int, optional
        If given, only unsigned bytes of this shape are accepted; of other files only the header is
        read.
    on_bytes : callable, optional
        Called with every piece of the unpacked file, header included, in order.

    Returns
    -------
    numpy.ndarray
        As `read_idx`.

    Raises
    ------
    FileNotFoundError, DataError
        As `read_idx`.
    """
    with open_data(path) as file:
        file_size = size_of(file)
        packed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        if not packed:
            return _parse(path, file, file_size, None, shape, on_bytes)
        try:
            with gzip.open(file) as unpacked:
                stream = cast("_Stream", unpacked)
                return _parse(path, stream, None, file_size, shape, on_bytes)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(path, "a whole gzip stream", f"a damaged one ({error})") from error


def _parse(
    path: Path,
    stream: _Stream | BinaryIO,
    plain_size: int | None,
    packed_size: int | None,
    known_shape: tuple[int, ...] | None,
    on_bytes: OnBytes | None,
) -> npt.NDArray[Any]:
    """Read header and values; exactly one of the two sizes is given."""
    reader = cast("_Stream", stream)
    header = _read_header(path, reader)
    dtype, shape = _shape_of(path, header)
    if known_shape is not None and (dtype.itemsize, shape) != (1, known_shape):
        raise DataError(
            path, f"unsigned bytes of shape {known_shape}", f"{dtype.name} of shape {shape}"
        )
    size = math.prod(shape) * dtype.itemsize
    if plain_size is not None and plain_size != len(header) + size:
        raise _wrong_size(path, size, str(plain_size - len(header)))
    if packed_size is not None:
        check_unpacked_size(path, packed_size, size)

    if on_bytes is not None:
        on_bytes(header)
    values = _allocate(path, size)
    found = _fill(reader, values, on_bytes)
    if found < size:
        raise _wrong_size(path, size, str(found))
    # Reading past the values also makes gzip compare its checksum.
    if reader.read1(1):
        raise _wrong_size(path, size, f"more than {size}")
    array = values.view(dtype).reshape(shape)
    if not dtype.isnative:
        array = array.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return array


def _read_header(path: Path, stream: _Stream) -> bytes:
    """Return the raw bytes of the magic number and the sizes."""
    magic = _read_exactly(path, stream, 4, "a magic number of 4 bytes")
    if magic[:2] != b"\0\0":
        raise DataError(
            path, "an IDX file, which begins with the bytes 00 00", f"{magic[:2].hex(' ')}"
        )
    rank = magic[3]
    if not 1 <= rank <= _MAX_RANK:
        raise DataError(path, f"from 1 to {_MAX_RANK} dimensions", f"{rank}")
    return magic + _read_exactly(path, stream, 4 * rank, f"{4 * rank} bytes of sizes")


def _shape_of(path: Path, header: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return type and shape that a header declares."""
    dtype = DTYPES.get(header[2])
    if dtype is None:
        known = ", ".join(f"{code:02x}" for code in DTYPES)
        raise DataError(path, f"one of the type codes {known}", f"{header[2]:02x}")
    shape = struct.unpack(f">{header[3]}I", header[4:])
    # NumPy also refuses an empty array if the product of its other sizes is absurd.
    if math.prod(max(length, 1) for length in shape) * dtype.itemsize > sys.maxsize:
        raise DataError(path, "sizes whose product fits in memory", f"shape {shape}")
    return dtype, shape


def _read_exactly(path: Path, stream: _Stream, size: int, what: str) -> bytes:
    """Return `size` bytes, which are `what`."""
    pieces = b""
    try:
        while len(pieces) < size and (piece := stream.read1(size - len(pieces))):
            pieces += piece
    except EOFError:
        pass
    if len(pieces) < size:
        raise DataError(path, what, f"a file that ends after {len(pieces)} of them")
    return pieces


def _allocate(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """Return a buffer of `size` bytes."""
    try:
        return np.empty(size, np.uint8)
    except MemoryError as error:
        raise DataError(
            path, "values that fit in memory", f"{size} bytes of values declared"
        ) from error


def _fill(stream: _Stream, buffer: npt.NDArray[np.uint8], on_bytes: OnBytes | None) -> int:
    """Fill the buffer from the stream, and return the number of bytes read."""
    view = buffer.data
    done = 0
    while done < buffer.size:
        try:
            piece = stream.read1(min(_CHUNK, buffer.size - done))
        except EOFError:
            break
        if not piece:
            break
        view[done : done + len(piece)] = piece
        done += len(piece)
        if on_bytes is not None:
            on_bytes(piece)
    return done


def _wrong_size(path: Path, expected: int, found: str) -> DataError:
    return DataError(
        path,
        f"{expected} bytes of values after the header",
        found,
        "the file is truncated, or something was added to it",
    )
