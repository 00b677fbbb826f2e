"""A user's own data: ``.npz``, ``.npy`` with a second ``.npy`` of labels, and ``.csv``."""

from __future__ import annotations

import math
import os
import sys
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from cnn_core.files import checked_path

from .checks import DataError, check_unpacked_size, open_data, size_of

__all__ = ["Table", "load_file"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Samples from a user's file, with their targets if it has any.

    Attributes
    ----------
    X : numpy.ndarray, shape (n, features) or (n, height, width)
        Samples, C-contiguous, in the machine's byte order. Float64 from ``.csv``, otherwise of the
        type that was stored (booleans become uint8).
    y : numpy.ndarray or None, shape (n,) or (n, outputs)
        Targets. Names become int64 positions in ``class_names``; numbers from ``.csv`` are int64
        if all are whole and float64 otherwise; other files keep the type that was stored.
    feature_names : tuple of str or None
        Names of the columns of a ``.csv`` with a header.
    class_names : tuple of str or None
        Names of the classes in sorted order, if the targets were names.
    X_test, y_test : numpy.ndarray or None
        A test part that an ``.npz`` keeps beside the training part.
    source : str
        The file.
    target_name : str or None
        Name of the target column of a ``.csv`` with a header.
    """

    X: Array
    y: Array | None
    feature_names: tuple[str, ...] | None
    class_names: tuple[str, ...] | None
    X_test: Array | None
    y_test: Array | None
    source: str
    target_name: str | None = None

    def __repr__(self) -> str:
        """Return shapes, types and source; the values themselves would fill pages."""
        shapes = ", ".join(
            f"{name} {part.shape} {part.dtype}"
            for name in ("X", "y", "X_test", "y_test")
            if (part := getattr(self, name)) is not None
        )
        return f"Table({shapes}, from {self.source!r})"


def load_file(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    labels: str | os.PathLike[str] | None = None,
    has_target: bool = True,
    header: bool | None = None,
    features: Sequence[str] | int | None = None,
) -> Table:
    """Read samples and targets from a user's file.

    The kind of file is told by its ending.

    - ``.npz``: arrays ``X`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ``y_test``
      (``x`` or ``X`` alike). An archive that would unpack to more than 256 MiB and to more than 100
      times its size is refused.
    - ``.npy``: the samples; ``labels`` names the file of the targets. An array takes what its file
      takes, and a header of more than 64 KiB is refused.
    - ``.csv``: commas, UTF-8; every column but the target is a feature and must be a number.
      Reading takes up to 100 times the size of the file; a cell has at most 131072 characters.

    Nothing in a file can run code: pickled objects are refused.

    Parameters
    ----------
    path : str or path-like
        File to read.
    target : str, optional
        Name of the target column of a ``.csv``; the last column if not given.
    labels : str or path-like, optional
        File of the targets that belong to an ``.npy``.
    has_target : bool, default True
        False if the file has samples only, as for prediction. Targets in an ``.npz`` are then left
        out; a ``.csv`` is taken to have no target column.
    header : bool, optional
        Whether the first row of a ``.csv`` holds the names of its columns. By default it does not
        if it holds numbers only; a row of which this cannot be told is refused.
    features : sequence of str or int, optional
        Names of the columns of a ``.csv`` to use as features, in this order, or how many of the
        first ones. What other columns hold does not matter then. By default all but the target.

    Returns
    -------
    Table
        Samples, targets and names.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DataError
        The file is damaged, does not hold what it should or does not fit in memory; names the
        line and column of a ``.csv`` and the first offending index of an array.
    ValueError
        The arguments do not go with this kind of file or with each other.
    """
    file = Path(checked_path(path))
    labels_file = None if labels is None else Path(checked_path(labels, "labels"))
    kind = file.suffix.lower()
    if kind not in ENDINGS:
        raise DataError(file, f"a name ending in {', '.join(ENDINGS)}", repr(file.suffix))
    _check_arguments(kind, target, labels, has_target, header, features)
    with open_data(file) as stream:
        size = size_of(stream)
    try:
        if kind == ".csv":
            return _read_csv(
                file, target=target, has_target=has_target, header=header, features=features
            )
        if kind == ".npz":
            return _table(file, _read_npz(file, has_target))
        parts = {"X": _read_npy(file)}
        if labels_file is not None:
            parts["y"] = _read_npy(labels_file)
        return _table(file, parts)
    except MemoryError as error:
        raise DataError(
            file,
            "values that fit in memory",
            f"a file of {size} bytes ({str(error) or 'no memory left'})",
        ) from error


def _read_csv(file: Path, **arguments: Any) -> Table:
    from .csv_file import read_csv

    columns = read_csv(file, **arguments)
    parts: dict[str, Array] = {"X": columns.features}
    if columns.target is not None:
        parts["y"] = columns.target
    return _table(file, parts, columns.feature_names, columns.target_name)


ENDINGS = (".npz", ".npy", ".csv")


def _check_arguments(
    kind: str,
    target: str | None,
    labels: str | os.PathLike[str] | None,
    has_target: bool,
    header: bool | None,
    features: Sequence[str] | int | None,
) -> None:
    if kind != ".csv" and features is not None:
        raise ValueError(f"features= belongs to a .csv file, not to a {kind} file")
    if features is not None and not isinstance(features, int) and header is False:
        raise ValueError("features= names columns, which header=False rules out")
    if kind != ".csv" and (target is not None or header is not None):
        raise ValueError(f"target= and header= belong to a .csv file, not to a {kind} file")
    if kind != ".npy" and labels is not None:
        raise ValueError(f"labels= belongs to an .npy file; a {kind} file holds its own targets")
    if not has_target and (target is not None or labels is not None):
        raise ValueError("has_target=False contradicts target= or labels=; leave one of them out")
    if kind == ".npy" and has_target and labels is None:
        raise ValueError(
            "an .npy file holds the samples only: pass the file of the targets as labels=, or "
            "has_target=False if there is none"
        )
    if target is not None and header is False:
        raise ValueError(f"target={target!r} names a column, which header=False rules out")


# Checks that all kinds of files share


def _table(
    file: Path,
    parts: Mapping[str, Array],
    feature_names: tuple[str, ...] | None = None,
    target_name: str | None = None,
) -> Table:
    """Check the arrays of a file, turn names into numbers, and put it all together."""
    y, y_test = parts.get("y"), parts.get("y_test")
    samples = _checked_samples(file, "X", parts["X"])
    test_samples = None
    if "X_test" in parts:
        test_samples = _checked_samples(file, "X_test", parts["X_test"])
        if test_samples.shape[1:] != samples.shape[1:] or test_samples.dtype != samples.dtype:
            raise DataError(
                file,
                f"test samples like the others, {samples.dtype} of shape {samples.shape[1:]}",
                f"{test_samples.dtype} of shape {test_samples.shape[1:]}",
            )
        y_test = _checked_targets(file, "y_test", y_test, len(test_samples))
    y = _checked_targets(file, "y", y, len(samples))
    class_names, y, y_test = _numbered(file, y, y_test)
    return Table(
        X=samples,
        y=y,
        feature_names=feature_names,
        class_names=class_names,
        X_test=test_samples,
        y_test=y_test,
        source=str(file),
        target_name=target_name,
    )


def _checked_samples(file: Path, name: str, array: Array) -> Array:
    if array.dtype.kind not in "biuf":
        raise DataError(file, f"numbers in {name}", f"values of type {array.dtype}")
    if array.ndim not in (2, 3) or array.size == 0:
        raise DataError(
            file,
            f"{name} of shape (n, features) or (n, height, width) with none of them 0",
            f"shape {array.shape}",
        )
    _check_finite(file, name, array)
    return _plain(array)


def _checked_targets(file: Path, name: str, array: Array | None, count: int) -> Array | None:
    if array is None:
        return None
    if array.ndim not in (1, 2) or array.size == 0:
        raise DataError(file, f"{name} of shape (n,) or (n, outputs)", f"shape {array.shape}")
    if len(array) != count:
        raise DataError(file, f"{count} targets in {name}, one per sample", f"{len(array)}")
    if array.dtype.kind == "U" and array.ndim != 1:
        raise DataError(file, f"one name per sample in {name}", f"shape {array.shape}")
    _check_finite(file, name, array)
    return _plain(array)


def _check_finite(file: Path, name: str, array: Array) -> None:
    if array.dtype.kind != "f":
        return
    finite = np.isfinite(array)
    if not finite.all():
        index = tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), array.shape))
        raise DataError(file, "finite numbers", f"{array[index]} in {name} at index {index}")


def _plain(array: Array) -> Array:
    """Return the array C-contiguous, in the machine's byte order, without booleans."""
    dtype = np.dtype(np.uint8) if array.dtype.kind == "b" else array.dtype.newbyteorder("=")
    return np.ascontiguousarray(array, dtype=dtype)


def _numbered(
    file: Path, y: Array | None, y_test: Array | None
) -> tuple[tuple[str, ...] | None, Array | None, Array | None]:
    """Replace names by their positions in the sorted list of all names."""
    given = [part for part in (y, y_test) if part is not None]
    named = [part for part in given if part.dtype.kind == "U"]
    if not named:
        return None, y, y_test
    if len(named) < len(given):
        raise DataError(file, "targets that are names in both parts or in neither", "one of each")
    names = np.unique(np.concatenate(named))
    numbers = [np.searchsorted(names, part).astype(np.int64) for part in named]
    class_names = tuple(str(name) for name in names)
    return class_names, numbers[0], numbers[1] if y_test is not None else None


# NumPy's files

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


def _read_npy(file: Path) -> Array:
    with open_data(file) as stream:
        return _read_array(file, stream, size_of(stream))


def _read_npz(file: Path, has_target: bool) -> dict[str, Array]:
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
            # Python's reader of archives has no one error for damage; many kinds come out of it.
            raise DataError(
                file, "an .npz archive", f"one that cannot be unpacked ({error})"
            ) from error


def _check_end(file: Path, stream: BinaryIO, archive: zipfile.ZipFile) -> None:
    """See that an archive ends with its directory, which Python looks for further up as well."""
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
    """Choose the members to read: part -> name in the archive."""
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
        # NumPy writes no others, and some of them let a small file ask for gigabytes.
        raise DataError(name, "a member stored or deflated", f"method {member.compress_type}")
    with archive.open(member) as stream:
        return _read_array(name, cast("BinaryIO", stream), member.file_size)


def _read_array(name: Path, stream: BinaryIO, size: int) -> Array:
    """Read one array in NumPy's format that must take up exactly `size` bytes."""
    shape, fortran_order, dtype = _read_npy_header(name, stream)
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


def _read_npy_header(name: Path, stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
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
        # NumPy evaluates the header as a Python literal; a damaged one fails in many ways.
        raise DataError(name, "an array in NumPy's format", f"something else ({error})") from error
    return shape, fortran_order, dtype


def _check_header_length(stream: BinaryIO, version: tuple[int, int]) -> None:
    """Look at the declared length, for which NumPy would take memory unseen: up to 4 GiB."""
    size = 2 if version == (1, 0) else 4
    start = stream.tell()
    length = int.from_bytes(stream.read(size), "little")
    if length > MAX_NPY_HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes, more than {MAX_NPY_HEADER_BYTES}")
    stream.seek(start)


def _check_characters(name: Path, values: Array) -> None:
    """Refuse names that are not text: NumPy would make strings that Python does not allow."""
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
