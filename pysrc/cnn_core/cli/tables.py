"""Files of the user's: what they hold, and how it is told what is wrong with them."""

from __future__ import annotations

import csv
import hashlib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import CommandError
from cnn_core.data import DataError, Table, load_file, read_idx
from cnn_core.data.checks import open_data
from cnn_core.data.tables import ENDINGS

if TYPE_CHECKING:
    from cnn_core.cli.sources import Source

__all__ = [
    "KNOWN",
    "classes_of",
    "file_hashes",
    "in_order",
    "listed",
    "read_features",
    "read_table",
]

Array = npt.NDArray[Any]

# Data sets that are known by name.
KNOWN = ("fashion-mnist", "digits")


def read_features(
    path: Path,
    n_features: int,
    feature_names: tuple[str, ...] | None,
    header: bool | None = None,
) -> Array:
    """Read samples to predict the classes of.

    Parameters
    ----------
    path : pathlib.Path
        IDX file, ``.npz`` (its test part, if it has one), ``.npy`` or ``.csv``. A ``.csv`` with a
        header may hold one more column than the features, such as the target; it is left out.
    n_features : int
        Number of the features that the run knows.
    feature_names : tuple of str or None
        Their names; the columns of a ``.csv`` with a header are put into their order.
    header : bool, optional
        Whether a ``.csv`` begins with a header.

    Returns
    -------
    numpy.ndarray, (n, features) or (n, height, width)

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it does not hold what the run needs.
    """
    ending = path.suffix.lower()
    if header is not None and ending != ".csv":
        raise CommandError(f"--header and --no-header belong to a .csv file, not to {path}")
    if ending not in ENDINGS:
        images = read_idx(path)
        if images.ndim not in (2, 3) or images.size == 0:
            raise DataError(
                path,
                "samples of shape (n, features) or (n, height, width)",
                f"shape {images.shape}",
            )
        return images
    if ending == ".csv":
        return _csv_features(path, n_features, feature_names, header)
    table = _loaded(path, has_target=False)
    return table.X if table.X_test is None else table.X_test


def read_table(source: Source) -> Table:
    """Return what is in the file of a source.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it is of no kind that can be read.
    """
    path = Path(source.data)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        likely = get_close_matches(source.data, KNOWN, n=1)
        hint = f"; did you mean {likely[0]}?" if likely else ""
        kind = "a folder" if path.is_dir() else repr(source.data)
        raise CommandError(
            f"--data: expected {', '.join(KNOWN)} or a file whose name ends in "
            f"{', '.join(ENDINGS)}, found {kind}{hint}"
        )
    if ending == ".npy" and source.labels is None:
        raise CommandError(
            f"--data {path}: an .npy file holds samples only; name the file of their classes with "
            "--labels"
        )
    return _loaded(path, target=source.target, labels=source.labels, header=source.header)


def file_hashes(source: Source) -> dict[str, str]:
    """Return the SHA-256 of the files of a source, by their names."""
    files = [path for path in (source.data, source.labels) if path is not None]
    return {Path(path).name: _file_hash(Path(path)) for path in files}


def classes_of(table: Table) -> tuple[tuple[str, ...], Array, Array | None]:
    """Return the names of the classes, and the targets of both parts as positions in them."""
    if table.y is None:
        raise CommandError(f"{table.source}: expected a class for each sample, found none")
    y = _class_column(table.source, table.y)
    y_test = None if table.y_test is None else _class_column(table.source, table.y_test)
    if table.class_names is not None:
        names = table.class_names
    else:
        both = y if y_test is None else np.concatenate([y, y_test])
        numbers, positions = np.unique(both, return_inverse=True)
        names = tuple(str(number) for number in numbers)
        y, y_test = positions[: len(y)], positions[len(y) :] if y_test is not None else None
    if len(names) < 2:
        raise CommandError(f"{table.source}: expected at least two classes, found {names[0]!r}")
    if len(names) > max(2, len(y) // 2):
        raise CommandError(
            f"{table.source}: expected classes, found {len(names)} different targets for {len(y)} "
            "samples; numbers that are not classes cannot be learned by this command"
        )
    return names, y, y_test


def in_order(table: Table, feature_names: tuple[str, ...] | None) -> Table:
    """Return a table whose columns, if they have names, stand as they did in training."""
    found = table.feature_names
    if found is None or feature_names is None or found == feature_names:
        return table
    if set(found) != set(feature_names):
        raise DataError(
            table.source,
            f"the columns that the run was trained on, {listed(feature_names)}",
            listed(found),
        )
    order = [found.index(name) for name in feature_names]
    values = {**vars(table), "X": table.X[:, order], "feature_names": feature_names}
    return Table(**values)


def listed(names: tuple[str, ...] | list[str], most: int = 8) -> str:
    """Return names with commas, the first of them if there are many."""
    listed = ", ".join(repr(name) for name in names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"


def _loaded(path: Path, **arguments: Any) -> Table:
    """Read a file; what to do about an error is said in the words of the command line."""
    try:
        return load_file(path, **arguments)
    except DataError as error:
        hint = error.hint.replace("pass header=True or header=False", "add --header or --no-header")
        hint = hint.replace("pass header=True", "add --header")
        hint = hint.replace("pass has_target=False if there is no target", "")
        if path.suffix.lower() == ".csv":
            hint = _csv_hint(path, error, arguments) or hint
        raise DataError(error.path, error.expected, error.found, hint) from error


def _csv_hint(path: Path, error: DataError, arguments: dict[str, Any]) -> str:
    """Return what to do about a table that cannot be read, '' if there is nothing to add."""
    separator = _other_separator(path)
    if separator:
        return f"its columns are separated by {separator}; write the file with commas"
    if error.expected != "a finite number" or error.hint:
        return ""
    hint = "text columns cannot be features"
    if arguments.get("target") is None and arguments.get("has_target", True):
        first = _first_line(path)
        if arguments.get("header") is False or not first:
            return f"target: the last column; {hint}"
        return f"target: {first[-1]}, the last column; name another one with --target; {hint}"
    return hint


def _other_separator(path: Path) -> str:
    """Return what stands between the columns instead of commas, '' if it is commas."""
    cells = _first_line(path)
    if len(cells) == 1:
        for character, name in ((";", "semicolons"), ("\t", "tabs")):
            if character in cells[0]:
                return name
    return ""


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with open_data(path) as stream:
        while piece := stream.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def _class_column(source: str, y: Array) -> Array:
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
    whole = y.astype(np.int64)
    if not (whole == y).all():
        first = int(np.argmax(whole != y))
        raise CommandError(
            f"{source}: expected classes, whole numbers or names, "
            f"found {y[first]} for sample {first}; other numbers cannot be learned by this command"
        )
    return whole


def _csv_features(
    path: Path, n_features: int, feature_names: tuple[str, ...] | None, header: bool | None
) -> Array:
    first = _first_line(path)
    if feature_names is None or header is False or not set(feature_names) & set(first):
        if first and len(first) != n_features and not _other_separator(path):
            raise DataError(
                path,
                f"a column for each of the {n_features} features that the run knows",
                f"{len(first)} columns",
                "leave the column of the target out" if len(first) == n_features + 1 else "",
            )
        return in_order(_loaded(path, has_target=False, header=header), feature_names).X
    missing = [name for name in feature_names if name not in first]
    others = [name for name in first if name not in feature_names]
    if missing or len(others) > 1:
        raise DataError(
            path,
            f"the columns {listed(feature_names)} and at most one other",
            f"{listed(missing)} missing" if missing else f"also {listed(others)}",
        )
    if others:
        table = _loaded(path, target=others[0], header=True)
    else:
        table = _loaded(path, has_target=False, header=True)
    return in_order(table, feature_names).X


def _first_line(path: Path) -> list[str]:
    """Return the cells of the first line; an unreadable file is left to the strict reader."""
    if not path.is_file():
        return []
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as stream:
        return [cell.strip() for cell in next(csv.reader([stream.readline(2**20)]), [])]
