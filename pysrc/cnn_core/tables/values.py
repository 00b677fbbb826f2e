"""Detect the kind of a column, and convert it to numbers, categories or dates.

Missing values are NaN in numbers, NaT in dates, and -1 in codes of categories.
"""

from __future__ import annotations

import datetime
import decimal
import math
import numbers
import re
from collections.abc import Callable, Sized
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.tables.frames import Column
from cnn_core.validation import shown

Kind: TypeAlias = Literal["number", "boolean", "category", "date"]
KINDS: tuple[Kind, ...] = ("number", "boolean", "category", "date")
Numbers: TypeAlias = npt.NDArray[np.float64]
Dates: TypeAlias = npt.NDArray[np.datetime64]

DATE = np.dtype("datetime64[us]")
_NO_DATE = np.datetime64("NaT", "us")
_SECOND = np.timedelta64(1, "s")
# Types of pandas, recognized by name so that pandas is not needed.
_MISSING_TYPES = frozenset({"NoneType", "NAType", "NaTType"})
_MISSING_TEXTS = frozenset({"", "nan", "NaN", "<NA>", "NaT"})
# Texts for a missing number.
_NO_NUMBER = _MISSING_TEXTS | {"na", "n/a", "null", "none", "?", "-", "."}
_ZERO_BEFORE_DIGITS = re.compile(r"[+-]?0\d")
# The first group is what a clock there shows. Behind a time may stand digits below the microsecond,
# and how far it is from UTC.
_ISO_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d([T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?)"
    r"(?(2)(?:(?<=\.\d{6})\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)?|Z?)"
)
_TRUTHS = {"true": 1.0, "false": 0.0}


class Coded(NamedTuple):
    """Categories.

    Attributes
    ----------
    codes : (n,) array of int
        The level index of each row; -1 if its value is missing.
    levels : list of str
    """

    codes: npt.NDArray[np.intp]
    levels: list[str]


# Kinds


def kind_of(column: Column, place: str) -> Kind:
    """Return the kind of a column.

    Text that represents numbers, or dates in ISO 8601, is treated as such, also among numbers or
    dates. Digits with a leading zero, such as postal codes, are categories.

    Raises
    ------
    TypeError
        For values that are none of these, such as lists and dicts.
    """
    kind = column.dtype.kind
    if kind in "iuf" or kind == "m":
        return "number"
    if kind == "b":
        return "boolean"
    if kind == "M":
        return "date"
    _require_values(column, place)
    family = _family_of(column)
    if family != "text":
        return family
    levels = coded(column, place).levels
    if levels and not any(map(_ZERO_BEFORE_DIGITS.match, levels)):
        if all(text.lower() in _TRUTHS for text in levels):
            return "boolean"
        known = [text for text in levels if text.lower() not in _NO_NUMBER]
        if known and all(_number_in(text) is not None for text in known):
            return "number"
    if levels and all(_date_in(text) is not None for text in levels):
        return "date"
    return "category"


_TEXT_TYPES = (str, bytes)
_DATE_TYPES = (datetime.date, np.datetime64)
_SPAN_TYPES = (datetime.timedelta, np.timedelta64, datetime.time)
_NUMBER_TYPES = (numbers.Real, decimal.Decimal)


def _family_of(column: Column) -> Literal["number", "boolean", "date", "category", "text"]:
    """Return the kind of objects by their types; ``"text"`` if their text decides."""
    if column.dtype.kind in "UST":
        return "text"
    kinds = {kind for kind in set(map(type, column)) if kind.__name__ not in _MISSING_TYPES}
    if len(kinds) > 1:
        # Missing values may have another type, such as NaN among text.
        kinds = {type(value) for value in column if not is_missing(value)}
    if any(issubclass(kind, _TEXT_TYPES) for kind in kinds):
        others = (*_NUMBER_TYPES, np.bool_, *_DATE_TYPES)
        return (
            "text"
            if all(issubclass(kind, (*_TEXT_TYPES, *others)) for kind in kinds)
            else "category"
        )
    if kinds and all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return "boolean"
    if all(issubclass(kind, (*_NUMBER_TYPES, np.bool_, *_SPAN_TYPES)) for kind in kinds):
        return "number"
    if all(issubclass(kind, _DATE_TYPES) or kind.__name__ == "Period" for kind in kinds):
        return "date"
    return "category"


def _require_values(column: Column, place: str) -> None:
    """Refuse containers in the cells of a table, and complex numbers."""
    if column.dtype.kind == "c":
        raise ValueError(f"{place}: Complex data not supported; pass its parts as columns")
    if column.dtype.kind == "V":
        raise TypeError(f"{place}: expected one value in each row, found {column.dtype}")
    if column.dtype.kind != "O":
        return
    for kind in set(map(type, column)):
        if issubclass(kind, complex):
            raise ValueError(f"{place}: Complex data not supported; pass its parts as columns")
        if issubclass(kind, Sized) and not issubclass(kind, _TEXT_TYPES):
            row = next(row for row, value in enumerate(column) if type(value) is kind)
            raise TypeError(
                f"{place}, row {row}: expected a number, text or a date, found "
                f"{shown(column[row])}; the argument must be a string that stands for a level or "
                "a number, or a real number: pass its parts as columns"
            )


# Values


def is_missing(value: Any) -> bool:
    """Tell whether an object is a missing value; empty text is one."""
    if isinstance(value, str):
        return value.strip() in _MISSING_TEXTS
    if type(value).__name__ in _MISSING_TYPES:
        return True
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    if isinstance(value, decimal.Decimal):
        return value.is_nan()
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def as_numbers(column: Column, place: str) -> Numbers:
    """Return the values of a column as numbers; durations in seconds.

    Raises
    ------
    ValueError
        For text that is not a number.
    TypeError
        For anything else that is none.
    """
    kind = column.dtype.kind
    if kind in "iufb":
        return column.astype(np.float64, copy=False)
    if kind == "m":
        return _seconds_in(column)
    if kind == "M":
        return _seconds(column)
    _require_values(column, place)
    found: Numbers = _each(column, place, _as_number, "a number", np.float64, np.nan)
    return found


def as_dates(column: Column, place: str) -> Dates:
    """Return the values of a column as dates, to the microsecond, without time zones.

    Raises
    ------
    ValueError
        For text that is not a date.
    TypeError
        For anything else that is none.
    """
    if column.dtype.kind == "M":
        return column.astype(DATE)
    _require_values(column, place)
    objects = column.astype(object) if column.dtype.kind != "O" else column
    found: Dates = _each(objects, place, _as_date, "a date", DATE, _NO_DATE)
    return found


def _each(
    column: Column,
    place: str,
    convert: Callable[[Any], Any],
    expected: str,
    dtype: Any,
    missing: Any,
) -> Any:
    """Convert the values of a column one by one; equal values only once."""
    found = np.full(len(column), missing, dtype)
    known: dict[Any, Any] = {}
    for row, value in enumerate(column.tolist() if column.dtype.kind != "O" else column):
        try:
            if value not in known:
                known[value] = convert(value)
        except (TypeError, ValueError):
            # Not hashable, or not comparable, such as NA of pandas.
            known[value] = None
        result = known[value]
        if result is not None:
            found[row] = result
        elif not is_missing(value) and not _is_no_number(value):
            raise _refused(value, f"{place}, row {row}", expected)
    return found


def _is_no_number(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() in _NO_NUMBER


def _refused(value: Any, place: str, expected: str) -> TypeError | ValueError:
    kind = ValueError if isinstance(value, str | bytes) else TypeError
    return kind(
        f"{place}: expected {expected}, as the column had them when it was fitted or as "
        f"`numerical` says, found {shown(value)}; make it {expected} or None, or name the column "
        "in `categorical` and fit once more"
    )


def _as_number(value: Any) -> float | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return _number_in(value)
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, np.timedelta64):
        return float(_seconds_in(np.array([value]))[0])
    if isinstance(value, datetime.time):
        return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
    if isinstance(value, _DATE_TYPES):
        date = _as_date(value)
        return None if date is None else float((date - np.datetime64(0, "us")) / _SECOND)
    if not isinstance(value, (*_NUMBER_TYPES, np.bool_)):
        return None
    try:
        return float(value)
    except OverflowError:
        # For example 10**400, or a fraction of such numbers.
        return -math.inf if str(value).startswith("-") else math.inf


def _number_in(text: str) -> float | None:
    """Return the number in a text, if it is one."""
    stripped = text.strip()
    if stripped.lower() in _TRUTHS:
        return _TRUTHS[stripped.lower()]
    try:
        return float(stripped)
    except ValueError:
        return None


def _as_date(value: Any) -> np.datetime64 | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return _date_in(value)
    if type(value).__name__ == "Period":
        value = value.to_timestamp()
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.replace(tzinfo=None)
    if hasattr(value, "to_datetime64"):
        value = value.to_datetime64()
    if isinstance(value, datetime.date | np.datetime64):
        return np.datetime64(value).astype(DATE)
    return None


def _date_in(text: str) -> np.datetime64 | None:
    found = _ISO_DATE.fullmatch(text.strip())
    if found is None:
        return None
    try:
        return np.datetime64(found[1], "us")
    except ValueError:
        # Such as the 30th of February.
        return None


def _seconds_in(spans: Column) -> Numbers:
    """Return spans of time in seconds, NaN for missing ones; years and months of mean length."""
    if np.datetime_data(spans.dtype)[0] in ("Y", "M"):
        spans = spans.astype("timedelta64[s]")
    seconds: Numbers = spans / _SECOND
    return seconds


def _seconds(dates: Column) -> Numbers:
    """Return seconds since 1970, NaN for missing ones."""
    seconds: Numbers = (dates.astype(DATE) - np.datetime64(0, "us")) / _SECOND
    return seconds


# Categories


def coded(column: Column, place: str) -> Coded:
    """Return the values of a column as categories, equal by their text: 1, 1.0 and "1" are one.

    Raises
    ------
    TypeError
        For cells that are lists or other containers.
    """
    if column.dtype.kind in "iufb":
        return _coded_numbers(column)
    _require_values(column, place)
    codes = np.full(len(column), -1, np.intp)
    of_text: dict[str, int] = {}
    of_value: dict[Any, int] = {}
    for row, value in enumerate(column.tolist() if column.dtype.kind != "O" else column):
        # True, 1 and 1.0 are equal keys.
        key = (type(value), value)
        code = of_value.get(key)
        if code is None:
            text = text_of(value)
            code = -1 if text is None else of_text.setdefault(text, len(of_text))
            of_value[key] = code
        codes[row] = code
    return Coded(codes, list(of_text))


def _coded_numbers(column: Column) -> Coded:
    values, codes = np.unique(column, return_inverse=True)
    texts = [text_of(value) for value in values.tolist()]
    levels = [text for text in texts if text is not None]
    # NaN is sorted last.
    codes = codes.astype(np.intp).reshape(len(column))
    codes[codes >= len(levels)] = -1
    return Coded(codes, levels)


def text_of(value: Any) -> str | None:
    """Return the text of a category; None for a missing value."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        # A lone surrogate, which a file cannot hold, becomes a question mark.
        return value.strip() if value.isascii() else value.strip().encode(errors="replace").decode()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_):
        return _text_of_number(value)
    return str(value)


def _text_of_number(value: Any) -> str:
    """Return the digits of a number; the same for 1 and 1.0."""
    if isinstance(value, numbers.Integral):
        return str(int(value))
    number = float(value)
    return str(int(number)) if number.is_integer() else str(number)
