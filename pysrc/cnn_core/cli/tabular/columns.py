"""What is decided about the columns of a table, and the values that they hold."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from cnn_core.cli.console import one_line
from cnn_core.cli.source import Source
from cnn_core.data import DataError
from cnn_core.data.cell_formats import (
    ColumnFormat,
    Kind,
    find_format,
    looks_missing,
    prefers_comma,
    read_column,
    reads_either_way,
)
from cnn_core.data.table_file import RawTable
from cnn_core.io.fields import Fields

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Columns", "decided", "listed", "read_features", "require_columns"]

Report = Callable[[str], None]


@dataclass(frozen=True)
class Columns:
    """What was decided about the columns of a table.

    Attributes
    ----------
    features : dict of str to ColumnFormat
        How the cells of each feature are written, in the order of the table.
    target : str
    ignored : dict of str to str
        Why a column is left out, by its name.
    names : tuple of str
        All columns of the table, in their order.
    has_header : bool
        Whether the names are those of the file.
    """

    features: dict[str, ColumnFormat]
    target: str
    ignored: dict[str, str]
    names: tuple[str, ...]
    has_header: bool

    def to_json(self) -> dict[str, Any]:
        """Return it in terms of JSON."""
        return {
            "features": {name: format.to_json() for name, format in self.features.items()},
            "target": self.target,
            "ignored": self.ignored,
            "names": list(self.names),
            "has_header": self.has_header,
        }

    @classmethod
    def from_json(cls, fields: Fields) -> Columns:
        """Return what `to_json` gave.

        Raises
        ------
        TypeError, ValueError
            For anything else.
        """
        features = {
            name: ColumnFormat.from_json(values, f"{fields.name('features')}.{name}")
            for name, values in fields.fields("features").values.items()
        }
        found = cls(
            features,
            fields.text("target"),
            dict(fields.text_by_text("ignored")),
            fields.texts("names"),
            fields.flag("has_header"),
        )
        if sorted(found.names) != sorted([*features, *found.ignored, found.target]):
            raise ValueError(f"{fields.name('names')}: expected each column once")
        return found


def decided(raw: RawTable, source: Source, target: str, report: Report) -> Columns:
    """Decide about the columns of a table.

    Parameters
    ----------
    raw : RawTable
    source : Source
        What the user says about columns.
    target : str
        The name of the column that is learned.
    report : callable
        Called with each line of text for the user.

    Raises
    ------
    DataError
        If a column that was named is not there, no feature is left, or one holds values that
        nothing can be learned from, such as lists.
    """
    said: dict[str, Kind] = {}
    for kind, names in (("text", source.categorical), ("number", source.numerical)):
        said |= dict.fromkeys(_columns_of(raw, names), kind)  # type: ignore[arg-type]
    ignored = dict.fromkeys(_columns_of(raw, source.ignore), "--ignore")
    if target in ignored:
        raise DataError(raw.path, "another column to ignore", f"the target {target!r}")
    comma = prefers_comma(raw.frame) if source.decimal is None else source.decimal == ","
    features: dict[str, ColumnFormat] = {}
    for column in raw.frame:
        name = column.name
        if name == target or name in ignored:
            continue
        try:
            format = find_format(
                column,
                comma=comma,
                kind=said.get(name),
                day_first=source.date_order != "month-first",
            )
        except TypeError as error:
            raise DataError(
                raw.path, "numbers, text or dates", str(error), f"--ignore {name!r}"
            ) from error
        if name not in said and format.kind == "number" and _counts_rows(column, format):
            ignored[name] = "numbers the rows (--numerical)"
        else:
            features[name] = format
    if not features:
        raise DataError(raw.path, "a column beside the target to learn from", "none")
    _settle_dates(raw, features, source, report)
    unclear = [name for name, format in features.items() if format.kind == "text"]
    _tell_missing(raw, [name for name in (*unclear, target) if name not in said], report)
    return Columns(features, target, ignored, tuple(raw.frame.columns), raw.has_header)


def _columns_of(raw: RawTable, names: Sequence[str]) -> list[str]:
    """Return the names of columns that the user lists."""
    for name in names:
        parts = [part.strip() for part in name.split(",")]
        if name not in raw.frame.columns and len(parts) > 1 and {*parts} <= {*raw.frame.columns}:
            raise DataError(
                raw.path,
                f"a column named {name!r}",
                listed(raw.frame.columns),
                f"names of columns have spaces between them: {shlex.join(parts)}",
            )
    return [raw.column(name) for name in names]


def _settle_dates(
    raw: RawTable, features: dict[str, ColumnFormat], source: Source, report: Report
) -> None:
    """Read dates that can be read either way as the other dates of the table are written."""
    dates = {name: format for name, format in features.items() if format.day_first is not None}
    unclear = [name for name, format in dates.items() if reads_either_way(raw.frame[name], format)]
    if not unclear or source.date_order is not None:
        return
    orders = {format.day_first for name, format in dates.items() if name not in unclear}
    if len(orders) == 1:
        (day_first,) = orders
        features |= {name: replace(dates[name], day_first=day_first) for name in unclear}
        return
    report(
        f"the dates of {listed(unclear)} can be read either way, and are read with the day first "
        "(--date-order month-first)"
    )


def _tell_missing(raw: RawTable, names: Sequence[str], report: Report) -> None:
    """Say which cells may be meant for missing values, but are taken for text as they stand."""
    import polars as pl

    found = {
        name: marks
        for name in names
        if raw.frame[name].dtype == pl.String and (marks := looks_missing(raw.frame[name]))
    }
    if found:
        marks = sorted({mark for marks in found.values() for mark in marks})
        report(
            f"cells such as {marks[0]!r} in {listed(list(found))} are text like any other; "
            f"--missing {shlex.join(marks)} leaves them empty"
        )


def _counts_rows(column: pl.Series, format: ColumnFormat) -> bool:
    """Tell whether a column rises by one from row to row."""
    values = read_column(column, format).values
    if len(values) < 10 or values.null_count() or values[1] - values[0] != 1:
        return False
    return bool((values.diff().drop_nulls() == 1).all())


def read_features(
    raw: RawTable, columns: Columns, report: Report, unused: Collection[str] = ()
) -> pl.DataFrame:
    """Return the features of a table, with the columns that were decided about.

    They are found by their names, or by their numbers where there are none. Others are left out.

    Parameters
    ----------
    raw : RawTable
        A table with the features, with or without the target.
    columns : Columns
    report : callable
        Called with each line of text for the user.
    unused : collection of str
        Features that the model does not look at: they are missing values where they are not there.

    Raises
    ------
    DataError
        If a feature is not there.
    """
    import polars as pl

    found = []
    for (name, format), own in zip(
        columns.features.items(), _places(raw, columns, report, unused), strict=True
    ):
        if own is None:
            found.append(pl.Series(name, [None] * len(raw.frame), pl.String))
            continue
        values, odd = read_column(raw.frame[own], format)
        if odd.any():
            row = int(odd.arg_true()[0])
            cell = f"{str(raw.frame[own][row])!r:.80} on {raw.place(row)}"
            report(
                f"column {one_line(name)}: {odd.sum():,} of {len(odd):,} cells are no "
                f"{format.kind} and count as missing: {cell}"
            )
        found.append(values.alias(name))
    return pl.DataFrame(found)


def require_columns(raw: RawTable, wanted: Sequence[str]) -> None:
    """Refuse a table without columns that a run needs.

    Raises
    ------
    DataError
        It names those that are not there, and what they may be called.
    """
    there = raw.frame.columns
    missing = [name for name in wanted if name not in set(there)]
    if not missing:
        return
    others = {name.lower(): name for name in there if name not in set(wanted)}
    hints = [
        f"is {name!r} called {others[alike[0]]!r} there?"
        for name in missing
        if (alike := get_close_matches(name.lower(), others, n=1))
    ]
    raise DataError(
        raw.path,
        f"the column{'s' if len(missing) > 1 else ''} {listed(missing)}, on which the run was "
        "trained",
        listed(there),
        "".join(hints[:1]),
    )


def _places(
    raw: RawTable, columns: Columns, report: Report, unused: Collection[str]
) -> Sequence[str | None]:
    """Return the names that the features have in a table, None for those that need not be there."""
    names, there = list(columns.features), raw.frame.columns
    if columns.has_header and raw.has_header:
        require_columns(raw, [name for name in names if name not in unused])
        known = {*names, *columns.ignored, columns.target}
        others = [name for name in there if name not in known]
        if others:
            report(
                f"columns of {raw.path} that the run does not know are left out: {listed(others)}"
            )
        return [name if name in there else None for name in names]
    order = list(columns.names)
    if len(there) == len(order) - 1:
        order.remove(columns.target)
    if len(there) != len(order):
        raise DataError(
            raw.path,
            f"{len(order)} columns, as the run was trained on, or one less without the target",
            f"{len(there)}",
        )
    return [there[order.index(name)] for name in names]


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names with commas, the first of them if there are many."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
