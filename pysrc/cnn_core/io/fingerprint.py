"""What data are known by again: a text that two different arrays do not share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.class_targets import ClassTargets
from cnn_core.outputs import block_rows, blocks


def fingerprint(*arrays: npt.NDArray[Any] | ClassTargets, dtype: npt.DTypeLike = np.float32) -> str:
    """Return dtypes, shapes and SHA-256 of arrays as one text.

    Parameters
    ----------
    *arrays : array or ClassTargets
        Targets that are classes have the text of their rows, so that a training is known by either.
    dtype : dtype
        That of such rows.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{_dtype_of(array, dtype).str}{array.shape}".encode())
        for part in _parts(array, dtype):
            digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    first = arrays[0]
    name = _dtype_of(first, dtype).name
    return f"{name} {first.shape} with SHA-256 {digest.hexdigest()}"


def _dtype_of(array: npt.NDArray[Any] | ClassTargets, dtype: npt.DTypeLike) -> np.dtype[Any]:
    return np.dtype(dtype) if isinstance(array, ClassTargets) else array.dtype


def _parts(
    array: npt.NDArray[Any] | ClassTargets, dtype: npt.DTypeLike
) -> Iterator[npt.NDArray[Any]]:
    """Give the values, a block of rows at a time where they are not there as an array."""
    if isinstance(array, ClassTargets):
        for rows in blocks(len(array), block_rows(array.n_classes)):
            yield array[rows].rows(dtype)
    else:
        yield array
