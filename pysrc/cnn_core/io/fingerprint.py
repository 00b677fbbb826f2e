"""Fingerprints of data: texts that identify arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.class_targets import ClassTargets
from cnn_core.outputs import block_rows, blocks
from cnn_core.sparse import SparseRows


@dataclass(frozen=True)
class Elsewhere:
    """Data that are not in this process, identified by a text.

    Attributes
    ----------
    text : str
    n_samples : int
    """

    text: str
    n_samples: int

    def __len__(self) -> int:
        return self.n_samples


Data: TypeAlias = npt.NDArray[Any] | ClassTargets | SparseRows
_SPARSE = "sparse "


def fingerprint(*arrays: Data, dtype: npt.DTypeLike = np.float32, as_dense: bool = False) -> str:
    """Return dtypes, shapes and SHA-256 of arrays as one text.

    Parameters
    ----------
    *arrays : array, ClassTargets or SparseRows
        Class labels have the same fingerprint as their one-hot rows.
    dtype : dtype
        Dtype of these rows.
    as_dense : bool
        Whether sparse rows get the fingerprint of the same dense rows.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{_dtype_of(array, dtype).str}{array.shape}".encode())
        for part in _parts(array, dtype, as_dense):
            digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    first = arrays[0]
    kind = _SPARSE if isinstance(first, SparseRows) and not as_dense else ""
    name = _dtype_of(first, dtype).name
    return f"{kind}{name} {first.shape} with SHA-256 {digest.hexdigest()}"


def is_of_sparse(text: str) -> bool:
    """Tell whether a fingerprint is of sparse rows."""
    return text.startswith(_SPARSE)


def _dtype_of(array: Data, dtype: npt.DTypeLike) -> np.dtype[Any]:
    return np.dtype(dtype) if isinstance(array, ClassTargets) else array.dtype


def _parts(array: Data, dtype: npt.DTypeLike, as_dense: bool) -> Iterator[npt.NDArray[Any]]:
    """Yield the values; for other types than arrays in blocks of rows."""
    if isinstance(array, ClassTargets):
        for rows in blocks(len(array), block_rows(array.n_classes)):
            yield array[rows].rows(dtype)
    elif isinstance(array, SparseRows) and as_dense:
        for rows in blocks(len(array), max(2**18 // array.n_features, 1)):
            yield array[rows].dense(dtype)
    elif isinstance(array, SparseRows):
        used = slice(array.indptr[0], array.indptr[-1])
        yield from (array.data[used], array.indices[used], array.indptr - array.indptr[0])
    else:
        yield array
