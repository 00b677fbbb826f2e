"""The cells of a table: which are numbers, and what to do about those that are none."""

from __future__ import annotations

import math
import re

__all__ = ["is_missing", "is_number", "number", "remedy", "shown"]

# A cell can be long, a number with its unit is not.
_LONGEST = 400
_SPACES = r"\s\u00a0\u202f"
_DIGITS = rf"\d[\d.,'{_SPACES}]*"
_CURRENCIES = r"[$€£¥₹]"
_MISSING = r"|n/?a|#n/a|nan|null|none|nil|missing|unknown|\?+|-+|\.+|\*+"
# Usual spellings of numbers that are refused, and the right ones. The first match counts.
_REMEDIES = tuple(
    (re.compile(pattern, re.IGNORECASE), text)
    for pattern, text in (
        (_MISSING, "a missing value: fill it in, or leave its row or its column out"),
        (
            r"[-+]?(inf|infinity|\d[\d.]*e[+-]?\d+|\d{300,}[\d.]*)",
            "no finite number of 64 bits: correct it, or leave its row out",
        ),
        (r"true|false|yes|no|t|f|y|n", "write 1 for true and 0 for false"),
        (
            rf"[-+]?{_CURRENCIES}\s*[-+]?{_DIGITS}|[-+]?{_DIGITS}{_CURRENCIES}",
            "write the amount as a number alone, without the sign of the currency",
        ),
        (rf"[-+]?{_DIGITS}%", "write the share as a number alone: 0.45 or 45 for 45%"),
        (
            r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T\s]+\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(:\d{2}.*)?",
            "write a date or time as numbers: days since a first day, say, or a column each for "
            "year, month and day",
        ),
        (r"\(\d[\d.,]*\)", "write a negative number with a minus: -5 for (5)"),
        (r"[\u2212\u2013\u2014]\s*\d[\d.,]*", "write a negative number with a plain minus, -"),
        (
            rf"[-+]?\d+(?:[,'{_SPACES}]\d{{3}})+(?:\.\d*)?",
            "write the number without separators of thousands, 1234.5 for 1,234.5",
        ),
        (r"[-+]?\d*,\d+", "write the number with a point, 3.5 for 3,5"),
        (
            rf"[-+]?{_DIGITS}",
            "write the number with one point and without separators of thousands, 1234.5",
        ),
        (r"[-+]?\d+(_\d+)+(\.\d*)?", "write the number without underscores"),
        (r"0x[0-9a-f]+", "write the number in decimal"),
        (rf"[-+]?{_DIGITS}[^\W\d_]{{1,10}}[²³]?", "write the number alone, without its unit"),
    )
)


def number(cell: str) -> float:
    """Return the value of a finite decimal number; Python's underscores are not part of one.

    Raises
    ------
    ValueError
        If the cell is none.
    """
    value = float(cell)
    if "_" in cell or not math.isfinite(value):
        raise ValueError(cell)
    return value


def is_number(cell: str) -> bool:
    """Tell whether a cell is a finite decimal number."""
    try:
        number(cell)
    except ValueError:
        return False
    return True


def is_missing(cell: str) -> bool:
    """Tell whether a cell stands for a missing value."""
    text = cell.strip()
    return len(text) < _LONGEST and re.fullmatch(_MISSING, text, re.IGNORECASE) is not None


def remedy(cell: str) -> str:
    """Return what to do about a cell that should be a number, '' if it is a text."""
    text = cell.strip()
    if len(text) > _LONGEST:
        return ""
    return next((advice for pattern, advice in _REMEDIES if pattern.fullmatch(text)), "")


def shown(cell: str) -> str:
    """Return the text of a cell for a message."""
    if not cell.strip():
        return "an empty cell"
    return repr(cell) if len(cell) <= 40 else f"{cell[:40]!r}..."
