"""Lazy predictions for Dask collections."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from dask.base import is_dask_collection


def is_lazy(X: Any) -> bool:
    """Tell whether samples are a Dask array or data frame."""
    return bool(is_dask_collection(X))


def lazily(local: Any, method: str, X: Any, columns: int | None, dtype: np.dtype[Any]) -> Any:
    """Return a Dask array of predictions.

    Parameters
    ----------
    local : MLPClassifier or MLPRegressor
    method : str
        Name of the prediction method.
    X : Dask array or data frame, (n, n_features)
    columns : int or None
        Columns of the predictions; None for one dimension.
    dtype : dtype
        Of the predictions.
    """
    if hasattr(X, "map_partitions"):
        return _of_frame(local, method, X, columns, dtype)
    if X.ndim != 2:
        raise ValueError(f"X: expected 2 dimensions, (samples, features), found {X.ndim}")
    if X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    how: dict[str, Any] = {"dtype": dtype, "meta": np.empty((0,) * (1 + bool(columns)), dtype)}
    if columns is None:
        how["drop_axis"] = 1
    else:
        how["chunks"] = (X.chunks[0], (columns,))
    return X.map_blocks(_predicted, local, method, columns, dtype, name=None, **how)


def _of_frame(local: Any, method: str, X: Any, columns: int | None, dtype: np.dtype[Any]) -> Any:
    import pandas as pd

    meta: Any = pd.Series([], dtype=dtype)
    if columns is not None:
        meta = pd.DataFrame({place: pd.Series([], dtype=dtype) for place in range(columns)})
    frame = X.map_partitions(_predicted_frame, local, method, columns, dtype, meta=meta)
    return frame.values


def _predicted(
    X: Any, local: Any, method: str, columns: int | None, dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    """Return the predictions for a block, which may be empty."""
    if not X.shape[0]:
        return np.empty((0,) if columns is None else (0, columns), dtype)
    found: npt.NDArray[Any] = getattr(local, method)(X)
    return found


def _predicted_frame(X: Any, *how: Any) -> Any:
    import pandas as pd

    found = _predicted(X, *how)
    return pd.Series(found, X.index) if found.ndim == 1 else pd.DataFrame(found, X.index)
