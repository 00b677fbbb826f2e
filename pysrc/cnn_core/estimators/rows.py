"""Rows of files for an engine: read, checked and converted block by block."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from cnn_core.class_targets import ClassTargets, Targets
from cnn_core.data.block_memory import all_finite, block_memory
from cnn_core.data.row_files import ParquetFile, is_rows_name, open_rows
from cnn_core.estimators.evaluation import EvaluationSet
from cnn_core.estimators.partitions import (
    Description,
    PartitionError,
    describe,
    describe_targets,
    named,
    weights_of,
)
from cnn_core.estimators.samples import as_samples, as_table
from cnn_core.estimators.task import Task
from cnn_core.sharding.blocks import BlockShard, block_rows_for
from cnn_core.sharding.shard import Piece
from cnn_core.types import FloatArray

# A memory-mapped array of more bytes than this is read block by block.
LARGE_BYTES = 2**30
# A block across files is read in this many parts.
_PARTS_OF_BLOCK = 16


class Readable(Protocol):
    """Rows that can be read in parts.

    Attributes
    ----------
    n_rows : int
    """

    n_rows: int

    def read(self, start: int, stop: int) -> Any:
        """Return some rows."""


@runtime_checkable
class Filling(Protocol):
    """Rows that can perhaps be read into existing memory."""

    @property
    def n_features(self) -> int:
        """Number of values of a row."""

    @property
    def fills(self) -> bool:
        """Whether these rows can be read into existing memory."""

    def read_into(self, room: FloatArray, start: int) -> bool:
        """Write rows from `start` on into an array; return False if `read` must be used instead."""


class InMemory:
    """Rows of an array in memory.

    Parameters
    ----------
    values : (n, ...) array
    """

    def __init__(self, values: Any) -> None:
        self._values = values
        self.n_rows = len(values)

    def read(self, start: int, stop: int) -> Any:
        """Return some rows."""
        return self._values[start:stop]


class Mapped:
    """Rows of a memory-mapped array, as copies: the mapped pages do not stay in memory.

    Parameters
    ----------
    values : numpy.memmap, (n, n_features)
    """

    def __init__(self, values: np.memmap[Any, Any]) -> None:
        self._values = values
        self.n_rows = len(values)
        self.n_features = values.size // max(len(values), 1)
        self.fills = values.ndim == 2 and values.dtype.kind in "biuf" and values.dtype != np.uint8

    def read_into(self, room: FloatArray, start: int) -> bool:
        """Write rows into an array; see `Filling`."""
        step = -(-len(room) // _PARTS_OF_BLOCK)
        with np.errstate(over="ignore"):
            for begin in range(0, len(room), step):
                part = room[begin : begin + step]
                part[...] = self.read(start + begin, start + begin + len(part))
        return True

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return a copy of some rows."""
        found = np.array(self._values[start:stop])
        mapped = self._values
        while isinstance(mapped, np.ndarray) and mapped.base is not None:
            mapped = mapped.base  # type: ignore[assignment]
        if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)
        return found


class FilePartition(NamedTuple):
    """Samples, targets and weights from files that belong together.

    Attributes
    ----------
    name : str
    x, y : Readable
    weights : Readable or None
    """

    name: str
    x: Readable
    y: Readable
    weights: Readable | None

    @property
    def filling(self) -> Filling | None:
        """The samples, if they can be read into existing memory."""
        return self.x if isinstance(self.x, Filling) and self.x.fills else None

    def read(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        """Return some rows of samples, targets and weights."""
        return self.x.read(start, stop), *self.beside(start, stop)

    def beside(self, start: int, stop: int) -> tuple[Any, Any]:
        """Return the targets and weights of some rows."""
        weights: Any = None if self.weights is None else self.weights.read(start, stop)
        y = self.y.read(start, stop)
        # One column of a file with several is not a two-dimensional `y`.
        y = y.iloc[:, 0] if hasattr(y, "iloc") else y
        if hasattr(weights, "iloc"):
            weights = weights.iloc[:, 0]
        return y, weights


def are_files(X: Any) -> bool:
    """Tell whether samples are read block by block: files, or a large memory-mapped array."""
    if isinstance(X, np.memmap):
        return X.nbytes > LARGE_BYTES and X.flags.c_contiguous
    one = X[0] if isinstance(X, list | tuple) and X else X
    return isinstance(one, os.PathLike | FilePartition) or (
        isinstance(one, str) and is_rows_name(one)
    )


def file_partitions(X: Any, y: Any, weights: Any) -> list[FilePartition]:
    """Return the partitions of files.

    Parameters
    ----------
    X : path, list of paths, list of FilePartition, or numpy.memmap
        Partitions are returned as they are.
    y : paths likewise, an array (n,) or (n, n_outputs), or the name of a column of Parquet files
    weights : likewise, or None

    Raises
    ------
    DataError, OSError
        For a file that cannot be read.
    PartitionError
        For files of different lengths.
    TypeError, ValueError
        For invalid targets and weights.
    """
    if isinstance(X, list) and X and isinstance(X[0], FilePartition):
        return X
    xs: list[Any]
    if isinstance(X, np.memmap):
        xs, names = [Mapped(X)], [f"the memory-mapped array {X.filename}"]
    else:
        paths = [X] if isinstance(X, str | os.PathLike) else list(X)
        xs, names = [open_rows(path) for path in paths], [f"file {Path(path)}" for path in paths]
    columns = [name for name in (y, weights) if isinstance(name, str)]
    of_tables = [one for one in xs if isinstance(one, ParquetFile)]
    ys = _beside(xs, y, "y")
    all_weights = [None] * len(xs) if weights is None else _beside(xs, weights, "sample_weight")
    if of_tables and columns:
        kept = tuple(name for name in of_tables[0].names if name not in columns)
        xs = [one.of(kept) if isinstance(one, ParquetFile) else one for one in xs]
    partitions = [FilePartition(*one) for one in zip(names, xs, ys, all_weights, strict=True)]
    for name, x, *others in partitions:
        for other in others:
            if other is not None and other.n_rows != x.n_rows:
                raise PartitionError(
                    f"{name}: expected a target and a weight for each of its {x.n_rows} rows, "
                    f"found {other.n_rows}"
                )
    return partitions


def _beside(xs: Sequence[Any], values: Any, name: str) -> list[Any]:
    """Return targets or weights for each file of samples."""
    if isinstance(values, str) and all(isinstance(one, ParquetFile) for one in xs):
        return [one.of((values,)) for one in xs]
    if are_files(values):
        paths = [values] if isinstance(values, str | os.PathLike) else list(values)
        if len(paths) != len(xs):
            raise ValueError(f"{name}: expected {len(xs)} files, found {len(paths)}")
        return [open_rows(path) for path in paths]
    array = np.asarray(values)
    sizes = [one.n_rows for one in xs]
    if array.ndim not in (1, 2) or len(array) != sum(sizes):
        raise ValueError(
            f"{name}: expected files, the name of a column of Parquet files, or an array of "
            f"{sum(sizes)} rows, found the shape {array.shape}"
        )
    ends = np.cumsum(sizes)[:-1]
    return [InMemory(part) for part in np.split(array, ends)]


def describe_files(partition: FilePartition, kind: str, estimator: str, wanted: Any) -> Description:
    """Return the metadata of a partition; see `cnn_core.estimators.partitions.describe`."""
    name, n_rows = partition.name, partition.x.n_rows
    found: list[Description] = []
    start, step = 0, 1024
    while start < n_rows:
        stop = min(start + step, n_rows)
        if found and partition.filling:
            # All samples have the dtype of the first rows.
            beside = named(name, partition.beside, start, stop)
            y, weight = named(name, describe_targets, kind, estimator, stop - start, *beside)
            found.append(replace(found[0], y=y, weight=weight))
        else:
            part = named(name, partition.read, start, stop)
            found.append(describe(name, kind, estimator, wanted, *part))
        step, start = block_rows_for(found[0].n_features, 8), stop
    if not found:
        return Description(0, 0, None, "", np.empty(0), None)
    first = found[0]
    values = np.concatenate([one.y for one in found])
    if kind == "classifier":
        values = np.unique(values) if values.ndim == 1 else values[:1]
    else:
        values = np.stack([values.min(axis=0), values.max(axis=0)])
    weight = None if first.weight is None else sum(one.weight or 0.0 for one in found)
    return replace(first, n_samples=n_rows, y=values, weight=weight)


@dataclass(frozen=True, eq=False)
class FileRows:
    """The rows of a shard, with targets for a task; see `cnn_core.sharding.blocks.Rows`.

    Attributes
    ----------
    segments : list of (FilePartition, start, stop)
    task : Task
    dtype : dtype of float32 or float64
    estimator : str
    """

    segments: list[tuple[FilePartition, int, int]]
    task: Task
    dtype: np.dtype[Any]
    estimator: str

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return sum(stop - start for _, start, stop in self.segments)

    def read(self, start: int, stop: int) -> Piece:
        """Return some rows in the form of an engine."""
        wanted = list(self._wanted(start, stop))
        x = self._filled(stop - start, wanted)
        if x is not None:
            parts = (self._beside(*one) for one in wanted)
            return _gathered(stop - start, parts)._replace(x=x)
        if len(wanted) == 1:
            return self._rows(*wanted[0])
        # A few rows at a time, so that the block is not in memory twice.
        step = max((stop - start) // _PARTS_OF_BLOCK, 1)
        return _gathered(
            stop - start,
            (
                self._rows(partition, begin, min(begin + step, high))
                for partition, low, high in wanted
                for begin in range(low, high, step)
            ),
        )

    def _wanted(self, start: int, stop: int) -> Iterator[tuple[FilePartition, int, int]]:
        """Yield the partitions, and their rows, that contain a range of rows."""
        begin = 0
        for partition, first, last in self.segments:
            low, high = max(start - begin, 0), min(stop - begin, last - first)
            begin += last - first
            if low < high:
                yield partition, first + low, first + high

    def _filled(
        self, n_rows: int, wanted: list[tuple[FilePartition, int, int]]
    ) -> FloatArray | None:
        """Return samples in an array that they were read into; None if they are not floats."""
        x: FloatArray | None = None
        done = 0
        for partition, low, high in wanted:
            rows = partition.filling
            if rows is None:
                return None
            if x is None:
                x = block_memory((n_rows, rows.n_features), self.dtype)
            part = x[done : done + high - low]
            if not (named(partition.name, rows.read_into, part, low) and all_finite(part)):
                return None
            done += high - low
        return x

    def _beside(self, partition: FilePartition, start: int, stop: int) -> Piece:
        """Return targets and weights, without samples."""
        y, weights = named(partition.name, partition.beside, start, stop)
        how = self.task, self.dtype, self.estimator, stop - start
        _, t, own = named(partition.name, targets_as_set, *how, y, weights)
        return Piece(np.empty((stop - start, 0), self.dtype), t, own, None)

    def _rows(self, partition: FilePartition, start: int, stop: int) -> Piece:
        part = named(partition.name, partition.read, start, stop)
        how = self.task, self.dtype, self.estimator
        one = named(partition.name, rows_as_set, *how, *part)
        return Piece(one.x, one.t, one.weights, None)


def _gathered(n_rows: int, pieces: Iterator[Piece]) -> Piece:
    """Concatenate the rows of dense pieces."""
    rooms: list[Any] = []
    whole: Piece | None = None
    done = 0
    for piece in pieces:
        labels = piece.t.labels if isinstance(piece.t, ClassTargets) else piece.t
        arrays: list[Any] = [piece.x, labels, *([] if piece.weights is None else [piece.weights])]
        if whole is None:
            whole = piece
            rooms = [np.empty((n_rows, *one.shape[1:]), one.dtype) for one in arrays]
        for place, one in enumerate(arrays):
            rooms[place] = rooms[place].astype(np.result_type(rooms[place], one), copy=False)
            rooms[place][done : done + len(one)] = one
        done += len(labels)
    assert whole is not None
    x, labels, *weights = rooms
    t = replace(whole.t, labels=labels) if isinstance(whole.t, ClassTargets) else labels
    return Piece(x, t, weights[0] if weights else None, None)


def block_shard(
    segments: list[tuple[FilePartition, int, int]],
    task: Task,
    dtype: np.dtype[Any],
    estimator: str,
    n_features: int,
) -> BlockShard:
    """Return a shard that is read block by block."""
    rows = FileRows(segments, task, dtype, estimator)
    return BlockShard(rows, block_rows_for(n_features, dtype.itemsize))


def rows_as_set(
    task: Task, dtype: np.dtype[Any], estimator: str, x: Any, y: Any, weights: Any
) -> EvaluationSet:
    """Return rows of a partition in the form of an engine."""
    table = as_table(x, estimator)
    labels, t, own = targets_as_set(task, dtype, estimator, len(table), y, weights)
    return EvaluationSet(as_samples(table, dtype, estimator), labels, t, own)


def targets_as_set(
    task: Task, dtype: np.dtype[Any], estimator: str, n_rows: int, y: Any, weights: Any
) -> tuple[npt.NDArray[Any], Targets, FloatArray | None]:
    """Return targets in the user's form and in that of an engine, and weights."""
    labels = task.read(y, n_rows, estimator, "y", known_from="the other partitions")
    own = None if weights is None else weights_of(weights, n_rows, dtype)
    return labels, task.targets(labels, dtype), own
