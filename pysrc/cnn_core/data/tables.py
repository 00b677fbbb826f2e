"""Read a user's data: ``.npz``, ``.npy`` and IDX with a file of labels, tables of numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.files import checked_path

from .cell_formats import prefers_comma
from .checks import DataError, open_data, size_of
from .idx import is_idx, read_idx
from .numeric_table import features_of, target_of
from .numpy_files import read_npy, read_npz
from .table_file import ENDINGS, TableLayout, is_table, read_table_file

__all__ = ["ARRAYS", "Table", "load_file", "table_of"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Samples from a user's file, with their targets if it has any.

    Attributes
    ----------
    X : numpy.ndarray, shape (n, features), (n, height, width) or (n, height, width, channels)
        Samples, C-contiguous, in the machine's byte order. Float64 from tables, otherwise in the
        stored dtype (booleans become uint8).
    y : numpy.ndarray or None, shape (n,) or (n, outputs)
        Targets. Names become int64 indices into ``class_names``; numbers from tables are int64 if
        all are whole, else float64; other files keep the stored dtype.
    feature_names : tuple of str or None
        Names of the columns of a table with a header.
    class_names : tuple of str or None
        Names of the classes in sorted order, if the targets were names.
    X_test, y_test : numpy.ndarray or None
        The test part of an ``.npz``, if there is one.
    source : str
        The file.
    target_name : str or None
        Name of the target column of a table with a header.
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

    The ending determines the kind of file.

    - ``.npz``: arrays ``X`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ``y_test``
      (``x`` or ``X`` alike). An archive that would unpack to more than 256 MiB and to more than 100
      times its size is refused.
    - ``.npy``: the samples; ``labels`` names the file of the targets. Memory is limited by the size
      of the file, and a header of more than 64 KiB is refused.
    - IDX, such as ``train-images-idx3-ubyte.gz`` of MNIST: the samples, as for ``.npy``.
    - A table: ``.csv``, ``.tsv`` or ``.txt``, also with ``.gz`` behind it, ``.parquet`` or a
      spreadsheet such as ``.xlsx``. It is read by polars, which other files do not need: ``pip
      install "cnn-core[app]"``. Every column except the target is a feature and must be numeric.
      Separator, encoding and decimal mark are detected.

    Nothing in a file can run code: pickled objects are refused.

    Parameters
    ----------
    path : str or path-like
        File to read.
    target : str, optional
        Name of the target column of a table, or its number from 1; the last column if not given.
    labels : str or path-like, optional
        File of the targets for an ``.npy`` or IDX file.
    has_target : bool, default True
        False if the file has only samples, as for prediction. Targets in an ``.npz`` are then
        ignored, and a table has no target column.
    header : bool, optional
        Whether the first row of a table holds the names of its columns. By default it does if it
        has text over a column of numbers; an unclear first row is refused.
    features : sequence of str or int, optional
        Names of the columns of a table to use as features, in this order, or the number of first
        columns to use. Other columns are ignored. By default all except the target.

    Returns
    -------
    Table
        Samples, targets and names.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ImportError
        It is a table, and polars is not installed.
    DataError
        The file is damaged, has wrong contents or does not fit in memory. The message names the
        line and column of a table, and the first wrong index of an array.
    ValueError
        The arguments do not fit this kind of file, or each other.
    """
    file = Path(checked_path(path))
    labels_file = None if labels is None else Path(checked_path(labels, "labels"))
    kind = "table" if is_table(file) else "IDX" if is_idx(file) else file.suffix.lower()
    if kind not in (*ARRAYS, "IDX", "table"):
        endings = ", ".join((*ARRAYS, *ENDINGS))
        raise DataError(file, f"a name ending in {endings} or -idx3-ubyte", repr(file.suffix))
    _check_arguments(kind, target, labels, has_target, header, features)
    with open_data(file) as stream:
        size = size_of(stream)
    try:
        if kind == "table":
            return _read_table(
                file, target=target, has_target=has_target, header=header, features=features
            )
        if kind == ".npz":
            return table_of(file, read_npz(file, has_target))
        parts = {"X": _array_in(file)}
        if labels_file is not None:
            parts["y"] = _array_in(labels_file)
        return table_of(file, parts)
    except MemoryError as error:
        raise DataError(
            file,
            "values that fit in memory",
            f"a file of {size} bytes ({str(error) or 'no memory left'})",
        ) from error


def _read_table(
    file: Path,
    *,
    target: str | None,
    has_target: bool,
    header: bool | None,
    features: Sequence[str] | int | None,
) -> Table:
    if header is None and (target is not None or isinstance(features, Sequence)):
        header = True
    raw = read_table_file(file, TableLayout(header=header))
    names = list(raw.frame.columns)
    if has_target and len(names) < 2:
        raise DataError(
            file,
            "at least one feature and a target on each line",
            "one column",
            "pass has_target=False if there is no target",
        )
    parts: dict[str, Array] = {}
    comma = prefers_comma(raw.frame)
    target_name = None
    if has_target:
        target_name = names[-1] if target is None else raw.column(target, "target")
        parts["y"] = target_of(raw, target_name, comma=comma)
        names.remove(target_name)
    if isinstance(features, int):
        names = names[:features]
    elif features is not None:
        names = [raw.column(name) for name in features]
    parts["X"] = features_of(raw, names, comma=comma)
    if not raw.has_header:
        return table_of(file, parts)
    return table_of(file, parts, tuple(names), target_name)


def _array_in(file: Path) -> Array:
    return read_idx(file) if is_idx(file) else read_npy(file)


ARRAYS = (".npz", ".npy")
# Files that hold either samples or targets.
_ONE_ARRAY = (".npy", "IDX")


def _check_arguments(
    kind: str,
    target: str | None,
    labels: str | os.PathLike[str] | None,
    has_target: bool,
    header: bool | None,
    features: Sequence[str] | int | None,
) -> None:
    if kind != "table" and features is not None:
        raise ValueError(f"features= belongs to a table such as .csv, not to a {kind} file")
    if features is not None and not isinstance(features, int) and header is False:
        raise ValueError("features= names columns, which header=False rules out")
    if kind != "table" and (target is not None or header is not None):
        raise ValueError(
            f"target= and header= belong to a table such as .csv, not to a {kind} file"
        )
    if kind not in _ONE_ARRAY and labels is not None:
        raise ValueError(
            f"labels= belongs to an .npy or IDX file; a {kind} file holds its own targets"
        )
    if not has_target and (target is not None or labels is not None):
        raise ValueError("has_target=False contradicts target= or labels=; leave one of them out")
    if kind in _ONE_ARRAY and has_target and labels is None:
        raise ValueError(
            f"an {kind} file holds the samples only: pass the file of the targets as labels=, or "
            "has_target=False if there is none"
        )


# Checks that all kinds of files share


def table_of(
    file: Path,
    parts: Mapping[str, Array],
    feature_names: tuple[str, ...] | None = None,
    target_name: str | None = None,
) -> Table:
    """Check the arrays of a file, convert names to numbers, and build the table."""
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
    if array.ndim not in (2, 3, 4) or array.size == 0:
        raise DataError(
            file,
            f"{name} of shape (n, features), (n, height, width) or (n, height, width, channels) "
            "with none of them 0",
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
    # An extended float type has numbers beyond float64.
    with np.errstate(over="ignore"):
        finite = np.isfinite(array.astype(np.float64) if array.dtype.itemsize > 8 else array)
    if not finite.all():
        index = tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), array.shape))
        raise DataError(file, "finite numbers", f"{array[index]!s} in {name} at index {index}")


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
