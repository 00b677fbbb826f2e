"""The plan for each column of a table: detected in `fit`, and kept for predictions.

A column is a number, a boolean, a category or a date, or it is dropped. A date becomes several
numbers. The results are features: numbers, with NaN for missing values, and codes of categories.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnn_core.io.fields import Fields
from cnn_core.tables.dates import PARTS, parts_of
from cnn_core.tables.frames import Column, Frame
from cnn_core.tables.values import KINDS, Coded, Kind, Numbers, as_dates, as_numbers, coded, kind_of
from cnn_core.validation import require_known, shown

# A level that occurs once has weights only if at most this share of the rows have such levels.
# Otherwise the network could memorize rows by name.
MOST_ALONE = 0.1
MOST_LEVELS = 10_000
# The weights of missing categories come after those of the levels.
_NONE = -1


class Feature(NamedTuple):
    """A feature of the table, before scaling.

    Attributes
    ----------
    name : str
    values : (n,) array
        Numbers, NaN for missing ones; or codes of levels from 0, -1 for none.
    n_levels : int
        0 for numbers.
    marks_missing : bool
        Whether missing numbers get an indicator column.
    """

    name: str
    values: npt.NDArray[Any]
    n_levels: int = 0
    marks_missing: bool = True


@dataclass(frozen=True)
class ColumnPlan:
    """Kind and use of a column.

    Attributes
    ----------
    name : str
    kind : str
        One of `KINDS`.
    dropped : str or None
        Why the column is not used.
    missing : int
        Rows without a value.
    distinct : int
        Different values.
    levels : tuple of str
        Levels of a category with weights of their own, the most frequent first.
    missing_level : bool
        Whether missing values have weights of their own.
    parts : tuple of str
        The parts of a date that vary.
    """

    name: str
    kind: Kind
    dropped: str | None = None
    missing: int = 0
    distinct: int = 0
    levels: tuple[str, ...] = ()
    missing_level: bool = False
    parts: tuple[str, ...] = ()

    @property
    def n_levels(self) -> int:
        """Number of rows of weights of a category."""
        return len(self.levels) + self.missing_level

    def to_json(self) -> dict[str, Any]:
        """Return it in terms of JSON."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, values: Any, place: str) -> ColumnPlan:
        """Return the plan from the result of `to_json`.

        Raises
        ------
        TypeError, ValueError
            For anything else.
        """
        fields = Fields(values, place)
        kind = fields.text("kind")
        require_known(fields.name("kind"), kind, KINDS)
        parts = fields.names("parts")
        for part in parts:
            require_known(fields.name("parts"), part, PARTS)
        return cls(
            fields.text("name"),
            kind,  # type: ignore[arg-type]
            fields.optional(fields.text, "dropped"),
            fields.whole("missing"),
            fields.whole("distinct"),
            fields.names("levels"),
            fields.flag("missing_level"),
            parts,
        )


@dataclass(frozen=True)
class TableReader:
    """Converts tables to features, as detected in `fit`.

    Attributes
    ----------
    plans : tuple of ColumnPlan
    """

    plans: tuple[ColumnPlan, ...]

    def read(self, frame: Frame) -> list[Feature]:
        """Return the features of a table with the same columns.

        Raises
        ------
        TypeError, ValueError
            For a value that does not fit a column's kind.
        """
        features: list[Feature] = []
        for number, plan in enumerate(self.plans):
            if plan.dropped is None:
                features += _features(plan, frame.columns[number], frame.place(number))
        # Without features the network has only biases.
        return features or [Feature("nothing", np.zeros(frame.n_rows), 0, False)]

    def features_of_columns(self) -> list[list[int]]:
        """Return the indices of the features that come from each column."""
        found: list[list[int]] = []
        start = 0
        for plan in self.plans:
            count = 0 if plan.dropped is not None else len(plan.parts) or 1
            found.append(list(range(start, start + count)))
            start += count
        return found

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return how each column is used, as the cells of a table with a header."""
        return [
            ("column", "kind", "distinct", "missing", "used as"),
            *(
                (plan.name, plan.kind, f"{plan.distinct:,}", f"{plan.missing:,}", _use(plan))
                for plan in self.plans
            ),
        ]

    def describe(self) -> str:
        """Return a text table that says how each column is used."""
        rows = self.rows()
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            left = [row[place].ljust(widths[place]) for place in (0, 1)]
            right = [row[place].rjust(widths[place]) for place in (2, 3)]
            lines.append("  ".join([*left, *right, row[4]]).rstrip())
        return "\n".join(lines)


def _use(plan: ColumnPlan) -> str:
    if plan.dropped is not None:
        return f"dropped: {plan.dropped}"
    if plan.kind == "date":
        return ", ".join(plan.parts)
    if plan.kind != "category":
        return "number, and whether it is missing" if plan.missing else "number"
    pooled = plan.distinct - len(plan.levels)
    missing = ", one for missing" if plan.missing_level else ""
    rare = f", {pooled:,} rare ones pooled" if pooled else ""
    number = len(plan.levels)
    return f"{number:,} level{'s' if number != 1 else ''}{missing}{rare}"


# Fitting


def read_first(
    frame: Frame, categorical: Any = None, numerical: Any = None
) -> tuple[TableReader, list[Feature]]:
    """Detect the kinds of the columns of a table.

    Parameters
    ----------
    frame : Frame
    categorical, numerical : sequence of names or indices, optional
        Columns whose kind the user sets.

    Returns
    -------
    reader : TableReader
    features : list of Feature
        Features of `frame`.

    Raises
    ------
    TypeError, ValueError
        For columns that do not exist, and for values that cannot be read.
    """
    wanted = _wanted(frame, categorical, numerical)
    plans = []
    seen: dict[bytes, str] = {}
    for number, column in enumerate(frame.columns):
        place = frame.place(number)
        kind = wanted.get(number)
        if kind is None:
            kind = "category" if frame.categorical[number] else kind_of(column, place)
        name = str(number) if frame.names is None else str(frame.names[number])
        plan, digest = _PLANNERS[kind](name, column, place)
        if plan.dropped is None and digest in seen:
            plan = ColumnPlan(
                name, kind, f"the same as {seen[digest]!r}", plan.missing, plan.distinct
            )
        seen.setdefault(digest, name)
        plans.append(plan)
    reader = TableReader(tuple(plans))
    return reader, reader.read(frame)


def _wanted(frame: Frame, categorical: Any, numerical: Any) -> dict[int, Kind]:
    """Return the kinds that the user sets, by column number."""
    places = {
        "categorical": _places("categorical", categorical, frame),
        "numerical": _places("numerical", numerical, frame),
    }
    both = places["categorical"] & places["numerical"]
    if both:
        raise ValueError(
            f"categorical, numerical: expected a column in one of them, found {min(both)} in both"
        )
    found: dict[int, Kind] = dict.fromkeys(places["categorical"], "category")
    return found | dict.fromkeys(places["numerical"], "number")


def _places(parameter: str, wish: Any, frame: Frame) -> set[int]:
    if wish is None:
        return set()
    if isinstance(wish, str) or not isinstance(wish, Iterable):
        raise TypeError(
            f"{parameter}: expected None or a list of names or numbers of columns, found "
            f"{shown(wish)}"
        )
    names = [] if frame.names is None else frame.names.tolist()
    found = set()
    for one in wish:
        is_number = isinstance(one, int | np.integer) and not isinstance(one, bool)
        if isinstance(one, str) and one in names:
            found.add(names.index(one))
        elif is_number and -len(frame.columns) <= one < len(frame.columns):
            found.add(int(one) % len(frame.columns))
        else:
            known = f"names among {shown(names)}, or " if names else ""
            raise ValueError(
                f"{parameter}: expected {known}numbers from 0 to {len(frame.columns) - 1}, found "
                f"{shown(one)}"
            )
    return found


def _digest(kind: str, *parts: Any) -> bytes:
    """Return a digest to recognize equal columns."""
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).data)
    return digest.digest()


def _plan_number(name: str, column: Column, place: str) -> tuple[ColumnPlan, bytes]:
    values = as_numbers(column, place)
    return _plan_of_numbers(name, "number", values)


def _plan_boolean(name: str, column: Column, place: str) -> tuple[ColumnPlan, bytes]:
    values = as_numbers(column, place)
    return _plan_of_numbers(name, "boolean", values)


def _plan_of_numbers(name: str, kind: Kind, values: Numbers) -> tuple[ColumnPlan, bytes]:
    absent = np.isnan(values)
    missing = int(absent.sum())
    distinct = len(np.unique(values[~absent]))
    plan = ColumnPlan(name, kind, _useless(distinct, missing), missing, distinct)
    # Minus zero is zero, and NaN has many bit patterns.
    # Nor does an addition like those that signal.
    return plan, _digest("number", np.where(absent, np.nan, np.where(absent, 0.0, values) + 0.0))


def _useless(distinct: int, missing: int) -> str | None:
    if not distinct:
        return "all values are missing"
    return "constant" if distinct == 1 and not missing else None


def _plan_date(name: str, column: Column, place: str) -> tuple[ColumnPlan, bytes]:
    dates = as_dates(column, place)
    absent = np.isnat(dates)
    missing = int(absent.sum())
    distinct = len(np.unique(dates[~absent]))
    dropped = _useless(distinct, missing)
    parts: tuple[str, ...] = ()
    if dropped is None:
        parts = tuple(
            part
            for part, values in parts_of(dates).items()
            if part == "time" or _varies(values[~absent])
        )
    plan = ColumnPlan(name, "date", dropped, missing, distinct, parts=parts)
    return plan, _digest("date", dates.view(np.int64))


def _varies(values: Numbers) -> bool:
    return bool(len(values)) and bool((values != values[0]).any())


def _plan_category(name: str, column: Column, place: str) -> tuple[ColumnPlan, bytes]:
    codes, levels = coded(column, place)
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    missing = int((codes < 0).sum())
    distinct = int(np.count_nonzero(counts))
    dropped = _useless(distinct, missing)
    least = 1 if (counts == 1).sum() <= MOST_ALONE * len(codes) else 2
    order = sorted(range(len(levels)), key=lambda code: (-counts[code], levels[code]))
    kept = tuple(levels[code] for code in order[:MOST_LEVELS] if counts[code] >= least)
    if dropped is None and not kept and missing < least:
        dropped = "no level has two rows"
    if dropped is not None:
        kept = ()
    plan = ColumnPlan(
        name, "category", dropped, missing, distinct, kept, dropped is None and missing >= least
    )
    return plan, _digest("category", codes, "\0".join(levels).encode("utf-8", "surrogatepass"))


_PLANNERS = {
    "number": _plan_number,
    "boolean": _plan_boolean,
    "date": _plan_date,
    "category": _plan_category,
}


# Reading


def _features(plan: ColumnPlan, column: Column, place: str) -> list[Feature]:
    if plan.kind == "category":
        codes = _known_codes(plan, coded(column, place))
        return [Feature(plan.name, codes, plan.n_levels)]
    if plan.kind == "date":
        parts = parts_of(as_dates(column, place))
        return [
            Feature(f"{plan.name}.{part}", parts[part], marks_missing=part == "time")
            for part in plan.parts
        ]
    return [Feature(plan.name, as_numbers(column, place))]


def _known_codes(plan: ColumnPlan, found: Coded) -> npt.NDArray[np.intp]:
    """Return the codes of the levels in `fit`; -1 for all others."""
    known = {level: code for code, level in enumerate(plan.levels)}
    # The last entry is for the code -1, a missing value.
    translated = [known.get(level, _NONE) for level in found.levels]
    translated.append(len(plan.levels) if plan.missing_level else _NONE)
    codes: npt.NDArray[np.intp] = np.array(translated, np.intp)[found.codes]
    return codes
