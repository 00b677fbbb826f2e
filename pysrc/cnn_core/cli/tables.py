"""Files of the user: their contents, and messages about their errors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import CommandError
from cnn_core.cli.source import KNOWN, Source
from cnn_core.data import DataError, Table, load_file, read_idx
from cnn_core.data.checks import open_data
from cnn_core.data.csv_cells import is_number
from cnn_core.data.csv_file import read_first_row
from cnn_core.data.tables import ENDINGS

__all__ = [
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


class TrainedColumns(NamedTuple):
    """The columns of the table that a run was trained on.

    Attributes
    ----------
    n_features : int
    feature_names : tuple of str or None
    target_name : str or None
        None where there was no header, or an earlier version recorded none.
    is_last : bool
        Whether the target was the last column.
    """

    n_features: int
    feature_names: tuple[str, ...] | None
    target_name: str | None
    is_last: bool

    def are_named_in(self, first: list[str]) -> bool:
        """Tell whether a first row holds names of them."""
        return self.feature_names is not None and not set(first).isdisjoint(self.feature_names)


def read_features(
    path: Path,
    columns: TrainedColumns,
    header: bool | None,
    report: Callable[[str], None],
) -> Array:
    """Read samples to predict the classes of.

    Parameters
    ----------
    path : pathlib.Path
        IDX file, ``.npz`` (its test part, if it has one), ``.npy`` or ``.csv``. The columns of a
        ``.csv`` with a header are found by their names, and others are left out.
    columns : TrainedColumns
        What the run was trained on.
    header : bool or None
        Whether a ``.csv`` begins with a header.
    report : callable
        Called with a line of text for all that the user should know.

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
        return _csv_features(path, columns, header, report)
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


def read_table_alike(source: Source, columns: TrainedColumns) -> Table:
    """Return what is in the file of a source, laid out as the table that a run was trained on.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_table`, and if features or target are not there.
    """
    path = Path(source.data)
    if path.suffix.lower() != ".csv":
        return read_table(source)
    first = read_first_row(path)
    if source.header is not False and columns.are_named_in(first):
        _require_features(path, first, columns)
        target = _target_among(path, first, source.target, columns)
        return _loaded(path, features=columns.feature_names, target=target, header=True)
    if len(first) == columns.n_features:
        raise _no_target(path, f"a column beside the {columns.n_features} features", "none")
    table = read_table(source)
    if columns.feature_names is not None and table.feature_names is not None:
        _require_features(path, list(table.feature_names), columns)
    return table


def file_hashes(source: Source) -> dict[str, str]:
    """Return the SHA-256 of the files of a source, by their names."""
    files = [path for path in (source.data, source.labels) if path is not None]
    return {Path(path).name: _file_hash(Path(path)) for path in files}


def classes_of(table: Table) -> tuple[tuple[str, ...], Array, Array | None]:
    """Return the names of the classes, and the targets of both parts as positions in them."""
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
    """Refuse targets that are no classes, or only one class."""
    source, hint = table.source, _other_target(table.target_name)
    if len(names) < 2:
        raise CommandError(f"{source}: expected at least two classes, found {names[0]!r}{hint}")
    if len(names) > max(2, n_samples // 2):
        raise CommandError(
            f"{source}: expected classes, found {len(names)} different targets for {n_samples} "
            f"samples; numbers that are not classes cannot be learned by this command{hint}"
        )


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
    line = ",".join(cells)
    for character, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        # Numbers may have commas as their decimal points.
        if character in line and line.count(character) >= line.count(","):
            return name
    words = line.split()
    return "spaces" if len(cells) == 1 < len(words) and all(map(is_number, words)) else ""


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


def _csv_features(
    path: Path, columns: TrainedColumns, header: bool | None, report: Callable[[str], None]
) -> Array:
    first, count = read_first_row(path), columns.n_features
    if header is not False and columns.are_named_in(first):
        _require_features(path, first, columns)
        known = {*(columns.feature_names or ()), columns.target_name}
        others = [name for name in first if name not in known]
        if others:
            report(f"columns of {path} that the run does not know are left out: {listed(others)}")
        return _loaded(path, has_target=False, features=columns.feature_names, header=True).X
    if len(first) == count + 1 and columns.is_last and not _other_separator(path):
        report(f"the last column of {path} is left out: in training it was the target")
        table = _loaded(path, has_target=False, features=count, header=header)
    elif len(first) != count and not _other_separator(path):
        raise DataError(
            path,
            f"a column for each of the {count} features that the run knows",
            f"{len(first)} columns",
            "leave the column of the target out" if len(first) == count + 1 else "",
        )
    else:
        table = _loaded(path, has_target=False, header=header)
    if columns.feature_names is not None and table.feature_names is not None:
        _require_features(path, list(table.feature_names), columns)
    return table.X


def _require_features(path: Path, found: list[str], columns: TrainedColumns) -> None:
    there, wanted = set(found), columns.feature_names or ()
    missing = [name for name in wanted if name not in there]
    if missing:
        raise DataError(
            path,
            f"the columns that the run was trained on, {listed(wanted)}",
            f"{listed(found)}, with {listed(missing)} missing",
        )


def _target_among(
    path: Path, first: list[str], asked_for: str | None, columns: TrainedColumns
) -> str:
    """Return the name of the column with the classes, which a header must hold."""
    features = set(columns.feature_names or ())
    others = [name for name in first if name not in features]
    target = columns.target_name if asked_for is None else asked_for
    if target is None and len(others) == 1:
        return others[0]
    if target is None and others and first[-1] == others[-1]:
        return first[-1]
    if target is None and others:
        raise DataError(path, "one column beside the features", listed(others), "use --target")
    if target not in others:
        named = "a target" if target is None else f"the target {target!r}"
        raise _no_target(path, f"a column with {named}", listed(others) if others else "none")
    return str(target)


def _no_target(path: Path, expected: str, found: str) -> DataError:
    return DataError(
        path,
        expected,
        found,
        "without the true classes nothing can be evaluated; cnn-core predict needs none",
    )


def _first_line(path: Path) -> list[str]:
    """Return the cells of the first row; an unreadable file is left to the strict reader."""
    try:
        return read_first_row(path)
    except (OSError, DataError):
        return []
