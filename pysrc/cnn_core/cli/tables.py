"""Read a user's files for a network: samples as numbers, and messages about errors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import CommandError
from cnn_core.cli.encoding import Encoding
from cnn_core.cli.image_folders import ImageFolder
from cnn_core.cli.source import Source
from cnn_core.cli.tabular.columns import listed, require_columns
from cnn_core.cli.tabular.samples import read_raw
from cnn_core.data import DataError, Table, load_file, read_idx
from cnn_core.data.cell_formats import prefers_comma
from cnn_core.data.checks import open_data
from cnn_core.data.idx_folders import idx_files_in
from cnn_core.data.numeric_table import features_of, target_of
from cnn_core.data.table_file import RawTable
from cnn_core.data.tables import ARRAYS, table_of

__all__ = [
    "NUMBERS_ALONE",
    "TrainedColumns",
    "classes_of",
    "file_hashes",
    "listed",
    "read_features",
    "read_table",
    "read_table_alike",
    "require_learnable",
]

Array = npt.NDArray[Any]

# Advice about cells that are not numbers.
NUMBERS_ALONE = (
    "a network learns numbers; cnn-core train --model tables also takes text, dates and missing "
    "cells"
)


class TrainedColumns(NamedTuple):
    """The columns of the table that a run was trained on.

    Attributes
    ----------
    n_features : int
    feature_names : tuple of str or None
    target_name : str or None
        None without a header, or for runs of earlier versions.
    is_last : bool
        Whether the target was the last column.
    image_shape : tuple of int or None
        Height and width, and 3 for colours, of images.
    encoding : Encoding or None
        Encoding of the features, if some of them are text.
    """

    n_features: int
    feature_names: tuple[str, ...] | None
    target_name: str | None
    is_last: bool
    image_shape: tuple[int, ...] | None = None
    encoding: Encoding | None = None

    def are_named_in(self, raw: RawTable) -> bool:
        """Tell whether a table has columns with these names."""
        names = self.feature_names
        return raw.has_header and names is not None and not set(raw.frame.columns).isdisjoint(names)


def read_features(
    path: Path,
    raw: RawTable | None,
    columns: TrainedColumns,
    report: Callable[[str], None],
) -> Array:
    """Read samples for predictions.

    Parameters
    ----------
    path : pathlib.Path
        IDX file, ``.npz`` (its test part, if it has one), ``.npy`` or a table.
    raw : RawTable or None
        The table. Columns are found by name if it has names; others are ignored.
    columns : TrainedColumns
        Columns of the training data.
    report : callable
        Called with each line of text for the user.

    Returns
    -------
    numpy.ndarray, (n, features) or (n, height, width)

    Raises
    ------
    FileNotFoundError, ValueError
        If the file does not exist, or does not fit the run.
    """
    if raw is not None:
        features = _features_in(raw, columns, report)
        if columns.encoding is not None:
            return columns.encoding.of_table(raw)
        return features_of(raw, features)
    if path.suffix.lower() in ARRAYS:
        table = load_file(path, has_target=False)
        return table.X if table.X_test is None else table.X_test
    images = read_idx(path)
    if images.ndim not in (2, 3) or images.size == 0:
        raise DataError(
            path, "samples of shape (n, features) or (n, height, width)", f"shape {images.shape}"
        )
    return images


def read_table(source: Source, report: Callable[[str], None]) -> tuple[Table, dict[str, str]]:
    """Read the file of a source; return its contents and the SHA-256 of its files by name.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file does not exist, or cannot be read.
    """
    source.require_readable()
    path = Path(source.data)
    if source.images:
        folder = ImageFolder.at(path)
        return folder.read(source.image_size, None, report), {path.name: folder.sha256()}
    if source.is_table:
        raw, hashes = read_raw(source, report)
        name = raw.frame.columns[-1]
        if source.target is not None:
            name = raw.column(source.target, "target")
        ignored = {raw.column(one) for one in source.ignore}
        features = [one for one in raw.frame.columns if one != name and one not in ignored]
        return _numeric(raw, source, features, name), hashes
    if (idx := idx_files_in(path)) is not None:
        return idx.read(), hashes_of(idx.files)
    ending = path.suffix.lower()
    if ending != ".npz" and source.labels is None:
        kind = ".npy" if ending == ".npy" else "IDX"
        raise CommandError(
            f"--data {path}: an {kind} file holds samples only; name the file of their classes "
            "with --labels"
        )
    return load_file(path, labels=source.labels), file_hashes(source)


def _numeric(
    raw: RawTable,
    source: Source,
    features: list[str],
    target: str,
    encoding: Encoding | None = None,
) -> Table:
    """Return a table of numbers, and classes or numbers as its target."""
    if not features:
        raise DataError(raw.path, "a column beside the target", "none")
    comma = prefers_comma(raw.frame) if source.decimal is None else source.decimal == ","
    hint = f"target: {target!r}, the last column (--target); {NUMBERS_ALONE}"
    if source.target is not None:
        hint = NUMBERS_ALONE
    if encoding is None:
        x = features_of(raw, features, comma=comma, hint=hint)
    else:
        x, features = encoding.of_table(raw, comma=comma, hint=hint), list(encoding.names)
    parts = {"X": x, "y": target_of(raw, target, comma=comma)}
    if not raw.has_header:
        return table_of(Path(raw.path), parts)
    return table_of(Path(raw.path), parts, tuple(features), target)


def read_table_alike(
    source: Source, columns: TrainedColumns, report: Callable[[str], None]
) -> tuple[Table, dict[str, str]]:
    """Like `read_table`, for a table with the layout of a run's training data.

    Raises
    ------
    FileNotFoundError, ValueError
        As for `read_table`, and if features or target are missing.
    """
    if source.images:
        folder = ImageFolder.at(Path(source.data))
        table = folder.read(source.image_size, columns.image_shape, report)
        return table, {folder.path.name: folder.sha256()}
    if not source.is_table:
        return read_table(source, report)
    raw, hashes = read_raw(source, report)
    names = raw.frame.columns
    if columns.are_named_in(raw):
        require_columns(raw, columns.feature_names or ())
        wanted = None if source.target is None else raw.column(source.target, "target")
        features, encoding = list(columns.feature_names or ()), columns.encoding
        name = _target_among(raw, wanted, columns)
        return _numeric(raw, source, features, name, encoding), hashes
    if len(names) == columns.n_features:
        raise _no_target(raw.path, f"a column beside the {columns.n_features} features", "none")
    if raw.has_header and columns.feature_names is not None:
        require_columns(raw, columns.feature_names or ())
    name = names[-1] if source.target is None else raw.column(source.target, "target")
    return _numeric(raw, source, [one for one in names if one != name], name), hashes


def file_hashes(source: Source) -> dict[str, str]:
    """Return the SHA-256 of the files of a source, by their names."""
    if source.images:
        path = Path(source.data)
        return {path.name: ImageFolder.at(path).sha256()}
    if (folder := idx_files_in(source.data)) is not None:
        return hashes_of(folder.files)
    hashes = [_file_hash(Path(file)) for file in source.files]
    found = dict(zip(source.file_names, hashes, strict=True))
    return found if source.labels is None else found | hashes_of([Path(source.labels)])


def hashes_of(files: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of files by their names."""
    return {path.name: _file_hash(path) for path in files}


def classes_of(table: Table) -> tuple[tuple[str, ...], Array, Array | None]:
    """Return the class names, and the targets of both parts as class indices."""
    if table.y is None:
        raise CommandError(f"{table.source}: expected a class for each sample, found none")
    y = _class_column(table.source, table.y, table.target_name)
    y_test = None
    if table.y_test is not None:
        y_test = _class_column(table.source, table.y_test, None)
    if table.class_names is not None:
        names = table.class_names
    else:
        both = y if y_test is None else np.concatenate([y, y_test])
        numbers, positions = np.unique(both, return_inverse=True)
        names = tuple(str(number) for number in numbers)
        y, y_test = positions[: len(y)], positions[len(y) :] if y_test is not None else None
    return names, y, y_test


def require_learnable(table: Table, names: tuple[str, ...], n_samples: int) -> None:
    """Refuse targets that are not classes, or only one class."""
    source, hint = table.source, _other_target(table.target_name)
    if len(names) < 2:
        raise CommandError(f"{source}: expected at least two classes, found {names[0]!r}{hint}")
    if len(names) > max(2, n_samples // 2):
        raise CommandError(
            f"{source}: expected classes, found {len(names)} different targets for {n_samples} "
            f"samples; numbers that are not classes cannot be learned by this command{hint}"
        )


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with open_data(path) as stream:
        while piece := stream.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def _class_column(source: str, y: Array, name: str | None) -> Array:
    """Return one whole number per sample for targets in any usual form."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2:
        one_hot = ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()
        if not one_hot:
            raise CommandError(
                f"{source}: expected one class per sample, as a number, a name or a row of one 1 "
                f"and zeros, found targets of shape {y.shape}"
            )
        classes: Array = y.argmax(axis=1)
        return classes
    whole = (y == np.floor(y)) & (np.abs(y.astype(np.float64)) < 2.0**63)
    if not whole.all():
        first = int(np.argmin(whole))
        where = "" if name is None else f" in the target column {name!r}"
        raise CommandError(
            f"{source}: expected classes, whole numbers or names, found {y[first]} for sample "
            f"{first}{where}; other numbers cannot be learned by this command{_other_target(name)}"
        )
    return y.astype(np.int64)


def _other_target(name: str | None) -> str:
    return "" if name is None else "; another column is chosen by --target"


def _features_in(
    raw: RawTable, columns: TrainedColumns, report: Callable[[str], None]
) -> list[str]:
    """Return the names of the features in a table, found by name or position."""
    names, count = list(raw.frame.columns), columns.n_features
    if columns.are_named_in(raw):
        require_columns(raw, columns.feature_names or ())
        known = {*(columns.feature_names or ()), columns.target_name}
        others = [name for name in names if name not in known]
        if others:
            report(
                f"columns of {raw.path} that the run does not know are left out: {listed(others)}"
            )
        return list(columns.feature_names or ())
    if raw.has_header and columns.feature_names is not None:
        require_columns(raw, columns.feature_names or ())
    if len(names) == count + 1 and columns.is_last:
        report(f"the last column of {raw.path} is left out: in training it was the target")
    elif len(names) != count:
        raise DataError(
            raw.path,
            f"a column for each of the {count} features that the run knows",
            f"{len(names)} columns",
            "leave the column of the target out" if len(names) == count + 1 else "",
        )
    return names[:count]


def _target_among(raw: RawTable, asked_for: str | None, columns: TrainedColumns) -> str:
    """Return the name of the target column, which the header must contain."""
    features = set(columns.feature_names or ())
    names = raw.frame.columns
    others = [name for name in names if name not in features]
    target = columns.target_name if asked_for is None else asked_for
    if target is None and len(others) == 1:
        return others[0]
    if target is None and others and names[-1] == others[-1]:
        return names[-1]
    if target is None and others:
        raise DataError(raw.path, "one column beside the features", listed(others), "use --target")
    if target not in others:
        named = "a target" if target is None else f"the target {target!r}"
        raise _no_target(raw.path, f"a column with {named}", listed(others) if others else "none")
    return str(target)


def _no_target(path: str, expected: str, found: str) -> DataError:
    return DataError(
        path,
        expected,
        found,
        "without the true classes nothing can be evaluated; cnn-core predict needs none",
    )
