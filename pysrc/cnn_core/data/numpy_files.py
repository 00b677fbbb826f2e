"""A strict reader of NumPy's files: ``.npy``, and archives of them, ``.npz``."""

from __future__ import annotations

import math
import os
import sys
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from .checks import DataError, check_unpacked_size, open_data, size_of

__all__ = ["read_npy", "read_npz"]

Array = npt.NDArray[Any]

MAX_NPY_HEADER_BYTES = 2**16 - 1
"""What version 1 of the format can declare; NumPy itself evaluates no more than 10,000 of them."""

MAX_RANK = 32
"""What every version of NumPy can hold."""

_NAMES_IN_NPZ = {
    "X": ("X", "x", "X_train", "x_train"),
    "y": ("y", "Y", "y_train", "Y_train"),
    "X_test": ("X_test", "x_test"),
    "y_test": ("y_test", "Y_test"),
}


def read_npy(file: Path) -> Array:
    """Read a file of one array."""
    with open_data(file) as stream:
        return _read_array(file, stream, size_of(stream))


def read_npz(file: Path, has_target: bool) -> dict[str, Array]:
    """Read the arrays that `_NAMES_IN_NPZ` names, with or without the targets."""
    with open_data(file) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                _check_end(file, stream, archive)
                members = _members(file, archive)
                wanted = _wanted(file, members, has_target)
                size = sum(members[name].file_size for name in wanted.values())
                check_unpacked_size(file, size_of(stream), size)
                return {part: _read_member(file, archive, members[wanted[part]]) for part in wanted}
        except (DataError, MemoryError):
            raise
        except Exception as error:
            # Python's archive reader raises many kinds of errors for damage. Their text may contain
            # contents of the file, so they are not shown as the cause.
            raise DataError(
                file, "an .npz archive", f"one that cannot be unpacked ({error})"
            ) from None


def _check_end(file: Path, stream: BinaryIO, archive: zipfile.ZipFile) -> None:
    """Check that an archive ends with its directory; Python also accepts an earlier one."""
    stream.seek(-(22 + len(archive.comment)), os.SEEK_END)
    if stream.read(4) != b"PK\x05\x06":
        raise DataError(file, "an archive that ends with its directory", "bytes behind it")


def _members(file: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in members:
            raise DataError(file, "names that differ", f"{name!r} twice")
        members[name] = member
    return members


def _wanted(file: Path, members: Mapping[str, zipfile.ZipInfo], has_target: bool) -> dict[str, str]:
    """Choose the members to read: a dict of part to name in the archive."""
    wanted: dict[str, str] = {}
    for part, names in _NAMES_IN_NPZ.items():
        present = [name for name in names if name in members]
        if len(present) > 1:
            raise DataError(file, f"one array for {part}", f"{' and '.join(present)}")
        if present and (has_target or part.startswith("X")):
            wanted[part] = present[0]
    needed = [("X", "X")] + ([("y", "X"), ("y_test", "X_test")] if has_target else [])
    for part, reason in needed:
        if part not in wanted and (reason in wanted or reason == part):
            raise DataError(
                file,
                f"an array named {' or '.join(_NAMES_IN_NPZ[part])}",
                f"{', '.join(members) or 'no array'}",
            )
    if "y_test" in wanted and "X_test" not in wanted:
        raise DataError(file, "an array named X_test or x_test", "y_test alone")
    return wanted


def _read_member(file: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    name = Path(f"{file}:{member.filename}")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # NumPy writes no other methods, and some of them let a small file ask for gigabytes.
        raise DataError(name, "a member stored or deflated", f"method {member.compress_type}")
    with archive.open(member) as stream:
        return _read_array(name, cast("BinaryIO", stream), member.file_size)


def _read_array(name: Path, stream: BinaryIO, size: int) -> Array:
    """Read one array in NumPy's format that must have exactly `size` bytes."""
    shape, fortran_order, dtype = read_npy_header(name, stream)
    if dtype.hasobject or dtype.kind not in "biufU" or dtype.itemsize == 0:
        raise DataError(name, "plain numbers or names", f"values of type {dtype}")
    if any(type(length) is not int or length < 0 for length in shape):
        raise DataError(name, "sizes that are whole numbers from 0 up", f"shape {shape}")
    if len(shape) > MAX_RANK:
        raise DataError(name, f"at most {MAX_RANK} dimensions", f"{len(shape)}")
    payload = math.prod(shape) * dtype.itemsize
    there = size - stream.tell()
    if payload != there:
        raise DataError(name, f"{payload} bytes of values for shape {shape} {dtype}", f"{there}")
    if payload == 0:
        raise DataError(name, "an array with values", f"shape {shape}")
    buffer = np.empty(payload, np.uint8)
    found = _read_into(stream, buffer.data)
    if found != payload:
        raise DataError(name, f"{payload} bytes of values", f"{found}")
    if stream.read(1):
        raise DataError(name, f"{payload} bytes of values", "more")
    values = buffer.view(dtype)
    if dtype.kind == "U":
        _check_characters(name, values)
    return values.reshape(shape, order="F" if fortran_order else "C")


def read_npy_header(name: Path, stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether columns come first, and dtype; the values follow in the stream."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(stream)
        reader = readers.get(version)
        if reader is None:
            raise ValueError(f"version {version} of the format")
        _check_header_length(stream, version)
        # Python warns of some spellings in a literal, NumPy of some types: all are checked after.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran_order, dtype = reader(stream)
    except (OSError, zipfile.BadZipFile):
        raise
    except Exception as error:
        # NumPy evaluates the header as a Python literal. A damaged one fails in many ways, and
        # errors quote it, so they are not shown as the cause.
        raise DataError(name, "an array in NumPy's format", f"something else ({error})") from None
    return shape, fortran_order, dtype


def _check_header_length(stream: BinaryIO, version: tuple[int, int]) -> None:
    """Check the declared length, for which NumPy would allocate up to 4 GiB."""
    size = 2 if version == (1, 0) else 4
    start = stream.tell()
    length = int.from_bytes(stream.read(size), "little")
    if length > MAX_NPY_HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes, more than {MAX_NPY_HEADER_BYTES}")
    stream.seek(start)


def _check_characters(name: Path, values: Array) -> None:
    """Refuse names that are not valid text: NumPy would create invalid Python strings."""
    codes = values.view(f"{values.dtype.byteorder}u4")
    wrong = (codes > sys.maxunicode) | ((codes >= 0xD800) & (codes < 0xE000))
    if wrong.any():
        raise DataError(name, "names in Unicode", f"the character {codes[wrong][0]:#x}")


def _read_into(stream: BinaryIO, view: memoryview) -> int:
    done = 0
    while done < len(view):
        piece = stream.read(min(2**20, len(view) - done))
        if not piece:
            break
        view[done : done + len(piece)] = piece
        done += len(piece)
    return done
