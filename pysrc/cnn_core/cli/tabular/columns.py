"""What is decided about the columns of a table, and the values that they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnn_core.cli.console import one_line
from cnn_core.cli.source import Source
from cnn_core.data import DataError
from cnn_core.data.cell_formats import ColumnFormat, Kind, find_format, prefers_comma, read_column
from cnn_core.data.table_file import RawTable
from cnn_core.io.fields import Fields

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Columns", "decided", "listed", "read_features"]

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


def decided(raw: RawTable, source: Source, target: str) -> Columns:
    """Decide about the columns of a table.

    Parameters
    ----------
    raw : RawTable
    source : Source
        What the user says about columns.
    target : str
        The name of the column that is learned.

    Raises
    ------
    DataError
        If a column that was named is not there, no feature is left, or one holds values that
        nothing can be learned from, such as lists.
    """
    said: dict[str, Kind] = {}
    for kind, names in (("text", source.categorical), ("number", source.numerical)):
        said |= dict.fromkeys((raw.column(name) for name in names), kind)  # type: ignore[arg-type]
    ignored = dict.fromkeys((raw.column(name) for name in source.ignore), "--ignore")
    if target in ignored:
        raise DataError(raw.path, "another column to ignore", f"the target {target!r}")
    comma = prefers_comma(raw.frame) if source.decimal is None else source.decimal == ","
    features: dict[str, ColumnFormat] = {}
    for column in raw.frame:
        name = column.name
        if name == target or name in ignored:
            continue
        try:
            format = find_format(column, comma=comma, kind=said.get(name))
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
    return Columns(features, target, ignored, tuple(raw.frame.columns), raw.has_header)


def _counts_rows(column: pl.Series, format: ColumnFormat) -> bool:
    """Tell whether a column rises by one from row to row."""
    values = read_column(column, format).values
    if len(values) < 10 or values.null_count() or values[1] - values[0] != 1:
        return False
    return bool((values.diff().drop_nulls() == 1).all())


def read_features(raw: RawTable, columns: Columns, report: Report) -> pl.DataFrame:
    """Return the features of a table, with the columns that were decided about.

    They are found by their names, or by their numbers where there are none. Others are left out.

    Parameters
    ----------
    raw : RawTable
        A table with the features, with or without the target.
    columns : Columns
    report : callable
        Called with a line of text for all that the user should know.

    Raises
    ------
    DataError
        If a feature is not there.
    """
    import polars as pl

    found = []
    for (name, format), own in zip(
        columns.features.items(), _places(raw, columns, report), strict=True
    ):
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


def _places(raw: RawTable, columns: Columns, report: Report) -> Sequence[str]:
    """Return the names that the features have in a table."""
    names, there = list(columns.features), raw.frame.columns
    missing = [name for name in names if name not in there]
    if columns.has_header and raw.has_header:
        if missing:
            raise DataError(
                raw.path,
                f"the columns that the run was trained on, {listed(names)}",
                f"{listed(there)}, with {listed(missing)} missing",
            )
        known = {*names, *columns.ignored, columns.target}
        others = [name for name in there if name not in known]
        if others:
            report(
                f"columns of {raw.path} that the run does not know are left out: {listed(others)}"
            )
        return names
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
