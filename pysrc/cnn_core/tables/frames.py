"""Convert tables in any container to a list of columns.

No data frame library is imported: a container is recognized by its methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.containers import as_array
from cnn_core.estimators.samples import about_dimensions, names_of, require_some
from cnn_core.sparse import is_sparse

Column = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Frame:
    """The columns of a table.

    Attributes
    ----------
    columns : list of (n,) arrays
        Of any dtype. Missing values are NaN, NaT, None, and those of pandas.
    categorical : tuple of bool
        Whether the container declares a column as categorical.
    names : (n_columns,) array of str, or None
    n_rows : int
    """

    columns: list[Column]
    categorical: tuple[bool, ...]
    names: npt.NDArray[np.object_] | None
    n_rows: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.n_rows, len(self.columns)

    def place(self, number: int) -> str:
        """Return the name of a column, for errors."""
        named = "" if self.names is None else f" ({self.names[number]!r})"
        return f"X, column {number}{named}"

    def taken(self, rows: npt.NDArray[np.intp]) -> Frame:
        """Return some rows."""
        columns = [column[rows] for column in self.columns]
        return Frame(columns, self.categorical, self.names, len(rows))


def as_frame(values: Any, estimator: str, name: str = "X") -> Frame:
    """Convert a table to columns.

    Parameters
    ----------
    values : data frame, dict of columns, array, or list of rows
        A data frame of pandas, polars or similar, a pyarrow table, a dict of names to columns, a
        structured, masked or plain two-dimensional array, or a list of rows or of dicts.
    estimator : str
        Name of the class, for errors.
    name : str
        Name of the argument, for errors.

    Raises
    ------
    TypeError
        For objects that are not tables, and for sparse matrices.
    ValueError
        For another number of dimensions, columns of unequal length, and if there are no rows or no
        columns.
    """
    if is_sparse(values):
        raise TypeError(
            f"{name}: expected a dense table, found a sparse matrix, whose values are numbers of "
            f"one kind; pass {name}.toarray(), or use MLPClassifier or MLPRegressor for sparse data"
        )
    if isinstance(values, str | bytes):
        raise TypeError(f"{name}: expected a table, found text; read the file first")
    names = names_of(values)
    columns, categorical, own_names = _columns_of(values, name)
    if names is None:
        names = own_names
    for number, column in enumerate(columns):
        if column.ndim != 1:
            raise ValueError(
                f"{name}, column {number}: expected one value in each row, found an array of the "
                f"shape {column.shape}; pass its parts as columns"
            )
    lengths = sorted({len(column) for column in columns})
    if len(lengths) > 1:
        raise ValueError(
            f"{name}: expected columns of one length, found lengths from {lengths[0]} to "
            f"{lengths[-1]}"
        )
    n_rows = lengths[0] if lengths else len(getattr(values, "index", ()))
    require_some((n_rows, len(columns)), estimator, name)
    return Frame([_narrowed(column) for column in columns], tuple(categorical), names, n_rows)


_Parts = tuple[list[Column], list[bool], "npt.NDArray[np.object_] | None"]


def _columns_of(values: Any, name: str) -> _Parts:
    """Return columns, which of them are categories, and names that are text."""
    if isinstance(values, Mapping):
        columns = [_plain(column, f"{name}[{key!r}]") for key, column in values.items()]
        return columns, [_says_categories(column) for column in values.values()], _texts(values)
    for method, take in _FRAMES.items():
        if hasattr(values, method) and len(getattr(values, "shape", ())) == 2:
            found = [take(column) for column in _series_of(values, method)]
            return [column for column, _ in found], [said for _, said in found], None
    if isinstance(values, list | tuple) and values:
        if all(isinstance(row, Mapping) for row in values):
            return _of_records(values)
        array = _of_rows(values, name)
    else:
        array = values if isinstance(values, np.ma.MaskedArray) else as_array(values, name)
    return _of_array(array, name)


def _series_of(values: Any, method: str) -> list[Any]:
    if method == "iloc":
        return [values.iloc[:, number] for number in range(values.shape[1])]
    return list(getattr(values, method)())


def _texts(names: Any) -> npt.NDArray[np.object_] | None:
    found = list(names)
    if not found or not all(isinstance(one, str) for one in found):
        return None
    array = np.empty(len(found), object)
    array[:] = found
    return array


# Frames


def _of_pandas(series: Any) -> tuple[Column, bool]:
    dtype = series.dtype
    if hasattr(dtype, "categories"):
        levels = _objects([*dtype.categories, None])
        # The code of a missing value is -1, which selects the last item.
        return levels[np.asarray(series.cat.codes)], True
    if isinstance(dtype, np.dtype):
        return np.asarray(series), False
    if getattr(dtype, "tz", None) is not None:
        return np.asarray(series.dt.tz_localize(None)), False
    if getattr(dtype, "freq", None) is not None:
        return np.asarray(series.dt.to_timestamp()), False
    if getattr(dtype, "kind", "O") in "iuf":
        return series.to_numpy(dtype=np.float64, na_value=np.nan), False
    return series.to_numpy(dtype=object, na_value=None), False


def _of_polars(series: Any) -> tuple[Column, bool]:
    kind = type(series.dtype).__name__
    if kind in ("Categorical", "Enum"):
        return np.array(series.to_list(), object), True
    if kind in ("Int128", "UInt128"):
        # NumPy has no integers of this size.
        return _objects(series.to_list()), False
    if getattr(series.dtype, "time_zone", None) is not None:
        series = series.dt.replace_time_zone(None)
    return np.asarray(series.to_numpy()), False


def _of_arrow(column: Any) -> tuple[Column, bool]:
    said = hasattr(column.type, "index_type")
    if said:
        return _objects(column.to_pylist()), True
    kind = str(column.type)
    # Python's dates keep the local hour of their time zone.
    zoned = getattr(column.type, "tz", None) is not None
    if zoned or kind == "null" or kind.startswith(("decimal", "time32", "time64")):
        return _objects(column.to_pylist()), False
    if hasattr(column, "combine_chunks"):
        return np.asarray(column.to_numpy()), False
    return np.asarray(column.to_numpy(zero_copy_only=False)), False


# By the method that returns the columns of a frame.
_FRAMES: dict[str, Callable[[Any], tuple[Column, bool]]] = {
    "iloc": _of_pandas,
    "iter_columns": _of_polars,
    "itercolumns": _of_arrow,
}


def _says_categories(column: Any) -> bool:
    """Tell whether a single column, such as a pandas Series, is categorical."""
    return hasattr(getattr(column, "dtype", None), "categories")


def _plain(column: Any, name: str) -> Column:
    """Return a column of a dict."""
    if hasattr(column, "iloc"):
        return _of_pandas(column)[0]
    if hasattr(column, "to_arrow") and hasattr(column, "dtype"):
        return _of_polars(column)[0]
    if hasattr(column, "to_pylist"):
        return _of_arrow(column)[0]
    if isinstance(column, str | bytes | Mapping | Set) or not hasattr(column, "__len__"):
        raise TypeError(
            f"{name}: expected a column of values, found {type(column).__name__}; a dict stands "
            "for a table by its columns: pass a list of values for each name"
        )
    return _unmasked(column) if isinstance(column, np.ndarray) else _objects(list(column))


# Arrays and lists


def _of_array(array: npt.NDArray[Any], name: str) -> _Parts:
    if array.dtype.names is not None:
        fields = [_unmasked(array[field]) for field in array.dtype.names]
        return fields, [False] * len(fields), _texts(array.dtype.names)
    if array.dtype.kind == "c":
        raise ValueError(
            f"{name}: Complex data not supported: expected numbers, text or dates, found "
            f"{array.dtype}; pass {name}.real and {name}.imag as columns of their own"
        )
    if array.ndim != 2:
        raise ValueError(about_dimensions(array, name))
    if array.size == 0:
        require_some(array.shape, "a table", name)
    array = _unmasked(array)
    return list(array.T), [False] * array.shape[1], None


def _of_records(rows: Any) -> _Parts:
    """Return the columns of a list of dicts, each a row; absent keys are missing values."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    columns = [_objects([row.get(name) for row in rows]) for name in names]
    return columns, [False] * len(columns), _texts(names)


def _of_rows(rows: Any, name: str) -> npt.NDArray[Any]:
    """Return a list of rows as an array, of objects if they are not all numbers.

    NumPy would convert the numbers of mixed rows to text.
    """
    array = as_array(rows, name)
    if array.dtype.kind not in "USO" or array.ndim != 2:
        return array
    objects = np.empty(array.shape, object)
    for number, row in enumerate(rows):
        objects[number] = _objects(list(row))
    return objects


def _objects(values: list[Any]) -> npt.NDArray[np.object_]:
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array


def _narrowed(column: Column) -> Column:
    """Convert a column of objects to numbers if all are numbers, which is much faster to read."""
    if column.dtype.kind != "O":
        return column
    kinds = set(map(type, column))
    if type(np.ma.masked) in kinds:
        column = _objects([None if value is np.ma.masked else value for value in column])
    if not kinds <= {int, float}:
        return column
    try:
        return np.array(column.tolist(), np.float64)
    except OverflowError:
        return column


def _unmasked(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Replace masked values of an array by missing values."""
    if not isinstance(array, np.ma.MaskedArray):
        return array
    values = array.data
    mask = np.ma.getmaskarray(array)
    if not mask.any():
        return np.asarray(values)
    kind = values.dtype.kind
    filled = values.astype(np.float64 if kind in "iu" else values.dtype if kind == "f" else object)
    filled[mask] = np.nan if kind in "iuf" else None
    return filled
