"""Checks of single values: numbers, flags, names, text.

Each returns the value in its proper type. It raises a ``TypeError`` for a value of the wrong type
and a ``ValueError`` for one outside its range. Errors name the argument, what was expected and what
was found. True and False are not numbers.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

_DTYPES: tuple[np.dtype[Any], ...] = (np.dtype(np.float32), np.dtype(np.float64))


def shown(value: Any) -> str:
    """Return the text of a value for an error message, at most one line."""
    if isinstance(value, int) and value.bit_length() > 128:
        # Python refuses to print very large numbers.
        return f"a whole number of {value.bit_length()} bits"
    try:
        text = " ".join(repr(value).split())
    except ValueError:
        # A container with such a number.
        return f"a {type(value).__name__} of very large numbers"
    return text if len(text) <= 80 else f"{text[:80]}..."


# Numbers


def whole(name: str, value: Any, least: int, most: int = sys.maxsize) -> int:
    """Return a whole number from `least` to `most` as an int.

    Raises
    ------
    TypeError
        If `value` is no whole number.
    ValueError
        If it is outside the limits.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: expected a whole number, found {shown(value)}")
    found = int(value)
    if not least <= found <= most:
        limits = f"at least {least}" if found < least else f"at most {most}"
        raise ValueError(f"{name}: expected {limits}, found {shown(found)}")
    return found


def number(name: str, value: Any) -> float:
    """Return a finite number as a float.

    Raises
    ------
    TypeError
        If `value` is no real number.
    ValueError
        If it is not finite, or too large for a float.
    """
    found = real(name, value)
    if not math.isfinite(found):
        raise ValueError(f"{name}: expected a finite number, found {shown(value)}")
    return found


def is_number(value: Any) -> bool:
    """Tell whether a value is a real number; True and False are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def real(name: str, value: Any) -> float:
    """Return a number as a float, infinite if it is too large for one; it may be NaN.

    Raises
    ------
    TypeError
        If `value` is no real number.
    """
    if not is_number(value):
        kind = "" if value is None else f"{type(value).__name__} "
        raise TypeError(f"{name}: expected a number, found {kind}{shown(value)}")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def positive(name: str, value: Any) -> float:
    """Return a finite number above 0 as a float.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    found = real(name, value)
    if not 0 < found < math.inf:
        raise ValueError(f"{name}: expected a finite number above 0, found {shown(value)}")
    return found


def above_0(name: str, value: Any) -> float:
    """Return a number above 0 and below infinity as a float; like `positive`, with another message.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    return between(name, value, 0, math.inf)


def at_least_0(name: str, value: Any) -> float:
    """Return a finite number of at least 0 as a float.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    found = real(name, value)
    if not 0 <= found < math.inf:
        finite = "" if math.isfinite(found) else "a finite number of "
        raise ValueError(f"{name}: expected {finite}at least 0, found {shown(value)}")
    return found


def share(name: str, value: Any) -> float:
    """Return a number from 0 to below 1 as a float.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    found = real(name, value)
    if not 0 <= found < 1:
        raise ValueError(f"{name}: expected 0 up to below 1, found {shown(value)}")
    return found


def set_checked(description: Any, check: Callable[[str, Any], Any], *names: str) -> None:
    """Check some fields of a frozen dataclass; convert numbers of other types to Python's."""
    for name in names:
        value = getattr(description, name)
        found = check(name, value)
        # An int is not converted to float, since checkpoints compare the text of settings.
        if type(value) not in (int, float):
            object.__setattr__(description, name, found)


def between(name: str, value: Any, above: float, below: float) -> float:
    """Return a number above `above` and below `below` as a float.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    found = real(name, value)
    if not above < found < below:
        limits = f"above {above:g}"
        limits = f"a number {limits}" if below == math.inf else f"{limits} and below {below:g}"
        raise ValueError(f"{name}: expected {limits}, found {shown(value)}")
    return found


def scale(name: str, value: Any, dtype: np.dtype[Any]) -> float:
    """Return a factor as a float.

    Raises
    ------
    TypeError
        If `value` is no real number.
    ValueError
        If it is 0 or not finite, before or after rounding to `dtype`.
    """
    factor = number(name, value)
    if factor == 0:
        raise ValueError(f"{name}: expected a number that is not 0 in {dtype}, found {value}")
    require_in_dtype(name, factor, dtype)
    return factor


def require_in_dtype(name: str, value: float, dtype: np.dtype[Any]) -> None:
    """Refuse a number that rounding to `dtype` would make 0 or infinite.

    Raises
    ------
    ValueError
        For such a number.
    """
    with np.errstate(over="ignore", under="ignore"):
        rounded = dtype.type(value)
    if value and not rounded:
        raise ValueError(f"{name}: expected a number that is not 0 in {dtype}, found {value!r}")
    if math.isfinite(value) and not np.isfinite(rounded):
        raise ValueError(f"{name}: expected a number that is finite in {dtype}, found {value!r}")


def require_settings_in_dtype(settings: Any, dtype: np.dtype[Any]) -> None:
    """Refuse a description with a number that becomes 0 or infinite in `dtype`.

    Parameters
    ----------
    settings : dataclass, or any other object
        Other objects hold no numbers.
    dtype : numpy.dtype

    Raises
    ------
    ValueError
        If there is one; see `require_in_dtype`.
    """
    if dataclasses.is_dataclass(settings):
        for one in dataclasses.fields(settings):
            value = getattr(settings, one.name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                require_in_dtype(one.name, value, dtype)


def measured(name: str, value: Any, *, optional: bool = False) -> Any:
    """Return a measured number as a float; it may be infinite, NaN or missing.

    Raises
    ------
    TypeError
        For anything else.
    """
    return None if value is None and optional else real(name, value)


# Anything else


def parameters_dtype(dtype: npt.DTypeLike | None, rule: str) -> np.dtype[Any]:
    """Return the dtype of a network's parameters; None means the default of the rule.

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
        raise ValueError(f"dtype: expected float32 or float64, found {shown(dtype)}") from None


def flag(name: str, value: Any) -> bool:
    """Return True or False.

    Raises
    ------
    TypeError
        For anything else.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected True or False, found {shown(value)}")
    return bool(value)


def text(name: str, value: Any) -> str:
    """Return a text.

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        For a lone surrogate, which is not valid Unicode.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected text, found {shown(value)}")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{name}: expected text in Unicode, found {shown(value)}")
    return value


def require_known(name: str, value: Any, known: Iterable[str]) -> None:
    """Refuse an unknown name.

    Raises
    ------
    ValueError
        For any other value.
    """
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name}: expected {', '.join(map(repr, known))}, found {shown(value)}")
