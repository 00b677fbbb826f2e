"""Files that are read in parts, by rows: ``.npy``, IDX and Parquet.

Nothing is memory-mapped; only the rows that are read are in memory.
"""

from __future__ import annotations

import math
import os
import struct
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from cnn_core.data.block_memory import block_memory
from cnn_core.data.checks import DataError, open_data, size_of
from cnn_core.data.idx import DTYPES
from cnn_core.data.numpy_files import read_npy_header

__all__ = ["ArrayFile", "ParquetFile", "RowFile", "open_rows"]

# Rows of a Parquet file that are unpacked at a time.
_AT_ONCE = 2**14
# Bytes of an array that are read and converted at a time.
_BYTES_AT_ONCE = 2**20


class RowFile(Protocol):
    """A file of rows; can be pickled, and is opened for each read.

    Attributes
    ----------
    path : Path
    n_rows : int
    """

    path: Path
    n_rows: int

    @property
    def n_features(self) -> int:
        """Numbers of a row."""

    @property
    def fills(self) -> bool:
        """Whether `read_into` can be used: the rows are numbers that become floats."""

    def read(self, start: int, stop: int) -> Any:
        """Return some rows: an array (n, ...), or a data frame."""

    def read_into(self, room: npt.NDArray[Any], start: int) -> bool:
        """Write rows from `start` on into an array (n, n_features) of floats.

        This takes little memory beyond the array. Returns False if cells are missing; then use
        `read`. Values that overflow become infinite.
        """


class ArrayFile:
    """An array in a file, after a header.

    Parameters
    ----------
    path : path-like
        A ``.npy`` file, or an IDX file that is not packed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with open_data(self.path) as stream:
            if self.path.suffix == ".npy":
                shape, fortran, self._dtype = read_npy_header(self.path, stream)
                if fortran and len(shape) > 1:
                    raise DataError(
                        self.path,
                        "rows one after the other in the file",
                        "columns (Fortran order); save np.ascontiguousarray(X)",
                    )
            else:
                shape, self._dtype = _idx_header(self.path, stream)
            if self._dtype.hasobject or self._dtype.kind not in "biufU" or not shape:
                raise DataError(self.path, "rows of numbers or names", f"{self._dtype} {shape}")
            self._offset = stream.tell()
            expected = math.prod(shape) * self._dtype.itemsize
            if size_of(stream) - self._offset != expected:
                raise DataError(
                    self.path, f"{expected} bytes of values", f"{size_of(stream) - self._offset}"
                )
        self.n_rows = shape[0]
        self._row = shape[1:]
        self.n_features = math.prod(self._row)
        self.fills = bool(self._row) and self._dtype.kind in "biuf" and self._dtype != np.uint8

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return some rows; those of more than one dimension are flattened."""
        room = np.empty((stop - start) * self.n_features, self._dtype)
        with open_data(self.path) as stream:
            self._read(stream, room, start)
        values = room.astype(self._dtype.newbyteorder("="), copy=False)
        return values.reshape(stop - start, self.n_features) if self._row else values

    def read_into(self, room: npt.NDArray[Any], start: int) -> bool:
        """Write rows into an array; see `RowFile`."""
        step = max(_BYTES_AT_ONCE // max(self.n_features * self._dtype.itemsize, 1), 1)
        with open_data(self.path) as stream, np.errstate(over="ignore"):
            if self._dtype == room.dtype:
                self._read(stream, room.reshape(-1), start)
                return True
            for begin in range(0, len(room), step):
                rows = room[begin : begin + step]
                values = np.empty(rows.size, self._dtype)
                self._read(stream, values, start + begin)
                rows[...] = values.reshape(rows.shape)
        return True

    def _read(self, stream: Any, room: npt.NDArray[Any], start: int) -> None:
        stream.seek(self._offset + start * self.n_features * self._dtype.itemsize)
        found = stream.readinto(room.view(np.uint8).data)
        if found != room.nbytes:
            raise DataError(self.path, f"{room.nbytes} bytes from row {start} on", f"{found}")


def _idx_header(path: Path, stream: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    start = stream.read(4)
    if start[:2] == b"\x1f\x8b":
        raise DataError(path, "an IDX file that is not packed", "one packed by gzip; unpack it")
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in DTYPES or not start[3]:
        raise DataError(path, "an .npy, IDX or Parquet file", "something else")
    sizes = stream.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise DataError(path, f"{start[3]} sizes", "fewer")
    return struct.unpack(f">{start[3]}I", sizes), DTYPES[start[2]]


class ParquetFile:
    """A Parquet file; only the needed row groups are read.

    Parameters
    ----------
    path : path-like
    columns : sequence of str, optional
        Columns to read; by default all.
    """

    def __init__(
        self, path: str | os.PathLike[str], columns: tuple[str, ...] | None = None
    ) -> None:
        self.path = Path(path)
        self._columns = columns
        file = _parquet(self.path)
        self.names = tuple(file.schema_arrow.names)
        ends, end = [], 0
        for group in range(file.num_row_groups):
            end += file.metadata.row_group(group).num_rows
            ends.append(end)
        self._ends = ends
        self.n_rows = end
        self._dtypes = {one.name: _dtype_of(one.type) for one in file.schema_arrow}
        groups = range(file.num_row_groups)
        # Size of the unpacked values.
        self.n_bytes: int = sum(file.metadata.row_group(one).total_byte_size for one in groups)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns to read."""
        return self.names if self._columns is None else self._columns

    def of(self, columns: tuple[str, ...]) -> ParquetFile:
        """Return the same file with only these columns.

        Raises
        ------
        DataError
            If a column is missing.
        """
        missing = [name for name in columns if name not in self.names]
        if missing:
            raise DataError(self.path, f"a column {missing[0]!r}", ", ".join(self.names[:20]))
        other = object.__new__(ParquetFile)
        vars(other).update(vars(self))
        other._columns = columns
        return other

    @property
    def n_features(self) -> int:
        """Number of columns to read."""
        return len(self.columns)

    @property
    def fills(self) -> bool:
        """Whether all columns hold numbers, but not all of them bytes."""
        kinds = {self._dtypes[name] for name in self.columns}
        return bool(kinds) and None not in kinds and kinds != {np.dtype(np.uint8)}

    def read(self, start: int, stop: int) -> Any:
        """Return some rows as a data frame.

        Little more than these rows is in memory, however large the row groups are.
        """
        import pandas as pd
        import pyarrow as pa

        kind, *others = {self._dtypes[name] for name in self.columns}
        if not others and kind is not None and kind.name in ("float32", "float64"):
            # One array, instead of columns that would have to be joined.
            values = block_memory((stop - start, len(self.columns)), kind)
            self.read_into(values, start)
            return pd.DataFrame(values, columns=list(self.columns), copy=False)
        with _opened(self.path) as file:
            whole = file.schema_arrow
            schema = pa.schema([whole.field(name) for name in self.columns], whole.metadata)
            columns = [
                pa.chunked_array(self._column(file, one.name, start, stop), one.type)
                for one in schema
            ]
            return pa.Table.from_arrays(columns, schema=schema).to_pandas()

    def read_columns(self, start: int, stop: int) -> Iterator[Any]:
        """Yield the columns of some rows one by one, as named series."""
        import pyarrow as pa

        with _opened(self.path) as file:
            for name in self.columns:
                cells = self._column(file, name, start, stop)
                column = pa.chunked_array(cells, file.schema_arrow.field(name).type)
                yield column.to_pandas().rename(name)

    def read_into(self, room: npt.NDArray[Any], start: int) -> bool:
        """Write rows into an array, column by column; see `RowFile`."""
        # The dtype of a data frame of these columns as an array.
        common = np.result_type(*(cast("Any", self._dtypes[name]) for name in self.columns))
        with _opened(self.path) as file, np.errstate(over="ignore"):
            for place, name in enumerate(self.columns):
                done = 0
                for cells in self._column(file, name, start, start + len(room)):
                    if cells.null_count and common.kind != "f":
                        return False
                    values = cells.to_numpy(zero_copy_only=False).astype(common, copy=False)
                    room[done : done + len(cells), place] = values
                    done += len(cells)
        return True

    def _column(self, file: Any, name: str, start: int, stop: int) -> Iterator[Any]:
        """Yield the cells of a column as short Arrow arrays.

        For all columns at once, the pages being unpacked would take more memory than the cells.
        """
        first, last = bisect_right(self._ends, start), bisect_right(self._ends, stop - 1)
        begin = self._ends[first - 1] if first else 0
        groups = list(range(first, last + 1))
        for batch in file.iter_batches(_AT_ONCE, groups, [name], use_threads=False):
            low, high = max(start - begin, 0), min(stop - begin, len(batch))
            if low < high:
                yield batch.column(0).slice(low, high - low)
            begin += len(batch)
            if begin >= stop:
                return


def _parquet(path: Path) -> Any:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile as Opened
    except ImportError as error:
        raise ImportError(
            f"{path}: Parquet files are read by pyarrow: pip install pyarrow"
        ) from error
    try:
        # A row group need not be in memory at once.
        return Opened(path, buffer_size=2**16, pre_buffer=False)
    except ArrowException as error:
        raise DataError(path, "a Parquet file", f"something else ({error})") from None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yield a Parquet file; release Arrow's memory afterwards."""
    from pyarrow import default_memory_pool

    try:
        yield _parquet(path)
    finally:
        default_memory_pool().release_unused()


def _dtype_of(kind: Any) -> np.dtype[Any] | None:
    """Return the dtype of a column of integers or floats; None for others."""
    from pyarrow import types

    is_number = types.is_integer(kind) or types.is_floating(kind)
    return np.dtype(kind.to_pandas_dtype()) if is_number else None


def is_rows_name(name: str) -> bool:
    """Tell whether a text is the name of a file of rows."""
    is_known = Path(name).suffix in (".parquet", ".pq", ".npy") or name.endswith("-ubyte")
    return is_known or os.path.isfile(name)


def open_rows(path: str | os.PathLike[str]) -> RowFile:
    """Return a file of rows by its ending: ``.parquet``, ``.npy``, else IDX.

    Raises
    ------
    DataError
        If it is not such a file, or damaged.
    FileNotFoundError
        If it does not exist.
    """
    if Path(path).suffix in (".parquet", ".pq"):
        return ParquetFile(path)
    return ArrayFile(path)
