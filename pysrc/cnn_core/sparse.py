"""Sparse samples: the nonzero values row by row, as in SciPy's CSR matrices.

SciPy is not needed: a sparse matrix is recognized by its method ``tocsr``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.types import ByteArray, FloatArray, IndexArray

_INDICES = np.dtype(np.int32)
_POSITIONS = np.dtype(np.intp)
# Values checked at a time.
_AT_ONCE = 2**18


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Samples (n, n_features) that store only their nonzero values.

    Attributes
    ----------
    data : (m,) array
        The values, row by row.
    indices : (m,) array of numpy.int32
        The column of each value, rising within a row.
    indptr : (n + 1,) array of numpy.intp
        Row i has the values from ``indptr[i]`` to below ``indptr[i + 1]``.
    n_features : int
    """

    data: npt.NDArray[Any]
    indices: npt.NDArray[np.int32]
    indptr: IndexArray
    n_features: int

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """Samples and features."""
        return len(self.indptr) - 1, self.n_features

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values."""
        return self.data.dtype

    def __getitem__(self, rows: slice | IndexArray) -> SparseRows:
        """Return some rows; a slice shares memory with this object."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return replace(self, indptr=self.indptr[start : max(start, stop) + 1])
        lengths = np.diff(self.indptr)[rows]
        indptr = np.zeros(len(rows) + 1, np.intp)
        np.cumsum(lengths, out=indptr[1:])
        # Old minus new position of the values of each row.
        shift = np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        positions = np.arange(indptr[-1]) + shift
        return SparseRows(self.data[positions], self.indices[positions], indptr, self.n_features)

    def dense(self, dtype: npt.DTypeLike) -> FloatArray:
        """Return the rows with their zeros, (n, n_features); for a batch, not for all samples."""
        rows: FloatArray = np.zeros(self.shape, dtype)
        used = slice(self.indptr[0], self.indptr[-1])
        row_of_value = np.repeat(np.arange(len(self)), np.diff(self.indptr))
        rows[row_of_value, self.indices[used]] = self.data[used]
        return rows

    def place_of(self, position: int) -> str:
        """Return the row and the column of the value at a position in `data`, in words."""
        row = int(np.searchsorted(self.indptr, position, side="right")) - 1
        return f"row {row}, column {self.indices[position]}"


# The samples that an engine accepts.
Samples: TypeAlias = FloatArray | ByteArray | SparseRows


def is_sparse(values: Any) -> bool:
    """Tell whether values are a sparse matrix or array like SciPy's, or sparse rows."""
    return isinstance(values, SparseRows) or hasattr(values, "tocsr")


def has_sparse_columns(values: Any) -> bool:
    """Tell whether values are a pandas data frame of sparse columns with fill value 0."""
    # pandas has `sparse` if all columns are sparse, whatever their fill value is.
    if not (hasattr(values, "iloc") and getattr(values, "ndim", 0) == 2):
        return False
    dtypes = list(values.dtypes)
    return bool(dtypes) and hasattr(values, "sparse") and all(d.fill_value == 0 for d in dtypes)


def as_sparse_rows(values: Any, name: str) -> SparseRows:
    """Convert sparse data to sparse rows; check them, and copy only if necessary.

    Duplicate entries are added, as in SciPy.

    Parameters
    ----------
    values : SparseRows, object with a method ``tocsr``, or frame of sparse columns
        Of any format, with indices in any order.
    name : str
        Its name, for errors.

    Raises
    ------
    TypeError
        For values that are not real numbers.
    ValueError
        For another number of dimensions, and for inconsistent index arrays.
    """
    if isinstance(values, SparseRows):
        return values
    if len(values.shape) != 2:
        raise ValueError(
            f"{name}: expected 2 dimensions, (samples, features), found the shape {values.shape}. "
            f"Reshape your data: pass {name}.reshape(1, -1) if it is one sample"
        )
    matrix = values.tocsr() if hasattr(values, "tocsr") else _rows_of_columns(values)
    data = np.asarray(matrix.data)
    if data.dtype.kind == "c":
        raise ValueError(
            f"{name}: Complex data not supported: expected real numbers, found {data.dtype}; "
            f"pass {name}.real and {name}.imag as features of their own"
        )
    if data.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected real numbers, found a sparse matrix of {data.dtype}")
    n_samples, n_features = (int(size) for size in matrix.shape)
    if n_features > np.iinfo(_INDICES).max:
        raise ValueError(
            f"{name}: expected at most {np.iinfo(_INDICES).max} features, found {n_features}; "
            "leave out those that are 0 throughout, or hash them to fewer"
        )
    indptr = np.ascontiguousarray(matrix.indptr, _POSITIONS)
    indices = np.asarray(matrix.indices)
    _require_csr(data, indices, indptr, n_samples, n_features, name)
    rows = SparseRows(
        np.ascontiguousarray(data), np.ascontiguousarray(indices, _INDICES), indptr, n_features
    )
    return rows if _rise(rows) else _added_up(rows)


def _rows_of_columns(frame: Any) -> SparseRows:
    """Return the rows of a data frame for which `has_sparse_columns` holds."""
    columns = [column.array for _, column in frame.items()]
    row = np.concatenate([column.sp_index.indices for column in columns])
    counts = [column.npoints for column in columns]
    order = np.argsort(row, kind="stable")
    indptr = np.zeros(len(frame) + 1, _POSITIONS)
    np.cumsum(np.bincount(row, minlength=len(frame)), out=indptr[1:])
    data = np.concatenate([column.sp_values for column in columns])[order]
    indices = np.repeat(np.arange(len(columns), dtype=_INDICES), counts)[order]
    return SparseRows(data, indices, indptr, len(columns))


def joined_rows(parts: Sequence[Samples]) -> Samples:
    """Concatenate the rows of several parts; sparse ones stay sparse.

    Raises
    ------
    TypeError
        If some are sparse and some are not.
    """
    dense: list[Any] = [part for part in parts if not isinstance(part, SparseRows)]
    if len(dense) == len(parts):
        joined: FloatArray | ByteArray = np.concatenate(dense)
        return joined
    lengths, data, indices = [np.zeros(1, np.intp)], [], []
    for part in parts:
        if not isinstance(part, SparseRows):
            raise TypeError(
                "X: expected sparse samples in all partitions or in none, found both; make them "
                "alike"
            )
        used = slice(part.indptr[0], part.indptr[-1])
        data.append(part.data[used])
        indices.append(part.indices[used])
        lengths.append(np.diff(part.indptr))
    indptr = np.cumsum(np.concatenate(lengths), dtype=np.intp)
    return SparseRows(np.concatenate(data), np.concatenate(indices), indptr, parts[0].shape[1])


def as_finite_rows(rows: SparseRows, dtype: npt.DTypeLike, name: str) -> SparseRows:
    """Return sparse rows with values of `dtype`; refuse values that are not finite.

    Raises
    ------
    ValueError
        If there is one; the error names row and column of the first.
    """
    with np.errstate(over="ignore"):
        data: FloatArray = np.require(rows.data, dtype, ("C", "A"))
    if rows.data.dtype.kind == "f":
        require_finite_rows(replace(rows, data=data), rows, name)
    return replace(rows, data=data)


def require_finite_rows(converted: SparseRows, original: SparseRows, name: str) -> None:
    """Refuse sparse rows with a value that is not finite; name the first one.

    Raises
    ------
    ValueError
        If there is one.
    """
    for start in range(int(converted.indptr[0]), int(converted.indptr[-1]), _AT_ONCE):
        end = min(start + _AT_ONCE, int(converted.indptr[-1]))
        finite = np.isfinite(converted.data[start:end])
        if finite.all():
            continue
        position = start + int(finite.argmin())
        found = original.data[position]
        reason = f"too large for {converted.dtype}" if np.isfinite(found) else "not finite"
        raise ValueError(
            f"{name}: expected finite numbers, found {found} ({reason}) at "
            f"{converted.place_of(position)}"
        )


def require_sparse_rows(rows: SparseRows, n_features: int, dtype: npt.DTypeLike, name: str) -> None:
    """Refuse sparse rows that an engine cannot read.

    Raises
    ------
    TypeError
        For parts that are not arrays.
    ValueError
        For another number of features, dtype or layout, and for inconsistent indices.
    """
    parts = {
        "data": (rows.data, np.dtype(dtype)),
        "indices": (rows.indices, _INDICES),
        "indptr": (rows.indptr, _POSITIONS),
    }
    for part, (array, expected) in parts.items():
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}.{part}: expected a NumPy array, found {type(array).__name__}")
        if array.dtype != expected or array.ndim != 1 or not array.flags.c_contiguous:
            raise ValueError(
                f"{name}.{part}: expected the dtype {expected}, one dimension, C-contiguous, found "
                f"{array.dtype}, {array.ndim} dimensions"
            )
    if rows.n_features != n_features:
        raise ValueError(
            f"{name}: expected {n_features} features, found {rows.n_features}; "
            "pass those that the network was made for"
        )
    _require_csr(rows.data, rows.indices, rows.indptr, len(rows), n_features, name)
    if not _rise(rows):
        raise ValueError(f"{name}.indices: expected columns that rise within each row")


def _require_csr(
    data: npt.NDArray[Any],
    indices: npt.NDArray[Any],
    indptr: npt.NDArray[Any],
    n_samples: int,
    n_features: int,
    name: str,
) -> None:
    """Refuse arrays that do not form a CSR matrix."""
    what = f"{name}: expected a sparse matrix that agrees with itself, found"
    if data.shape != indices.shape or data.ndim != 1:
        raise ValueError(f"{what} {data.shape} values and {indices.shape} indices")
    if indices.dtype.kind not in "iu":
        raise ValueError(f"{what} indices of {indices.dtype}")
    if indptr.shape != (n_samples + 1,):
        raise ValueError(f"{what} {indptr.shape} positions for {n_samples} rows")
    if indptr[0] < 0 or indptr[-1] > len(data) or (np.diff(indptr) < 0).any():
        raise ValueError(
            f"{what} row positions (indptr) that fall, or leave its {len(data)} values"
        )
    used = indices[indptr[0] : indptr[-1]]
    if used.size and not (used.min() >= 0 and used.max() < n_features):
        position = int(((used < 0) | (used >= n_features)).argmax())
        raise ValueError(f"{what} the column {used[position]} of {n_features}")


def _rise(rows: SparseRows) -> bool:
    """Tell whether the columns of each row are strictly increasing."""
    start, stop = int(rows.indptr[0]), int(rows.indptr[-1])
    if stop - start < 2:
        return True
    rises = rows.indices[start + 1 : stop] > rows.indices[start : stop - 1]
    # Between the last value of a row and the first of the next they may decrease.
    firsts = rows.indptr[1:-1] - start
    rises[firsts[(firsts > 0) & (firsts < stop - start)] - 1] = True
    return bool(rises.all())


def _added_up(rows: SparseRows) -> SparseRows:
    """Return rows with increasing columns; sum duplicates in their order."""
    used = slice(rows.indptr[0], rows.indptr[-1])
    data, indices = rows.data[used], rows.indices[used]
    row_of_value = np.repeat(np.arange(len(rows)), np.diff(rows.indptr))
    order = np.lexsort((indices, row_of_value))
    data, indices, row_of_value = data[order], indices[order], row_of_value[order]
    is_new = np.ones(len(data), bool)
    is_new[1:] = (indices[1:] != indices[:-1]) | (row_of_value[1:] != row_of_value[:-1])
    sums = np.zeros(np.count_nonzero(is_new), data.dtype)
    np.add.at(sums, np.cumsum(is_new) - 1, data)
    indptr = np.zeros_like(rows.indptr)
    np.cumsum(np.bincount(row_of_value[is_new], minlength=len(rows)), out=indptr[1:])
    return SparseRows(sums, indices[is_new], indptr, rows.n_features)
