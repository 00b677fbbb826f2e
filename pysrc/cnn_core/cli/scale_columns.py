"""Columns of Parquet files as a network takes them, by what all files hold: one pass over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.encoding import Encoding
from cnn_core.cli.scaling import Scaling
from cnn_core.data import DataError
from cnn_core.data.block_memory import block_memory
from cnn_core.data.row_files import ParquetFile
from cnn_core.estimators.partitions import PartitionError
from cnn_core.estimators.rows import FilePartition, file_partitions
from cnn_core.sharding.blocks import block_rows_for
from cnn_core.standardization import Moments

__all__ = ["Standardized", "standardized"]

Array = npt.NDArray[Any]

# A column with more different texts names its rows; it does not describe them.
_MOST_TEXTS = 10_000
# Texts that are looked up together.
_AT_ONCE = 2**14
_LEAVE_OUT = (
    "fill the cells, leave the column out by --ignore, or take --model tables, which has the table "
    "in memory"
)


class Standardized:
    """Rows of a Parquet file as inputs of a network, made when they are read.

    Parameters
    ----------
    file : ParquetFile
        Of the features alone.
    encoding : Encoding
    scaling : Scaling
        Of the inputs.
    """

    def __init__(self, file: Any, encoding: Encoding, scaling: Scaling) -> None:
        self._file, self._encoding, self._scaling = file, encoding, scaling
        self.n_rows, self.n_features, self.fills = file.n_rows, len(encoding.names), True

    def read(self, start: int, stop: int) -> Any:
        """Return some rows as a data frame of float32."""
        room = block_memory((stop - start, self.n_features), np.float32)
        self.read_into(room, start)
        return self._frame(room)

    def read_into(self, room: Array, start: int) -> bool:
        """Write the rows from one on into an array (n, n_features), column by column."""
        file = self._file.of(tuple(self._encoding.levels))
        self._fill(room, file.read_columns(start, start + len(room)), start)
        return True

    def of(self, frame: Any, start: int) -> Any:
        """Return rows of the file that are read already, from this one on, as a data frame."""
        room = np.empty((len(frame), self.n_features), np.float32)
        self._fill(room, (frame[name] for name in self._encoding.levels), start)
        return self._frame(room)

    def _fill(self, room: Array, columns: Iterable[Any], start: int) -> None:
        """Write the inputs of all columns, which come in their order."""
        begin = 0
        for column, levels in zip(columns, self._encoding.levels.values(), strict=True):
            if levels is None:
                values = _numbers(self._file, column.to_frame(), start)
                room[:, begin] = self._scaling.of_feature(begin).apply(values, np.float32)[:, 0]
                begin += 1
                continue
            inputs = room[:, begin : begin + len(levels)]
            inputs[...] = 0
            for first in range(0, len(room), _AT_ONCE):
                cells = _texts(column.iloc[first : first + _AT_ONCE])
                places = cells.astype(_categories(levels)).cat.codes.to_numpy(np.intp)
                (rows,) = np.nonzero(places >= 0)
                inputs[first + rows, places[rows]] = 1
            begin += len(levels)

    def _frame(self, inputs: Array) -> Any:
        import pandas as pd

        return pd.DataFrame(inputs, columns=list(self._encoding.names), copy=False)


def _categories(levels: tuple[str, ...]) -> Any:
    import pandas as pd

    return pd.CategoricalDtype(levels)


def standardized(
    client: Any,
    paths: list[str],
    target: str,
    ignored: Collection[str] = (),
    categorical: Collection[str] = (),
) -> tuple[list[FilePartition], Encoding, Scaling]:
    """Return the partitions of files with their inputs, and how these are encoded and scaled.

    The workers go once through all files before.

    Parameters
    ----------
    client : distributed.Client
    paths : list of str
    target : str
        Name of the column of classes.
    ignored, categorical : collection of str
        Names of columns that are left out, and of those that are text whatever they look like.

    Raises
    ------
    DataError
        For files without rows, and for columns that are not there.
    PartitionError
        For a file with cells that are no finite numbers, or columns of another kind than the first.
    """
    from cnn_core.dask.recovery import cluster_errors, named_results_of

    plain = file_partitions(paths, target, None)
    if ignored:
        plain = [one._replace(x=_without(one.x, ignored)) for one in plain]
    _without(plain[0].x, categorical)
    names = [one.name for one in plain]
    with cluster_errors(client, str):
        futures = [client.submit(_look, one.x, set(categorical), pure=False) for one in plain]
        found = named_results_of(client, futures, names)
    parts = [(name, one) for name, one in zip(names, found, strict=True) if one is not None]
    if not parts:
        raise DataError(", ".join(names), "at least one row", "none")
    first_name, first = parts[0]
    for name, one in parts[1:]:
        for column in sorted(first.texts.keys() ^ one.texts.keys()):
            kinds = ("text", "numbers") if column in first.texts else ("numbers", "text")
            raise PartitionError(
                f"{name}: expected {kinds[0]} in the column {column!r}, as in {first_name}, found "
                f"{kinds[1]}"
            )
    columns = reduce(_Columns.joined, (one for _, one in parts))
    encoding = Encoding.of(plain[0].x.columns, columns.texts)  # type: ignore[attr-defined]
    offset, scale = np.zeros(len(encoding.names)), np.ones(len(encoding.names))
    are_numbers = encoding.are_numbers
    offset[are_numbers], scale[are_numbers] = columns.moments.offset_and_scale()
    scaling = Scaling("standardised feature by feature", offset, scale, "float64")
    inputs = [one._replace(x=Standardized(one.x, encoding, scaling)) for one in plain]
    return inputs, encoding, scaling


def _without(file: Any, names: Collection[str]) -> Any:
    """Return a file without some columns, which it must have."""
    for name in names:
        if name not in file.columns:
            raise DataError(file.path, f"a column {name!r}", ", ".join(file.columns[:20]))
    return file.of(tuple(name for name in file.columns if name not in names))


@dataclass(frozen=True, eq=False)
class _Columns:
    """What is known of the columns of some rows.

    Attributes
    ----------
    moments : Moments
        Of the columns of numbers.
    texts : dict of str to Counter of str
        How often each text stands in the others.
    """

    moments: Moments
    texts: dict[str, Counter[str]]

    def joined(self, other: _Columns) -> _Columns:
        """Return what is known of the rows of both."""
        texts = {name: counts + other.texts[name] for name, counts in self.texts.items()}
        for name, counts in texts.items():
            _require_few(name, counts)
        return _Columns(self.moments.joined(other.moments), texts)


def _look(file: ParquetFile, categorical: set[str]) -> _Columns | None:
    """Return what is known of the columns of a file, block by block; None without rows."""
    found: _Columns | None = None
    step = block_rows_for(len(file.columns), 8)
    for start in range(0, file.n_rows, step):
        frame = file.read(start, min(start + step, file.n_rows))
        own = _columns_of(file, frame, start, categorical)
        found = own if found is None else found.joined(own)
    return found


def _columns_of(file: ParquetFile, frame: Any, start: int, categorical: set[str]) -> _Columns:
    texts = {name for name in frame.columns if name in categorical or _is_text(frame[name])}
    numbers = _numbers(file, frame[[name for name in frame.columns if name not in texts]], start)
    counts = {}
    for name in texts:
        counts[name] = Counter(_texts(frame[name]).value_counts().to_dict())
        _require_few(name, counts[name])
    return _Columns(Moments.of(numbers), counts)


def _is_text(column: Any) -> bool:
    import pandas as pd

    kind = column.dtype
    if kind.kind == "O" and not isinstance(kind, pd.CategoricalDtype | pd.StringDtype):
        return pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty", "boolean")
    return isinstance(kind, pd.CategoricalDtype | pd.StringDtype)


def _texts(column: Any) -> Any:
    """Return the cells of a column as text, "" for those that are empty."""
    return column.astype(str).where(column.notna(), "").str.strip()


def _require_few(name: str, counts: Counter[str]) -> None:
    if len(counts) > _MOST_TEXTS:
        raise ValueError(
            f"expected at most {_MOST_TEXTS:,} different texts in the column {name!r}, found more; "
            f"leave it out by --ignore {name}"
        )


def _numbers(file: ParquetFile, frame: Any, start: int) -> Array:
    """Return a data frame as numbers, (n, n_features).

    Raises
    ------
    DataError
        For a cell that is no finite number; it names column and row.
    """
    for name in frame.columns:
        kind = getattr(frame[name].dtype, "kind", "O")
        if kind not in "biuf":
            expected = f"numbers or text in the column {name!r}"
            raise DataError(file.path, expected, str(frame[name].dtype), _LEAVE_OUT)
    values: Array = frame.to_numpy(np.result_type(np.float32, *frame.dtypes))
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0].tolist()
        raise DataError(
            file.path,
            f"a finite number in the column {frame.columns[column]!r}",
            f"{values[row, column]} in row {start + row}, counted from 0",
            _LEAVE_OUT,
        )
    return values
