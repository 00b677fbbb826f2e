"""A data set as every learner gets it: a data frame of numbers and categories, and a target.

Whatever would be a question of the reader and not of the learner is settled here, for all alike:
dates become numbers, text becomes a category, rows without a target go, and of more than 60,000
rows so many are drawn.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tables.archives import ARCHIVES, cache_folder, unpacked
from tables.r_files import frame_of_package
from tables.sets import CLASSES, TableSet

__all__ = ["TRANSFORMS", "Part", "Table", "load", "split"]

MAX_ROWS = 60_000
TEST_SHARE = 0.2

TRANSFORMS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "": np.asarray,
    "log": np.log,
    "log1p": np.log1p,
    "signed_log": lambda values: np.sign(values) * np.log1p(np.abs(values)),
}


@dataclass(frozen=True)
class Part:
    """Rows of a table: the inputs, and the target as class numbers or float64."""

    X: pd.DataFrame
    y: NDArray[np.float64] | NDArray[np.intp]


@dataclass(frozen=True)
class Table(Part):
    """A whole table, and the number of its classes, or 0."""

    n_classes: int


def load(table: TableSet) -> Table:
    """Return a data set, from the cache if it has been there since these files last changed.

    Raises
    ------
    tables.archives.ArchiveError
        If its archive cannot be had.
    """
    file = cache_folder() / "frames" / f"{table.name}-{_digest(table)}.pickle"
    if file.is_file():
        # Written below, by this user.
        loaded: Table = pickle.loads(file.read_bytes())
        return loaded
    loaded = _prepared(table)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(loaded))
    return loaded


def split(table: Table, number: int) -> tuple[Part, Part]:
    """Return a split's rows to train on and to test on, of each class the same share.

    The order within each is random as well.
    """
    rng = np.random.default_rng(number)
    groups = table.y if table.n_classes else np.zeros(len(table.y), dtype=np.intp)
    is_test = np.zeros(len(table.y), dtype=bool)
    for group in np.unique(groups):
        rows = rng.permutation(np.flatnonzero(groups == group))
        is_test[rows[: round(len(rows) * TEST_SHARE)]] = True
    return _part(table, ~is_test, rng), _part(table, is_test, rng)


def _part(table: Table, chosen: NDArray[np.bool_], rng: np.random.Generator) -> Part:
    rows = rng.permutation(np.flatnonzero(chosen))
    return Part(table.X.iloc[rows].reset_index(drop=True), table.y[rows])


def _digest(table: TableSet) -> str:
    """Return what changes when the set does, or this file, or pandas."""
    parts = (repr(table).encode(), Path(__file__).read_bytes(), pd.__version__.encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _prepared(table: TableSet) -> Table:
    frame = _frame(table)
    target = frame.columns[table.target] if isinstance(table.target, int) else table.target
    values = frame[target]
    if table.minus:
        values = values - frame[table.minus]
    frame = frame[values.notna()].drop(columns=[target, *table.drop])
    values = values[values.notna()]
    if len(frame) > MAX_ROWS:
        rows = np.random.default_rng(0).permutation(len(frame))[:MAX_ROWS]
        frame, values = frame.iloc[rows], values.iloc[rows]
    X = pd.concat([_inputs(frame[name]) for name in frame.columns], axis=1)
    X = X.reset_index(drop=True)
    if table.task == CLASSES:
        y = np.unique(values.astype(str), return_inverse=True)[1].astype(np.intp)
        return Table(X, y, int(y.max()) + 1)
    return Table(X, TRANSFORMS[table.transform](values.to_numpy(dtype=np.float64)), 0)


def _frame(table: TableSet) -> pd.DataFrame:
    archive = ARCHIVES[table.package]
    folder = unpacked(archive)
    if archive.is_debian:
        return frame_of_package(folder, table.table)
    file = next(file for file in folder.rglob(Path(table.table).name) if file.match(table.table))
    if file.suffix == ".dat":
        return pd.read_csv(file, header=None, skipinitialspace=True).rename(columns=str)
    frame = pd.read_csv(file)
    # R's row names.
    unnamed = [name for name in frame.columns if name.startswith("Unnamed") or name == "rownames"]
    frame = frame.drop(columns=unnamed)
    if table.name == "bundesliga":
        goals = np.sign(frame.pop("HomeGoals") - frame.pop("AwayGoals"))
        frame["outcome"] = goals.map({-1: "away", 0: "draw", 1: "home"})
    return frame


def _inputs(column: pd.Series) -> pd.DataFrame:
    """Return the columns that a column becomes: numbers as float64, all else as categories."""
    name = str(column.name)
    if name.lower() == "date":
        return _dates(name, column)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column.astype(np.float64).to_frame(name)
    text = column.astype(object).where(column.notna(), None)
    return text.map(str, na_action="ignore").astype("category").to_frame(name)


def _dates(name: str, column: pd.Series) -> pd.DataFrame:
    is_number = pd.api.types.is_numeric_dtype(column)
    if is_number and column.dropna().between(1900, 2100).all():
        return column.astype(np.float64).to_frame(name)
    # R counts a date in days, a time in seconds since 1970.
    unit = "D" if is_number and column.max() < 1e6 else "s"
    date = pd.to_datetime(column, unit=unit) if is_number else pd.to_datetime(column)
    days = (date - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
    parts = {"": days, "_month": date.dt.month, "_weekday": date.dt.dayofweek}
    return pd.DataFrame({name + part: values.astype(np.float64) for part, values in parts.items()})
