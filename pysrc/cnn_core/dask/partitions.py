"""The partitions of a user's data, of any kind, and what is known of each after one pass."""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import dask
import numpy as np
import numpy.typing as npt
from dask.base import is_dask_collection
from dask.delayed import Delayed
from distributed import Future

from cnn_core.arrays import as_finite, require_weights
from cnn_core.dask.recovery import PartitionError, named
from cnn_core.estimators.labels import as_labels, kind_of
from cnn_core.estimators.samples import as_table, dtype_for, names_of
from cnn_core.estimators.targets import as_numbers
from cnn_core.types import FloatArray, IndexArray


class Partition(NamedTuple):
    """Some rows of the data, wherever they are.

    Attributes
    ----------
    name : str
        What an error calls it.
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
        What the user calls `X`.

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
    """Return what the partitions of a collection are made of."""
    if is_list_of_partitions(values):
        return list(values)
    if isinstance(values, Delayed):
        return [values]
    if not is_dask_collection(values):
        return [values]
    if not hasattr(values, "to_delayed"):
        raise TypeError(
            f"{name}: expected a Dask array or data frame, found {type(values).__name__}; pass "
            f"{name}.to_dataframe(), or a list of partitions"
        )
    if hasattr(values, "numblocks") and values.ndim == 2 and values.numblocks[1] > 1:
        values = values.rechunk({1: -1})
    delayed = values.to_delayed(optimize_graph=True)
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
    """Return the parts of targets or weights that belong to those of the samples."""
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
    """Return a local array in the parts that the samples have."""
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


# What is known of a partition


@dataclass(frozen=True, eq=False)
class Description:
    """What one pass over a partition has found.

    Attributes
    ----------
    n_samples, n_features : int
    names : (n_features,) array of str or None
    dtype : str
        Of the network for such samples.
    y : array
        Classes that there are, or the least and the largest numbers, in the user's terms; none for
        a partition without rows.
    weight : float or None
        Total of the weights, if there are any.
    """

    n_samples: int
    n_features: int
    names: npt.NDArray[np.object_] | None
    dtype: str
    y: npt.NDArray[Any]
    weight: float | None


def describe(
    name: str, kind: str, estimator: str, wanted: Any, x: Any, y: Any, weights: Any
) -> Description:
    """Return what is known of a partition; see `Description`.

    Parameters
    ----------
    name : str
        What an error calls the partition.
    kind : {"classifier", "regressor"}
    estimator : str
    wanted : dtype or None
        Of the network, if the user says one.
    x, y, weights : object
    """
    return named(name, _describe, kind, estimator, wanted, x, y, weights)


def _describe(kind: str, estimator: str, wanted: Any, x: Any, y: Any, weights: Any) -> Description:
    names = names_of(x)
    n_samples = _length(x)
    if not n_samples:
        return Description(0, 0, names, "", np.empty(0), None)
    table = as_table(x, estimator)
    if kind == "classifier":
        labels = as_labels(y, n_samples, estimator)
        known = np.unique(labels) if labels.ndim == 1 else labels[:1]
    else:
        targets = as_numbers(y, n_samples, estimator)
        known = np.stack([targets.min(axis=0), targets.max(axis=0)])
    total = None
    if weights is not None:
        total = float(weights_of(weights, n_samples, np.dtype(np.float64)).sum())
    dtype = dtype_for(table, wanted)
    return Description(n_samples, table.shape[1], names, dtype.name, known, total)


def weights_of(values: Any, n_samples: int, dtype: np.dtype[Any]) -> FloatArray:
    """Return the weights of a partition, checked; all of them may be 0.

    Raises
    ------
    TypeError, ValueError
        For another shape, and a weight below 0 or not finite.
    """
    array = as_numbers(values, n_samples, "", "sample_weight")
    weights = as_finite(array, dtype, "sample_weight")
    if weights.ndim != 1:
        raise ValueError(f"sample_weight: expected one for each sample, found {weights.shape}")
    require_weights(weights, "sample_weight")
    return weights


def _length(x: Any) -> int:
    shape = getattr(x, "shape", None)
    return len(x) if shape is None else int(shape[0])


@dataclass(frozen=True, eq=False)
class Together:
    """What is known of all partitions together.

    Attributes
    ----------
    sizes : (n_partitions,) array of int
    n_features : int
    names : (n_features,) array of str or None
    dtype : numpy.dtype
    y : array
        Such that a task can be made of it.
    weight : float
        Total weight of the samples.
    """

    sizes: IndexArray
    n_features: int
    names: npt.NDArray[np.object_] | None
    dtype: np.dtype[Any]
    y: npt.NDArray[Any]
    weight: float


def together(partitions: Sequence[Partition], found: Sequence[Description]) -> Together:
    """Return what is known of all partitions; those without rows are left out.

    Raises
    ------
    PartitionError
        For a partition that differs from the first one; both are named.
    ValueError
        If no partition has rows, or all weights are 0.
    """
    with_rows = [
        (one.name, what) for one, what in zip(partitions, found, strict=True) if what.n_samples
    ]
    if not with_rows:
        raise ValueError(f"X: expected at least one sample, found none in {len(found)} partitions")
    first_name, first = with_rows[0]
    for name, what in with_rows[1:]:
        for difference in _differences(first, what):
            raise PartitionError(f"{name}: {difference}, as in {first_name}; make them alike")
    values = np.concatenate([what.y for _, what in with_rows])
    sizes = np.array([what.n_samples for what in found], np.intp)
    weight = float(sizes.sum())
    if first.weight is not None:
        weight = sum(what.weight or 0.0 for _, what in with_rows)
    if not weight:
        raise ValueError(
            "sample_weight: expected at least one weight above 0, found all of them zero"
        )
    return Together(
        sizes,
        first.n_features,
        first.names,
        np.dtype(max((what.dtype for _, what in with_rows), key=lambda name: int(name[5:]))),
        values,
        weight,
    )


def _differences(first: Description, other: Description) -> Iterator[str]:
    """Yield in words how a partition differs from the first one."""
    if other.n_features != first.n_features:
        yield f"expected {first.n_features} features, found {other.n_features}"
    names, own = (None if one.names is None else one.names.tolist() for one in (first, other))
    if names != own:
        yield f"expected the feature names {names}, found {own}"
    if other.y.shape[1:] != first.y.shape[1:]:
        yield (
            f"expected y with the shape (samples{_columns(first.y)}), found "
            f"(samples{_columns(other.y)})"
        )
    if kind_of(other.y) != kind_of(first.y):
        yield f"expected y of {kind_of(first.y)}, found {kind_of(other.y)}"


def _columns(y: npt.NDArray[Any]) -> str:
    return "".join(f", {size}" for size in y.shape[1:]) or ",)"[:1]


def compute(client: Any, values: Any) -> Any:
    """Return the local value of a Dask collection; anything else as it is."""
    if isinstance(values, Future):
        return values.result()
    if is_dask_collection(values):
        (value,) = dask.compute(values, scheduler=client)
        return value
    return values
