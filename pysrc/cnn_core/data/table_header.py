"""Detect whether the first row of a table holds names or values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from .checks import DataError

__all__ = ["has_header"]

Cells = Sequence[str | None]

_NUMBER = re.compile(
    r"[-+(]?\s*[$€£¥₹]?\s*[-+]?(\d[\d.,' \u00a0]*|[.,]\d+)([eE][-+]?\d+)?\s*[%)$€£¥₹]?"
)
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?")
_MISSING = re.compile(r"n/?a|#n/?a|nan|null|none|\?+|-+|\.+", re.IGNORECASE)


def has_header(path: str, rows: Sequence[Cells]) -> bool:
    """Tell whether the first of some rows holds names.

    It does if it has text over a column of numbers or dates, or if all cells are text. It does not
    if it has numbers over numbers, unless they look like years as column names.

    Parameters
    ----------
    path : str
        For the message.
    rows : sequence of cells
        The first rows, None for empty cells.

    Raises
    ------
    DataError
        If this is not clear.
    """
    first, body = rows[0], rows[1:]
    if not body:
        return not any(_kind(cell) in ("number", "date") for cell in first)
    names = values = 0
    for number, cell in enumerate(first):
        below = {_kind(row[number]) for row in body} - {"empty"}
        if len(below) == 1 and below <= {"number", "date"}:
            names += _kind(cell) == "text"
            values += _kind(cell) in below
    if names or not values:
        return True
    # The name of a class occurs again below, the name of a column seldom does.
    titles = [
        cell
        for number, cell in enumerate(first)
        if _kind(cell) == "text" and cell not in {row[number] for row in body}
    ]
    if not _look_like_names(first, body, 2 if titles else 3):
        return False
    if titles:
        return True
    found = ", ".join(str(cell) for cell in first[:3])
    raise DataError(
        path,
        "names or values in the first row",
        f"the numbers {found}, ..., which may be either",
        "say so: header=True or header=False (--header, --no-header)",
    )


def _kind(cell: str | None) -> str:
    text = (cell or "").strip()
    if not text or _MISSING.fullmatch(text):
        return "empty"
    if _DATE.fullmatch(text):
        return "date"
    return "number" if _NUMBER.fullmatch(text) else "text"


def _look_like_names(first: Cells, body: Sequence[Cells], least: int) -> bool:
    """Tell whether there are whole numbers in even steps, such as years, unlike those below."""
    places = [at for at, cell in enumerate(first) if _kind(cell) == "number"]
    numbers = [_value(first[at]) for at in places]
    step = _step(numbers)
    if not step or len(numbers) < least:
        return False
    if numbers[0] == 0 and step == 1:
        return True
    if _step([_value(body[0][at]) for at in places]) == step:
        return False
    for at, number in zip(places, numbers, strict=True):
        below = [_value(row[at]) for row in body if _kind(row[at]) == "number"]
        if below and min(below) <= number <= max(below):
            return False
    return True


def _step(numbers: list[float]) -> float:
    """Return the constant difference between consecutive whole numbers; 0 if it varies."""
    steps = {after - before for before, after in pairwise(numbers)}
    is_whole = all(number.is_integer() for number in numbers)
    return steps.pop() if is_whole and len(steps) == 1 else 0.0


def _value(cell: str | None) -> float:
    try:
        return float((cell or "").replace(",", "."))
    except ValueError:
        return float("nan")
