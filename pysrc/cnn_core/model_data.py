"""Input validation of a `Model`: arrays are checked, but not converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cnn_core.arrays import are_samples, as_checked, require_apart, require_weights
from cnn_core.class_targets import ClassTargets, Targets, as_class_targets
from cnn_core.containers import require_unmasked
from cnn_core.network import Network
from cnn_core.sparse import Samples, SparseRows, require_sparse_rows
from cnn_core.training.state import TrainingData
from cnn_core.types import FloatArray, IndexArray
from cnn_core.validation import shown

_BYTES = np.dtype(np.uint8)
_Array = TypeVar("_Array", bound=npt.NDArray[Any])


def as_model_samples(x: Samples, network: Network, dtype: np.dtype[Any], name: str) -> Samples:
    """Check samples for an engine; they may be empty, and need not be finite.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    n_inputs = network.layers[0].fan_in
    if isinstance(x, SparseRows):
        require_sparse_rows(x, n_inputs, dtype, name)
        return x
    if are_samples(x, n_inputs, dtype):
        return x
    return as_checked(x, (None, n_inputs), (dtype, _BYTES), name)


def as_model_arrays(
    x: Samples,
    t: Targets,
    weights: FloatArray | None,
    network: Network,
    dtype: np.dtype[Any],
    part: str = "",
) -> tuple[Samples, Targets, FloatArray | None]:
    """Check samples, targets and weights for an engine.

    Parameters
    ----------
    part : str
        Prefix of their names in errors.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    x = as_model_samples(x, network, dtype, f"{part}x")
    t = as_model_targets(t, len(x), network, dtype, f"{part}t")
    if weights is not None:
        weights = as_checked(weights, (len(x),), (dtype,), f"{part}weights")
        require_weights(weights, f"{part}weights")
    return x, t, weights


def as_model_targets(
    t: Targets, n_samples: int, network: Network, dtype: np.dtype[Any], name: str
) -> Targets:
    """Check targets for an engine; labels may be of any integer dtype.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    n_outputs = network.n_outputs
    if isinstance(t, np.ndarray) and t.ndim == 1 and t.dtype.kind in "iu" and n_outputs > 1:
        require_unmasked(t, name)
        t = ClassTargets(t, n_outputs)
    if isinstance(t, ClassTargets):
        return as_class_targets(t, n_samples, n_outputs, name)
    return as_checked(t, (n_samples, n_outputs), (dtype,), name)


def as_training_data(
    data: TrainingData,
    network: Network,
    dtype: np.dtype[Any],
    own: Sequence[npt.NDArray[Any]],
) -> TrainingData:
    """Return training data; copy arrays that share memory with `own`, which steps change.

    Raises
    ------
    TypeError, ValueError
        For arrays of the wrong shape, dtype or layout, and for empty data.
    """

    def checked(part_of: Any, part: str) -> dict[str, Any]:
        x, t, weights = as_model_arrays(part_of.x, part_of.t, part_of.weights, network, dtype, part)
        if not len(x):
            raise ValueError(f"{part}x: expected at least one sample, found none")
        weights = None if weights is None else _apart(weights, own)
        if not isinstance(t, ClassTargets):
            t = _apart(t, own)
        x = replace(x, data=_apart(x.data, own)) if isinstance(x, SparseRows) else _apart(x, own)
        rows = None if part_of.rows is None else _as_rows(part_of.rows, len(x), f"{part}rows")
        return {"x": x, "t": t, "weights": weights, "rows": rows}

    data = replace(data, **checked(data, ""))
    if data.validation is None:
        return data
    validation = replace(data.validation, **checked(data.validation, "validation "))
    return replace(data, validation=validation)


def _as_rows(rows: IndexArray, n_samples: int, name: str) -> IndexArray:
    """Check indices of samples, and return a copy.

    Raises
    ------
    TypeError, ValueError
        For anything else, and for an empty array.
    """
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "iu" or rows.ndim != 1:
        raise TypeError(f"{name}: expected an array (n,) of whole numbers, found {shown(rows)}")
    if not rows.size:
        raise ValueError(f"{name}: expected at least one sample, found none")
    if rows.min() < 0 or rows.max() >= n_samples:
        raise ValueError(
            f"{name}: expected numbers of samples from 0 to {n_samples - 1}, found "
            f"{rows.min()} to {rows.max()}"
        )
    return rows.astype(np.intp)


def require_output(
    out: FloatArray,
    network: Network,
    dtype: np.dtype[Any],
    n_samples: int,
    *,
    x: Samples,
    **read: FloatArray | None,
) -> None:
    """Refuse an output array that is unsuitable or shares memory with `x` or `read`.

    Raises
    ------
    TypeError, ValueError
        For such an array.
    """
    as_checked(out, (n_samples, network.n_outputs), (dtype,), "out")
    require_apart("out", out, x=x.data if isinstance(x, SparseRows) else x, **read)


def _apart(array: _Array, own: Sequence[npt.NDArray[Any]]) -> _Array:
    return array.copy() if any(np.may_share_memory(array, one) for one in own) else array
