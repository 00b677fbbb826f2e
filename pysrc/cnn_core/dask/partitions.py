"""Partitions of a user's data, of any kind."""

from __future__ import annotations

import numbers
from typing import Any, NamedTuple

import dask
import numpy as np
from dask.base import is_dask_collection
from dask.delayed import Delayed
from distributed import Future


class Partition(NamedTuple):
    """A partition: some rows of the data, here or on the cluster.

    Attributes
    ----------
    name : str
        Its name, for errors.
    x, y, weights : object
        Delayed, a Future, or the rows themselves; None for no weights.
    """

    name: str
    x: Any
    y: Any
    weights: Any


def partitions_of(X: Any, y: Any, weights: Any, name: str = "X") -> list[Partition]:
    """Return the partitions of samples and targets.

    Parameters
    ----------
    X : Dask array or data frame, list of partitions, or anything that is one partition
    y, weights : likewise
        With the same partitions; `weights` may be None.
    name : str
        Name of `X`, for errors.

    Raises
    ------
    TypeError, ValueError
        If they do not have the same partitions.
    """
    xs = _parts_of(X, name)
    rows = _known_rows(X)
    ys = _like(xs, rows, y, "y", name)
    all_weights = [None] * len(xs)
    if isinstance(weights, numbers.Number):
        raise TypeError(
            "sample_weight: expected a weight for each sample, in the partitions of the samples, "
            f"found {type(weights).__name__}"
        )
    if weights is not None:
        all_weights = _like(xs, rows, weights, "sample_weight", name)
    return [
        Partition(f"partition {number} of {name}", *one)
        for number, one in enumerate(zip(xs, ys, all_weights, strict=True))
    ]


def is_list_of_partitions(values: Any) -> bool:
    """Tell a list of partitions from a list of samples."""
    return isinstance(values, list | tuple) and any(_is_partition(one) for one in values)


def _is_partition(value: Any) -> bool:
    if isinstance(value, Delayed | Future):
        return True
    return hasattr(value, "shape") and len(value.shape) >= 1


def _parts_of(values: Any, name: str) -> list[Any]:
    """Return the parts of a collection."""
    if values is None:
        raise ValueError(f"{name}: expected samples, found None")
    if is_list_of_partitions(values):
        return list(values)
    if isinstance(values, Delayed):
        return [values]
    if not is_dask_collection(values):
        return [values]
    if not hasattr(values, "to_delayed") or not hasattr(values, "ndim"):
        raise TypeError(
            f"{name}: expected a Dask array or data frame, found {type(values).__name__}; pass "
            f"{name}.to_dataframe(), or a list of partitions"
        )
    if hasattr(values, "numblocks") and values.ndim == 2 and values.numblocks[1] > 1:
        values = values.rechunk({1: -1})
    # Without optimization: samples and targets may share a graph, whose keys must stay unique.
    delayed = values.to_delayed(optimize_graph=False)
    return list(np.asarray(delayed, object).reshape(-1))


def _known_rows(values: Any) -> tuple[int, ...] | None:
    """Return the rows of each chunk of a Dask array, or of each array of a list, if known."""
    if hasattr(values, "chunks") and is_dask_collection(values):
        rows = tuple(values.chunks[0])
        return None if any(np.isnan(one) for one in rows) else rows
    if is_list_of_partitions(values) and all(hasattr(one, "shape") for one in values):
        rows = tuple(one.shape[0] for one in values)
        return rows if all(isinstance(one, int) for one in rows) else None
    return None


def _like(
    xs: list[Any], rows: tuple[int, ...] | None, values: Any, name: str, of: str
) -> list[Any]:
    """Return the parts of targets or weights for the parts of the samples."""
    if values is None:
        raise ValueError(f"{name}: expected one for each sample, found None")
    if is_dask_collection(values) and hasattr(values, "chunks"):
        own = _known_rows(values)
        if rows is not None and own is not None and sum(own) == sum(rows) and own != rows:
            values = values.rechunk({0: rows})
    elif not is_dask_collection(values) and not is_list_of_partitions(values) and len(xs) > 1:
        return _cut(values, rows, name, of)
    parts = _parts_of(values, name)
    if len(parts) != len(xs):
        raise ValueError(
            f"{name}: expected the {len(xs)} partitions of {of}, found {len(parts)}; give both the "
            f"same partitions, for example by {name}.repartition or {name}.rechunk"
        )
    return parts


def _cut(values: Any, rows: tuple[int, ...] | None, name: str, of: str) -> list[Any]:
    """Split a local array like the samples."""
    array = np.asarray(values)
    if rows is None:
        raise TypeError(
            f"{name}: expected a Dask collection or a list with the {of} partitions, found "
            f"{type(values).__name__}, which cannot be cut while the rows of the partitions are "
            "not known"
        )
    if len(array) != sum(rows):
        raise ValueError(f"{name}: expected {sum(rows)} values, found {len(array)}")
    return np.split(array, np.cumsum(rows)[:-1])


def compute(client: Any, values: Any) -> Any:
    """Return the local value of a Dask collection; other values unchanged."""
    if isinstance(values, Future):
        return values.result()
    if is_dask_collection(values):
        (value,) = dask.compute(values, scheduler=client)
        return value
    return values
