"""Detect the format of a column's cells, and convert them to values.

Formats are numbers with decimal points or commas, thousands separators, currencies or percent
signs; dates in the usual orders; words for true and false. A column has a kind if nearly all of its
cells have it. The other cells count as missing, and are reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from cnn_core.validation import require_known

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "COLUMNS_AT_ONCE",
    "ColumnFormat",
    "Kind",
    "ReadColumn",
    "find_format",
    "looks_missing",
    "prefers_comma",
    "read_column",
    "reads_either_way",
    "without_marks",
]

Kind: TypeAlias = Literal["number", "boolean", "date", "text"]
KINDS: tuple[Kind, ...] = ("number", "boolean", "date", "text")

# Least share of the cells that must be of the column's kind.
_SHARE = 0.95
# Number of first cells that are searched for decimal marks.
_LOOKED_AT = 1_000_000
# Columns converted at a time: a Python object for a column takes far more than a cell.
COLUMNS_AT_ONCE = 10_000
# Texts for a missing number or date.
_MISSING = r"(?i)^(n/?a|#n/?a|#[a-z0-9/]+[!?]|nan|nat|null|none|nil|missing|\?+|-+|\.+)$"
_MISSING_TEXT = r"(?i)^(n/?a|#n/?a|<na>|nan|nat|null|\?+)$"
_CURRENCY = r"[$€£¥₹]"
_GAP = r"[ \u00a0\u202f'\u2019]"
_TRUTHS = {"true": "false", "yes": "no", "t": "f", "y": "n"}
# A leading zero: a code, not a number.
_CODE = r"^[-+]?0\d"
_TIME = (
    r"(?:[T ]+(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2}(?:\.\d+)?))?\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
    r"\s*(?:Z|UTC|(?P<zone>[-+]\d{2}):?(?P<zone_m>\d{2})?)?)?$"
)
# Dates whose month is a number, after or before the day.
_NUMBERED_MONTH = r"^\d{1,2}[-/.]\d{1,2}[-/.]\d{2}"
_DAY_FIRST, _MONTH_FIRST = "%d-%m-%Y", "%m-%d-%Y"


@dataclass(frozen=True)
class ColumnFormat:
    """Format of the cells of a column.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    decimal : str
        The decimal mark of numbers.
    thousands : str
        The thousands separator; spaces and apostrophes are always allowed.
    day_first : bool or None
        Whether the day comes first in dates such as 3/4/2024; None if there are none.
    """

    kind: Kind
    decimal: str = "."
    thousands: str = ""
    day_first: bool | None = None

    @property
    def description(self) -> str:
        """The format in words."""
        if self.kind == "number":
            marks = ["decimal comma"] * (self.decimal == ",")
            marks += [f"{self.thousands!r} between thousands"] * bool(self.thousands)
            return ", ".join(["number", *marks])
        if self.kind == "date":
            order = {True: ", day first", False: ", month first", None: ""}
            return f"date{order[self.day_first]}"
        return self.kind

    def to_json(self) -> dict[str, Any]:
        """Return it in terms of JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any, place: str) -> ColumnFormat:
        """Return the format from the result of `to_json`.

        Raises
        ------
        TypeError, ValueError
            For anything else.
        """
        if not isinstance(values, dict) or set(values) != set(cls.__dataclass_fields__):
            raise TypeError(f"{place}: expected the format of a column, found {values!r:.80}")
        require_known(f"{place}.kind", values["kind"], KINDS)
        for name, known in (("decimal", (".", ",")), ("thousands", ("", ",", "."))):
            require_known(f"{place}.{name}", values[name], known)
        if not isinstance(values["day_first"], bool | None):
            raise TypeError(f"{place}.day_first: expected true, false or null")
        return cls(**values)


class ReadColumn(NamedTuple):
    """The values of a column.

    Attributes
    ----------
    values : polars.Series
        Float64, Boolean, Datetime or String; null for empty cells.
    odd : polars.Series
        Booleans: the cells that could not be converted.
    """

    values: pl.Series
    odd: pl.Series


def prefers_comma(frame: pl.DataFrame) -> bool:
    """Tell whether the numbers in a table of text have decimal commas."""
    import polars as pl

    commas = points = 0
    first = frame.head(min(1000, max(10, _LOOKED_AT // max(1, frame.width))))
    for start in range(0, frame.width, COLUMNS_AT_ONCE):
        places = range(start, min(start + COLUMNS_AT_ONCE, frame.width))
        columns = [first.to_series(place) for place in places]
        texts = [column for column in columns if column.dtype == pl.String]
        if texts:
            cells = pl.concat(texts).str.strip_chars()
            commas += int(cells.str.contains(r"^[-+]?[\d.]*,(\d{1,2}|\d{4,})%?$").sum() or 0)
            points += int(cells.str.contains(r"^[-+]?[\d,]*\.(\d{1,2}|\d{4,})%?$").sum() or 0)
    return commas > points


def find_format(
    column: pl.Series, *, comma: bool, kind: Kind | None = None, day_first: bool = True
) -> ColumnFormat:
    """Detect the format of a column's cells.

    Parameters
    ----------
    column : polars.Series
    comma : bool
        Whether decimal commas are more likely.
    kind : str, optional
        Kind of the column, if the user sets it.
    day_first : bool
        The order of ambiguous dates.
    """
    import polars as pl

    if column.dtype != pl.String:
        return ColumnFormat(kind or _kind_of_type(column))
    cells = _stripped(column).drop_nulls().unique()
    known = cells.filter(~cells.str.contains(_MISSING))
    if kind not in (None, "number") or not len(known):
        return ColumnFormat(kind or "text")
    whole = kind is None
    if whole and _truths(known) is not None:
        return ColumnFormat("boolean")
    found = _number_format(known, comma=comma)
    if found is not None and not (whole and known.str.contains(_CODE).any()):
        return found
    if kind == "number":
        return ColumnFormat("number", "," if comma else ".")
    orders = (day_first, not day_first)
    shares = {order: _share(_dates(known, order).is_not_null()) for order in orders}
    order = max(orders, key=shares.__getitem__)
    if shares[order] < _SHARE:
        return ColumnFormat("text")
    has_order = known.str.contains(_NUMBERED_MONTH).any()
    return ColumnFormat("date", day_first=order if has_order else None)


def reads_either_way(column: pl.Series, format: ColumnFormat) -> bool:
    """Tell whether dates are also valid, but different, with day and month swapped."""
    if format.day_first is None:
        return False
    cells = _stripped(column).drop_nulls().unique()
    one, other = (_dates(cells, order) for order in (True, False))
    return bool((one.is_null() == other.is_null()).all() and (one != other).any())


def looks_missing(column: pl.Series) -> list[str]:
    """Return the cells of a text column that other programs use for a missing value."""
    cells = _stripped(column).drop_nulls().unique()
    return sorted(cells.filter(cells.str.contains(_MISSING_TEXT)).to_list())


def _share(flags: pl.Series) -> float:
    return int(flags.sum() or 0) / max(len(flags), 1)


def read_column(column: pl.Series, format: ColumnFormat) -> ReadColumn:
    """Convert the cells of a column to values.

    If all numbers have another common format than `format`, that format is used: another program
    may have written the table.

    Parameters
    ----------
    column : polars.Series
    format : ColumnFormat
    """
    import polars as pl

    if column.dtype != pl.String:
        values = _converted(column, format.kind)
        return ReadColumn(values, column.is_not_null() & values.is_null())
    cells = _stripped(column)
    if format.kind == "text":
        return ReadColumn(cells, cells.is_null() & False)
    stands = cells.is_not_null() & ~cells.str.contains(_MISSING)
    if format.kind == "number":
        format = _as_written(cells.filter(stands.fill_null(value=False)), format)
        values = _numbers(cells, format)
    elif format.kind == "date":
        values = _dates(cells, format.day_first is not False)
    else:
        lower = cells.str.to_lowercase()
        true = lower.is_in([*_TRUTHS, "1", "1.0"])
        values = pl.select(
            pl.when(true | lower.is_in([*_TRUTHS.values(), "0", "0.0"])).then(true)
        ).to_series()
    return ReadColumn(values, (stands & values.is_null()).fill_null(value=False))


def without_marks(frame: pl.DataFrame, marks: Sequence[str]) -> pl.DataFrame:
    """Replace cells that mean a missing value by null.

    Parameters
    ----------
    frame : polars.DataFrame
    marks : sequence of str
        Texts; they also match numbers of the same value.
    """
    import polars as pl

    if not marks:
        return frame

    def missing(column: pl.Series) -> pl.Series:
        if column.dtype.is_numeric():
            return column.is_in(pl.Series(marks).cast(pl.Float64, strict=False).drop_nulls())
        text = column.cast(pl.String) if column.dtype != pl.String else column.str.strip_chars()
        return text.is_in(list(marks))

    text = (pl.String, pl.Categorical)
    plain = [one for one in frame if one.dtype.is_numeric() or one.dtype in text]
    return frame.with_columns(one.set(missing(one), None) for one in plain)


def _stripped(column: pl.Series) -> pl.Series:
    cells: pl.Series = column.str.strip_chars()
    return cells.set(cells == "", None)


def _kind_of_type(column: pl.Series) -> Kind:
    import polars as pl

    dtype = column.dtype
    if dtype.is_numeric() or dtype in (pl.Duration, pl.Time, pl.Null):
        return "number"
    if dtype in (pl.Date, pl.Datetime):
        return "date"
    if dtype == pl.Boolean:
        return "boolean"
    if dtype in (pl.Categorical, pl.Enum):
        return "text"
    raise TypeError(f"column {column.name!r}: expected numbers, text or dates, found {dtype}")


def _converted(column: pl.Series, kind: Kind) -> pl.Series:
    """Convert a typed column to another kind."""
    import polars as pl

    dtype = column.dtype
    converted: pl.Series = column
    if kind == "text":
        if dtype.is_float() and (column.drop_nulls() % 1 == 0).all():
            converted = column.cast(pl.Int64, strict=False)
        converted = converted.cast(pl.String)
    elif kind == "date":
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            converted = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        converted = converted.cast(pl.Datetime("us"), strict=False)
    elif kind == "boolean":
        if dtype.is_numeric():
            converted = column.set(~column.is_in([0, 1]), None)
        converted = converted.cast(pl.Boolean, strict=False)
    else:
        if dtype == pl.Duration:
            converted = column.dt.total_microseconds()
        elif dtype == pl.Time:
            converted = column.cast(pl.Int64)
        converted = converted.cast(pl.Float64, strict=False)
        converted = converted.set(converted.is_nan(), None)
    return converted


def _truths(known: pl.Series) -> tuple[str, str] | None:
    words = set(known.str.to_lowercase().to_list()) if len(known) <= 8 else set()
    return next((pair for pair in _TRUTHS.items() if words == set(pair)), None)


# Numbers


def _formats(*, comma: bool) -> list[ColumnFormat]:
    point = [ColumnFormat("number"), ColumnFormat("number", ".", ",")]
    other = [ColumnFormat("number", ","), ColumnFormat("number", ",", ".")]
    return [*other, *point] if comma else [*point, *other]


def _number_format(known: pl.Series, *, comma: bool) -> ColumnFormat | None:
    """Return the first format that fits all numbers, else the one that fits most."""
    best, best_share = None, _SHARE
    for format in _formats(comma=comma):
        share = _share(known.str.contains(_pattern(format)))
        if share == 1.0:
            return format
        if share > best_share:
            best, best_share = format, share
    return best


def _as_written(known: pl.Series, format: ColumnFormat) -> ColumnFormat:
    if known.str.contains(_pattern(format)).all():
        return format
    for other in _formats(comma=format.decimal == ","):
        if known.str.contains(_pattern(other)).all():
            return other
    return format


def _pattern(format: ColumnFormat) -> str:
    mark = rf"\{format.decimal}"
    gap = rf"\{format.thousands}" if format.thousands else _GAP
    whole = rf"(?:\d{{1,3}}(?:{gap}\d{{3}})+|\d+)"
    number = rf"(?:{whole}(?:{mark}\d*)?|{mark}\d+)(?:[eE][-+]?\d+)?"
    signed = rf"[-+\u2212\u2013]?\s*{_CURRENCY}?\s*[-+]?{number}\s*(?:%|{_CURRENCY})?"
    return rf"^(?:{signed}|\({_CURRENCY}?{number}\))$"


def _numbers(cells: pl.Series, format: ColumnFormat) -> pl.Series:
    import polars as pl

    plain: pl.Series = cells.set(~cells.str.contains(_pattern(format)), None)
    plain = plain.str.replace(r"^\((.*)\)$", "-$1").str.replace(r"^[\u2212\u2013]", "-")
    plain = plain.str.replace_all(rf"{_CURRENCY}|%|\s|{_GAP}", "")
    if format.thousands:
        plain = plain.str.replace_all(format.thousands, "", literal=True)
    if format.decimal == ",":
        plain = plain.str.replace(",", ".", literal=True)
    plain = plain.str.strip_prefix("+").cast(pl.Float64, strict=False)
    return plain.set(plain.is_infinite(), None)


# Dates


def _dates(cells: pl.Series, day_first: bool) -> pl.Series:
    """Return the dates among cells, in any format; null for other cells."""
    import polars as pl

    order = _DAY_FIRST if day_first else _MONTH_FIRST
    shapes = (
        (r"(?P<a>\d{4})[-/.](?P<b>\d{1,2})[-/.](?P<c>\d{1,2})", "%Y-%m-%d"),
        (r"(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<c>\d{4})", order),
        (r"(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<c>\d{2})", order.replace("Y", "y")),
        (r"(?P<a>\d{1,2})\.?[-/ ](?P<b>[A-Za-z]{3})[a-z]*\.?[-/, ]+(?P<c>\d{4})", "%d-%b-%Y"),
        (r"(?P<a>[A-Za-z]{3})[a-z]*\.? (?P<b>\d{1,2}),? (?P<c>\d{4})", "%b-%d-%Y"),
    )
    found = [_of_shape(cells, "^" + shape + _TIME, format) for shape, format in shapes]
    dates: pl.Series = pl.select(pl.coalesce(*found)).to_series()
    return dates


def _of_shape(cells: pl.Series, pattern: str, format: str) -> pl.Series:
    import polars as pl

    parts = cells.str.extract_groups(pattern).struct.unnest()
    days = (parts["a"] + "-" + parts["b"] + "-" + parts["c"]).str.to_date(format, strict=False)

    def number(name: str) -> pl.Series:
        numbers: pl.Series = parts[name].cast(pl.Float64, strict=False).fill_null(0.0)
        return numbers

    half = parts["half"].str.to_lowercase().str.head(1)
    hours = number("h")
    noon = (half == "p").fill_null(value=False).cast(pl.Float64) * 12
    hours = hours.set(half.is_not_null() & (hours == 12), 0.0) + noon
    zone = number("zone") + number("zone_m") / 60 * number("zone").sign()
    micros = ((hours - zone) * 3600 + number("m") * 60 + number("s")) * 1e6
    dates: pl.Series = days.cast(pl.Datetime("us")) + micros.round().cast(pl.Int64).cast(
        pl.Duration("us")
    )
    return dates
