"""What a network is told by its user: each setting is checked whenever it is set."""

from __future__ import annotations

import math
import numbers
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.network import Rule

# As many as fit into a C int; the compiled backend starts no more than 255.
MOST_THREADS = 2**31 - 1

_DTYPES: tuple[np.dtype[Any], ...] = (np.dtype(np.float32), np.dtype(np.float64))


class TrainingSettings:
    """The settings that may be changed between two trainings."""

    __slots__ = ("_batch_size", "_epochs", "_lr", "_shuffle", "_verbose")

    @property
    def lr(self) -> float:
        """The learning rate, above 0."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr: float = positive("learning_rate", value)

    @property
    def epochs(self) -> int:
        """Passes over the data of one `fit`."""
        return self._epochs

    @epochs.setter
    def epochs(self, value: int) -> None:
        self._epochs: int = whole("epochs", value, 0)

    @property
    def batch_size(self) -> int:
        """Samples of one step."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        self._batch_size: int = whole("batch_size", value, 1)

    @property
    def shuffle(self) -> bool:
        """Whether every epoch sees the samples in another order."""
        return self._shuffle

    @shuffle.setter
    def shuffle(self, value: bool) -> None:
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"shuffle: expected True or False, found {value!r}")
        self._shuffle: bool = bool(value)

    @property
    def verbose(self) -> int:
        """1 to print a line per epoch, 0 for silence."""
        return self._verbose

    @verbose.setter
    def verbose(self, value: int) -> None:
        self._verbose: int = whole("verbose", int(value) if isinstance(value, bool) else value, 0)


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


def parameters_dtype(dtype: npt.DTypeLike | None, rule: Rule) -> np.dtype[Any]:
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
