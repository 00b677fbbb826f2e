"""From a file to a table with a task: what is learned, from which columns, on which rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import CommandError, one_line
from cnn_core.cli.source import Source
from cnn_core.cli.tabular.columns import Columns, decided, read_features
from cnn_core.data import DataError
from cnn_core.data.cell_formats import (
    ColumnFormat,
    find_format,
    prefers_comma,
    read_column,
    without_marks,
)
from cnn_core.data.splits import shuffled_by_class
from cnn_core.data.table_bytes import read_bytes
from cnn_core.data.table_file import RawTable, read_table_file
from cnn_core.data.table_parts import read_table_parts
from cnn_core.tables.columns import TableReader, read_first
from cnn_core.tables.frames import as_frame

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "TEST_SHARE",
    "TableSamples",
    "Target",
    "Task",
    "read_raw",
    "read_samples",
    "targets_of",
    "unheard",
]

Array = npt.NDArray[Any]
IndexArray = npt.NDArray[np.intp]
Task: TypeAlias = Literal["classification", "regression"]

TEST_SHARE = 0.2
# Whole numbers are taken for classes if there are so few of them, with so many rows each.
_MOST_CLASSES, _LEAST_ROWS = 20, 5


@dataclass(frozen=True, eq=False)
class Target:
    """What is learned.

    Attributes
    ----------
    name : str
    task : str
    why : str
        Why this task, in words.
    values : numpy.ndarray, (n,)
        Numbers, or labels: text or whole numbers. None or NaN where the cell is empty.
    known : numpy.ndarray of bool, (n,)
        Where it is not.
    """

    name: str
    task: Task
    why: str
    values: Array
    known: npt.NDArray[np.bool_]

    @property
    def is_text(self) -> bool:
        """Whether it holds no numbers."""
        return any(isinstance(value, str) for value in self.values[self.known][:1].tolist())


@dataclass(frozen=True, eq=False)
class TableSamples:
    """The rows of a table with what is learned, in a training and a test part.

    Attributes
    ----------
    name : str
        Short name, fit for a folder's name.
    source : str
        Where the data were found.
    raw : RawTable
    columns : Columns
    features : polars.DataFrame
        Those of all rows whose target is known.
    y : numpy.ndarray, (n,)
        Numbers, or labels.
    target : Target
    train, test : numpy.ndarray
        Positions among these rows.
    hashes : dict of str to str
        SHA-256 of the file by its name.
    """

    name: str
    source: str
    raw: RawTable
    columns: Columns
    features: pl.DataFrame
    y: Array
    target: Target
    train: IndexArray
    test: IndexArray
    hashes: dict[str, str]

    @property
    def task(self) -> Task:
        """What is to be done."""
        return self.target.task

    @property
    def categorical(self) -> list[str] | None:
        """The features whose cells are text, whatever the text looks like; None without any."""
        formats = self.columns.features
        return [name for name, format in formats.items() if format.kind == "text"] or None

    @cached_property
    def reading(self) -> tuple[TableReader, int]:
        """What a learner makes of the columns, and how many of its inputs are numbers.

        Kept, since it looks at every cell of the training rows.
        """
        train = as_frame(self.features[self.train], "the table")
        reader, features = read_first(train, self.categorical)
        return reader, sum(not feature.n_levels for feature in features)


def unheard(text: str) -> None:
    """Take a note that nobody wants, or that was given before."""


def read_raw(source: Source, report: Callable[[str], None]) -> tuple[RawTable, dict[str, str]]:
    """Read a table, and the SHA-256 of its files.

    Raises
    ------
    FileNotFoundError, ImportError, ValueError
        As `read_table_file`.
    """
    files = source.files
    contents = [read_bytes(file) for file in files]
    if files == [source.data]:
        raw = read_table_file(source.data, source.layout, contents[0])
    else:
        raw = read_table_parts(source.data, files, source.layout, contents)
    for note in raw.notes:
        report(f"{raw.path}: {note}")
    raw = replace(raw, frame=without_marks(raw.frame, source.missing))
    hashes = [hashlib.sha256(one).hexdigest() for one in contents]
    return raw, dict(zip(source.file_names, hashes, strict=True))


def read_samples(
    source: Source,
    task: Task | None,
    report: Callable[[str], None],
    table: tuple[RawTable, dict[str, str]] | None = None,
    columns: Columns | None = None,
) -> TableSamples:
    """Read a table to train on.

    Parameters
    ----------
    source : Source
    task : str, optional
        By default it is found from the target.
    report : callable
        Called with each line of text for the user.
    table : RawTable and its hashes, optional
        What `read_raw` gave, if the table has been read already.
    columns : Columns, optional
        What was decided about the columns, if it has been.

    Raises
    ------
    FileNotFoundError, ImportError, ValueError
        If there is no such file, it holds no table, or nothing can be learned from it.
    """
    raw, hashes = read_raw(source, report) if table is None else table
    if raw.frame.width < 2:
        raise DataError(
            raw.path, "at least one feature and a target in each row", "one column", "--separator?"
        )
    name = raw.frame.columns[-1] if source.target is None else raw.column(source.target, "target")
    target = targets_of(raw, source, name, task)
    if columns is None:
        columns = decided(raw, source, name, report)
    features = read_features(raw, columns, report)
    rows = np.flatnonzero(target.known)
    if len(rows) < len(target.known):
        report(
            f"{len(target.known) - len(rows):,} rows without a value in the target column "
            f"{one_line(name)} are left out"
        )
    y = target.values[rows]
    _require_learnable(raw.path, target, y)
    train, test = _split(raw.path, target, y, report)
    return TableSamples(
        name=source.name,
        source=raw.path,
        raw=raw,
        columns=columns,
        features=features if len(rows) == len(features) else features[rows],
        y=y,
        target=target,
        train=train,
        test=test,
        hashes=hashes,
    )


def targets_of(raw: RawTable, source: Source, name: str, task: Task | None) -> Target:
    """Return what is to be learned from a column.

    Raises
    ------
    DataError
        If the column holds no numbers, but these are to be learned.
    """
    column = raw.frame[name]
    comma = prefers_comma(raw.frame) if source.decimal is None else source.decimal == ","
    try:
        format = find_format(column, comma=comma)
    except TypeError as error:
        raise DataError(raw.path, "classes or numbers to learn", str(error)) from error
    if task == "regression" or (task is None and format.kind == "number"):
        numbers = _numbers(raw, name, format)
        found, why = _task_of(numbers)
        if task == "regression" or found == "regression":
            return Target(
                name, "regression", why if task is None else "--task", numbers, ~np.isnan(numbers)
            )
        format = ColumnFormat("number", format.decimal, format.thousands)
    why = "--task" if task else _why_classes(format)
    labels = _labels(column, format)
    return Target(
        name, "classification", why, labels, np.array([one is not None for one in labels])
    )


def _numbers(raw: RawTable, name: str, format: ColumnFormat) -> npt.NDArray[np.float64]:
    column = raw.frame[name]
    if format.kind != "number":
        cells = column.drop_nulls()
        found = f"{str(cells[0])!r:.80}" if len(cells) else "none"
        raise DataError(
            raw.path,
            f"numbers in the target column {name!r}",
            found,
            "--task classification learns classes",
        )
    values, odd = read_column(raw.frame[name], format)
    if odd.any():
        row = int(odd.arg_true()[0])
        raise DataError(
            raw.path,
            f"numbers in the target column {name!r}",
            f"{str(raw.frame[name][row])!r:.80} on {raw.place(row)}",
            "correct it, or leave the row out",
        )
    numbers: npt.NDArray[np.float64] = values.cast(float).fill_null(float("nan")).to_numpy()
    return numbers


def _task_of(numbers: npt.NDArray[np.float64]) -> tuple[Task, str]:
    known = numbers[~np.isnan(numbers)]
    distinct = np.unique(known)
    if (known != np.floor(known)).any():
        return "regression", "its numbers are not all whole"
    if len(distinct) > _MOST_CLASSES:
        return "regression", f"it has {len(distinct):,} different numbers"
    if len(known) < _LEAST_ROWS * len(distinct):
        return "regression", f"it has {len(distinct)} different numbers in {len(known)} rows"
    return "classification", f"it has {len(distinct)} different whole numbers"


def _why_classes(format: ColumnFormat) -> str:
    return "it has few whole numbers" if format.kind == "number" else "it is text"


def _labels(column: pl.Series, format: ColumnFormat) -> Array:
    """Return labels, whole numbers or text as it stands in the file; None where there is none."""
    import polars as pl

    if format.kind == "number":
        values = read_column(column, format).values
        if (values.drop_nulls() % 1 == 0).all():
            return np.array(values.cast(pl.Int64).to_list(), object)
    plain = column
    if column.dtype != pl.String:
        plain = column.cast(pl.String)
    return np.array(read_column(plain, ColumnFormat("text")).values.to_list(), object)


def _require_learnable(path: str, target: Target, y: Array) -> None:
    hint = "another column is chosen by --target"
    where = f"in the target column {target.name!r}"
    if not len(y):
        raise DataError(path, f"values {where}", "none", hint)
    distinct = len(np.unique(y))
    if distinct < 2:
        share = "throughout" if len(y) > 1 else "in the only row"
        raise DataError(path, f"at least two values {where}", f"{y.tolist()[0]!r} {share}", hint)
    if target.task == "classification" and distinct > max(2, len(y) // 2):
        raise DataError(
            path,
            f"classes {where}",
            f"{distinct:,} different values in {len(y):,} rows",
            f"--task regression learns numbers; {hint}",
        )


def _split(
    path: str, target: Target, y: Array, report: Callable[[str], None]
) -> tuple[IndexArray, IndexArray]:
    """Hold a share of the rows out at random, the same way each time, of each class alike.

    A class with one row is only trained on.
    """
    groups = np.zeros(len(y), np.intp)
    alone = np.zeros(len(y), np.bool_)
    if target.task == "classification":
        names, groups, counts = np.unique(y, return_inverse=True, return_counts=True)
        alone = (counts == 1)[groups]
        if alone.any():
            few = ", ".join(repr(name) for name in names[counts == 1][:8])
            report(f"classes with a single row are not tested: {few}")
    shared = np.flatnonzero(~alone)
    order = shared[shuffled_by_class(groups[shared])]
    chosen = np.diff(np.floor(np.arange(len(order) + 1) * TEST_SHARE + 1e-9)) > 0
    if not chosen.any():
        raise CommandError(
            f"{path}: expected at least {round(1 / TEST_SHARE)} rows, of which one is held out to "
            f"test on, found {len(shared)}"
        )
    test = np.sort(order[chosen])
    return np.setdiff1d(np.arange(len(y)), test), test
