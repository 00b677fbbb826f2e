"""Convert containers to arrays: lists, data frames, columns of any library.

No data frame library is imported: a container is recognized by its methods. An error names row and
column, and says what to do.
"""

from __future__ import annotations

import datetime
import decimal
import numbers
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "as_array",
    "column_names",
    "missing_in",
    "no_numbers",
    "place_of",
    "require_unmasked",
]

_NUMBERS = (numbers.Real, np.bool_, decimal.Decimal)
# The missing values of pandas, recognized by name so that pandas is not needed.
_MISSING = frozenset({"NAType", "NaTType"})
_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)


def require_unmasked(values: Any, name: str) -> None:
    """Refuse masked arrays, whose masked values would be used as valid ones.

    Raises
    ------
    TypeError
        For a masked array.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: expected an array without a mask, found a masked array; "
            f"fill it first: pass {name}.filled(value)"
        )


def as_array(values: Any, name: str) -> npt.NDArray[Any]:
    """Convert a container to an array, of numbers if all its values are numbers.

    Parameters
    ----------
    values : array-like
        Anything that NumPy can read: sequences, data frames and columns of pandas, polars and
        pyarrow, objects with ``__array__``. Not a sparse matrix.
    name : str
        Name of the argument, for errors.

    Returns
    -------
    array
        Of any dtype, layout and number of dimensions. Objects that are all real numbers (as a data
        frame of flags and floats has them) have become numbers; others stay objects.

    Raises
    ------
    TypeError
        For masked arrays, and for what is no array at all: a query that has not run yet, a
        generator, a dict.
    ValueError
        For rows of unequal length.
    """
    require_unmasked(values, name)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: expected rows of equal length ({error})") from None
    except (TypeError, RuntimeError) as error:
        _require_no_dates(values, name)
        # For example a tensor that requires grad, or is on another device.
        raise TypeError(
            f"{name}: expected an array, found {type(values).__name__} ({error})"
        ) from None
    if array.dtype.kind == "T":
        array = array.astype(object)
    if array.dtype.kind != "O":
        _require_no_dates(values, name)
        return array
    if not array.ndim:
        _require_container(array.item(), name)
    return _as_numbers_if_all_are(array, name)


def _require_container(value: Any, name: str) -> None:
    """Refuse a single object that is not a number and that NumPy cannot read."""
    if isinstance(value, _NUMBERS):
        return
    advice = f"pass a list or an array in place of {name}"
    for method in ("collect", "compute"):
        if callable(getattr(value, method, None)):
            advice = f"it has not run yet: pass {name}.{method}()"
            break
    else:
        if isinstance(value, dict):
            advice = f"pass pandas.DataFrame({name}) if its values are columns"
        elif hasattr(value, "__iter__"):
            advice = f"pass list({name})"
    found = "None" if value is None else f"of the type {type(value).__name__}"
    raise TypeError(f"{name}: expected real numbers in an array, found object {found}; {advice}")


def _require_no_dates(values: Any, name: str) -> None:
    """Refuse a column of dates among numbers: polars and pyarrow would convert it to numbers."""
    for method in ("iter_columns", "itercolumns"):
        if not hasattr(values, method):
            continue
        first_row = values.slice(0, 1)
        for place, column in enumerate(getattr(first_row, method)()):
            kinds = np.asarray(column)
            if kinds.dtype.kind in "mM" or (kinds.size and isinstance(kinds.flat[0], _DATES)):
                raise TypeError(
                    f"{name}: expected real numbers, found {kinds.dtype} in column {place} "
                    f"({(column_names(values) or [])[place]!r}); {_advice_for_dates(name)}"
                )


def _as_numbers_if_all_are(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    kinds = set(map(type, array.flat))
    if not kinds or not all(issubclass(kind, _NUMBERS) for kind in kinds):
        return array
    found = np.array(array.tolist()).reshape(array.shape)
    if found.dtype.kind in "iufb":
        return found
    try:
        # Such as decimal numbers, and whole ones beyond 64 bits.
        return array.astype(np.float64)
    except OverflowError:
        position = next(i for i, value in enumerate(array.flat) if not _fits(value))
        raise ValueError(
            f"{name}: expected finite numbers, found one too large for float64 at "
            f"{place_of(array.shape, position)}"
        ) from None


def _fits(value: Any) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


def column_names(values: Any) -> list[Any] | None:
    """Return the names of the columns of a data frame; None for anything else.

    Parameters
    ----------
    values : object
        A frame of pandas, polars or the like, or a table of pyarrow.
    """
    if not hasattr(values, "shape"):
        return None
    # In pyarrow `columns` holds the columns, elsewhere their names.
    columns = getattr(values, "column_names", None)
    if columns is None:
        columns = getattr(values, "columns", None)
    return None if columns is None else list(columns)


def place_of(shape: tuple[int, ...], position: int, columns: list[Any] | None = None) -> str:
    """Return the position of a value in words: row and column, by name if columns have names.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    position : int
        Of the value, counted in C order.
    columns : list, optional
        Names of the columns of a data frame.
    """
    index = tuple(int(i) for i in np.unravel_index(position, shape))
    if len(index) != 2:
        return f"index {index[0] if len(index) == 1 else index}"
    named = f" ({columns[index[1]]!r})" if columns is not None and index[1] < len(columns) else ""
    return f"row {index[0]}, column {index[1]}{named}"


def missing_in(array: npt.NDArray[Any]) -> int | None:
    """Return the position (in C order) of the first missing value, None if there is none.

    Missing values are None, NaN, ``NA`` and ``NaT`` of pandas, and ``NaT`` of NumPy.
    """
    if array.dtype.kind == "f":
        absent = np.isnan(array)
    elif array.dtype.kind in "mM":
        absent = np.isnat(array)
    elif array.dtype.kind == "O":
        return next((i for i, value in enumerate(array.flat) if _is_missing(value)), None)
    else:
        return None
    return int(absent.argmax()) if absent.any() else None


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in _MISSING:
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def no_numbers(
    array: npt.NDArray[Any], values: Any, name: str, *, text_counts: bool = False
) -> TypeError | ValueError:
    """Return the error for a value that is not a real number: which, where, and what to do.

    Parameters
    ----------
    array : array of objects, text, dates or records
    values : object
        The original container, whose columns may have names.
    name : str
        Its name, for errors.
    text_counts : bool
        Whether text such as ``"1.5"`` counts as a number.
    """
    kind = array.dtype.kind
    refused = ValueError if text_counts else TypeError
    expected = f"{name}: expected real numbers, found {array.dtype}"
    if kind == "c":
        return TypeError(expected)
    if kind in "mM":
        return TypeError(f"{expected}; {_advice_for_dates(name)}")
    if kind not in "OSU":
        return TypeError(f"{expected}; pass its fields as columns of one dtype")
    position = _first_that_is_none(array, text_counts)
    value = array.flat[position]
    if not array.ndim:
        return TypeError(f"{expected} with {str(value)!r:.40} alone; pass a list or an array")
    place = place_of(array.shape, position, column_names(values))
    if _is_missing(value):
        return refused(
            f"{expected} with a missing value ({value}) at {place}; fill the gaps, or leave such "
            f"samples out{_methods(values, name, 'fillna', 'fill_null', 'dropna', 'drop_nulls')}"
        )
    if isinstance(value, str | bytes):
        shown = str(value) if isinstance(value, str) else bytes(value)
        return refused(
            f"{expected} with the text {shown!r:.40} at {place}; encode text and categories as "
            f"numbers first{_encoders(values, name)}, or leave such columns out of {name}"
        )
    if isinstance(value, _DATES) or type(value).__name__ == "Period":
        return TypeError(f"{expected} with {value!r:.80} at {place}; {_advice_for_dates(name)}")
    return TypeError(
        f"{expected} with {type(value).__name__} at {place}: the argument must be a string that "
        f"stands for a number, or a real number; leave such columns out of {name}"
    )


def _first_that_is_none(array: npt.NDArray[Any], text_counts: bool) -> int:
    """Return the position of the first value that is not a number."""
    for position, value in enumerate(array.flat):
        known = isinstance(value, _NUMBERS) or (text_counts and _stands_for_a_number(value))
        if _is_missing(value) or not known:
            return position
    return 0


def _stands_for_a_number(value: Any) -> bool:
    if not isinstance(value, str | bytes):
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True


def _advice_for_dates(name: str) -> str:
    return (
        f"turn dates into numbers first, such as days since the first one, or leave such columns "
        f"out of {name}"
    )


def _methods(values: Any, name: str, *methods: str) -> str:
    known = [f"{name}.{method}" for method in methods if hasattr(values, method)]
    return f" ({' or '.join(known)})" if known else ""


def _encoders(values: Any, name: str) -> str:
    if hasattr(values, "iloc"):
        return f" (pandas.get_dummies({name}) or a OneHotEncoder)"
    if hasattr(values, "to_dummies"):
        return f" ({name}.to_dummies() or a OneHotEncoder)"
    return " (such as by a OneHotEncoder)"
