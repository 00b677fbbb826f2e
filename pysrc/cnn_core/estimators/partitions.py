"""Metadata of partitioned training data from one pass: of each partition, and combined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cnn_core.arrays import as_finite, require_weights
from cnn_core.estimators.class_weights import kind_of
from cnn_core.estimators.labels import as_labels
from cnn_core.estimators.samples import as_table, dtype_for, names_of
from cnn_core.estimators.targets import as_numbers
from cnn_core.types import FloatArray, IndexArray

_Value = TypeVar("_Value")


class PartitionError(ValueError):
    """A partition of the data cannot be used; the message says which one, why, and what to do."""


def named(name: str, function: Callable[..., _Value], *args: Any) -> _Value:
    """Return ``function(*args)``; its errors name the partition.

    Raises
    ------
    PartitionError
        For any error of the function except a lack of memory.
    """
    try:
        return function(*args)
    except PartitionError:
        raise
    except MemoryError as error:
        raise MemoryError(
            f"{name}: does not fit in the memory of its worker ({error}); pass smaller partitions, "
            "or files, which are read block by block"
        ) from None
    except Exception as error:
        raise PartitionError(f"{name}: {error}") from error


@dataclass(frozen=True, eq=False)
class Description:
    """Metadata of a partition.

    Attributes
    ----------
    n_samples, n_features : int
    names : (n_features,) array of str or None
    dtype : str
        Of a network for these samples.
    y : array
        The classes, or the smallest and largest number, as the user passed them; empty for a
        partition without rows.
    weight : float or None
        Sum of the weights, if there are any.
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
    """Return the metadata of a partition.

    Parameters
    ----------
    name : str
        Name of the partition, for errors.
    kind : {"classifier", "regressor"}
    estimator : str
    wanted : dtype or None
        Dtype of the network, if the user set it.
    x, y, weights : object
    """
    return named(name, _describe, kind, estimator, wanted, x, y, weights)


def _describe(kind: str, estimator: str, wanted: Any, x: Any, y: Any, weights: Any) -> Description:
    names = names_of(x)
    n_samples = _length(x)
    if not n_samples:
        return Description(0, 0, names, "", np.empty(0), None)
    table = as_table(x, estimator)
    known, total = describe_targets(kind, estimator, n_samples, y, weights)
    dtype = dtype_for(table, wanted)
    return Description(n_samples, table.shape[1], names, dtype.name, known, total)


def describe_targets(
    kind: str, estimator: str, n_samples: int, y: Any, weights: Any
) -> tuple[npt.NDArray[Any], float | None]:
    """Return the metadata of targets, and the sum of the weights; see `Description`."""
    if kind == "classifier":
        labels = as_labels(y, n_samples, estimator)
        known = np.unique(labels) if labels.ndim == 1 else labels[:1]
    else:
        targets = as_numbers(y, n_samples, estimator)
        known = np.stack([targets.min(axis=0), targets.max(axis=0)])
    total = None
    if weights is not None:
        total = float(weights_of(weights, n_samples, np.dtype(np.float64)).sum())
    return known, total


def weights_of(values: Any, n_samples: int, dtype: np.dtype[Any]) -> FloatArray:
    """Check the weights of a partition; all of them may be 0.

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
    """Combined metadata of all partitions.

    Attributes
    ----------
    sizes : (n_partitions,) array of int
    n_features : int
    names : (n_features,) array of str or None
    dtype : numpy.dtype
    y : array
        Values from which a task can be made.
    weight : float
        Total weight of the samples.
    """

    sizes: IndexArray
    n_features: int
    names: npt.NDArray[np.object_] | None
    dtype: np.dtype[Any]
    y: npt.NDArray[Any]
    weight: float


def together(partitions: Sequence[str], found: Sequence[Description]) -> Together:
    """Combine the metadata of all partitions; ignore those without rows.

    Raises
    ------
    PartitionError
        For a partition that differs from the first one; both are named.
    ValueError
        If no partition has rows, or all weights are 0.
    """
    with_rows = [
        (name, what) for name, what in zip(partitions, found, strict=True) if what.n_samples
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
    """Yield descriptions of how a partition differs from the first one."""
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
