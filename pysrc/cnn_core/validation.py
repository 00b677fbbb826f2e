"""Checks of single values: numbers, flags, names, text.

Each returns what it was given in the type that was meant, or raises a ``TypeError`` or a
``ValueError`` that names the argument, what was expected and what was found.
"""

from __future__ import annotations

import math
import numbers
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

_DTYPES: tuple[np.dtype[Any], ...] = (np.dtype(np.float32), np.dtype(np.float64))


def whole(name: str, value: Any, least: int, most: int = sys.maxsize) -> int:
    """Return a whole number from `least` to `most` as an int.

    Raises
    ------
    TypeError
        If `value` is no whole number; True and False are none.
    ValueError
        If it is outside the limits.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: expected a whole number, found {value!r}")
    found = int(value)
    if not least <= found <= most:
        limits = f"at least {least}" if found < least else f"at most {most}"
        raise ValueError(f"{name}: expected {limits}, found {found}")
    return found


def number(name: str, value: Any) -> float:
    """Return a finite number as a float.

    Raises
    ------
    TypeError
        If `value` is no real number; True and False are none.
    ValueError
        If it is not finite.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, found {type(value).__name__}")
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"{name}: expected a finite number, found {value}")
    return found


def positive(name: str, value: Any) -> float:
    """Return a finite number above 0 as a float.

    Raises
    ------
    TypeError
        As `number`.
    ValueError
        If it is not above 0 or not finite.
    """
    found = number(name, value)
    if found <= 0:
        raise ValueError(f"{name}: expected a finite number above 0, found {value}")
    return found


def scale(name: str, value: Any, dtype: np.dtype[Any]) -> float:
    """Return a factor as a float.

    Raises
    ------
    TypeError
        As `number`.
    ValueError
        If it is 0 or not finite, also after rounding to `dtype`.
    """
    factor = number(name, value)
    with np.errstate(over="ignore", under="ignore"):
        rounded = dtype.type(factor)
    if rounded == 0 or not np.isfinite(rounded):
        raise ValueError(f"{name}: expected a number that is not 0 in {dtype}, found {value}")
    return factor


def parameters_dtype(dtype: npt.DTypeLike | None, rule: str) -> np.dtype[Any]:
    """Return the dtype of a network's parameters; None stands for the one that suits the rule.

    Raises
    ------
    ValueError
        For any other than float32 and float64.
    """
    if dtype is None:
        return _DTYPES[0] if rule == "exact" else _DTYPES[1]
    try:
        return _DTYPES[_DTYPES.index(np.dtype(dtype))]
    except (TypeError, ValueError):
        raise ValueError(f"dtype: expected float32 or float64, found {dtype!r}") from None


def flag(name: str, value: Any) -> bool:
    """Return True or False.

    Raises
    ------
    TypeError
        For anything else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, found {value!r:.80}")
    return value


def text(name: str, value: Any) -> str:
    """Return a text.

    Raises
    ------
    TypeError
        For anything else.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected text, found {value!r:.80}")
    return value


def measured(name: str, value: Any, *, optional: bool = False) -> Any:
    """Return a number as a float; what was measured may be infinite or NaN, or not there.

    Raises
    ------
    TypeError
        For anything else.
    """
    if value is None and optional:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, found {value!r:.80}")
    return float(value)


def require_real(name: str, value: Any) -> None:
    """Refuse what is not a real number, with a ``TypeError``."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, found {value!r}")


def require_known(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a name that is not among those known, with a ``ValueError``."""
    if value not in known:
        raise ValueError(f"{name}: expected {', '.join(map(repr, known))}, found {value!r}")
