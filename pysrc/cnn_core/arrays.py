"""Input validation: arrays of a user become arrays of known shape, dtype and values.

Errors are ``ValueError`` or ``TypeError``. They say what was expected, what was found and what to
do. Arguments are not modified, and arrays that fit already are not copied.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from cnn_core.containers import as_array, column_names, no_numbers, place_of, require_unmasked
from cnn_core.sparse import Samples, as_finite_rows, as_sparse_rows, has_sparse_columns, is_sparse
from cnn_core.types import FloatArray

_BYTES = np.dtype(np.uint8)
# Values checked at a time: few enough for the caches, enough for long loops in NumPy.
_AT_ONCE = 2**18


def as_samples(
    values: npt.ArrayLike,
    n_features: int,
    dtype: np.dtype[Any],
    *,
    name: str = "X",
    empty_allowed: bool = False,
    finite_unless_as_is: bool = False,
) -> Samples:
    """Return `values` as a C-contiguous (n, n_features) array or sparse rows, all of it finite.

    Parameters
    ----------
    values : array-like or sparse matrix of numbers or booleans, (n, n_features)
    n_features : int
    dtype : dtype of float32 or float64
        Of the result; but bytes (uint8) stay bytes.
    name : str
        Name of the argument, for errors.
    empty_allowed : bool
        Whether there may be no samples.
    finite_unless_as_is : bool
        Whether an array that is returned unchanged is not checked to be finite, because the caller
        does that with `require_finite`.

    Raises
    ------
    TypeError
        For anything that is not made of real numbers, and for masked arrays.
    ValueError
        For another rank or number of features, no samples, or a value that is not finite or does
        not fit into `dtype`.
    """
    if are_samples(values, n_features, dtype):
        if values.dtype is dtype and not finite_unless_as_is:
            require_finite(values, values, name)
        return values
    if is_sparse(values) or has_sparse_columns(values):
        rows = as_sparse_rows(values, name)
        if rows.n_features != n_features:
            raise ValueError(
                f"{name}: expected the shape (samples, {n_features}), found {rows.shape}; "
                f"this network has {n_features} inputs"
            )
        if not (len(rows) or empty_allowed):
            raise ValueError(f"{name}: expected at least one sample, found none")
        return as_finite_rows(rows, dtype, name)
    array = as_numbers(values, name)
    if array.ndim == 1 and array.shape[0] == n_features:
        raise ValueError(
            f"{name}: expected the shape (samples, {n_features}), found {array.shape}; "
            f"one sample is a row: pass {name}.reshape(1, -1)"
        )
    if array.ndim > 2 and np.prod(array.shape[1:]) == n_features:
        raise ValueError(
            f"{name}: expected the shape (samples, {n_features}), found {array.shape}; "
            f"flatten each sample: pass {name}.reshape(len({name}), -1)"
        )
    if array.ndim == 2 and array.shape[0] == n_features != array.shape[1]:
        raise ValueError(
            f"{name}: expected the shape (samples, {n_features}), found {array.shape}; "
            f"samples are rows: pass {name}.T"
        )
    if array.ndim != 2 or array.shape[1] != n_features:
        raise ValueError(
            f"{name}: expected the shape (samples, {n_features}), found {array.shape}; "
            f"this network has {n_features} inputs"
        )
    if not (len(array) or empty_allowed):
        raise ValueError(f"{name}: expected at least one sample, found none")
    if array.dtype == _BYTES:
        return np.ascontiguousarray(array, _BYTES)
    return as_finite(array, dtype, name, column_names(values))


def as_checked(
    values: npt.NDArray[Any],
    shape: tuple[int | None, ...],
    dtypes: tuple[np.dtype[Any], ...],
    name: str,
) -> npt.NDArray[Any]:
    """Return an array that was validated already; refuse any other, convert nothing.

    Parameters
    ----------
    values : array
    shape : tuple of int or None
        None stands for any size.
    dtypes : tuple of dtype
        Allowed dtypes.
    name : str
        Name of the argument, for errors.

    Raises
    ------
    TypeError
        If it is not a NumPy array, and for masked arrays.
    ValueError
        For another rank, size, dtype or byte order, and if it is not C-contiguous and aligned.
    """
    if type(values) is np.ndarray and values.dtype is dtypes[0] and values.shape == shape:
        flags = values.flags
        if flags.c_contiguous and flags.aligned:
            return values
    if not isinstance(values, np.ndarray):
        raise TypeError(f"{name}: expected a NumPy array, found {type(values).__name__}")
    require_unmasked(values, name)
    if values.dtype not in dtypes:
        expected = " or ".join(str(dtype) for dtype in dtypes)
        raise ValueError(
            f"{name}: expected the dtype {expected}, found {values.dtype}; "
            f"pass {name}.astype({str(dtypes[0])!r})"
        )
    if values.ndim != len(shape) or any(
        size not in (None, found) for size, found in zip(shape, values.shape, strict=True)
    ):
        sizes = ", ".join("n" if size is None else str(size) for size in shape)
        comma = "," if len(shape) == 1 else ""
        raise ValueError(f"{name}: expected the shape ({sizes}{comma}), found {values.shape}")
    if not (values.flags.c_contiguous and values.flags.aligned):
        raise ValueError(
            f"{name}: expected a C-contiguous, aligned array, found the strides {values.strides}; "
            f"pass {name}.copy()"
        )
    return values.view(np.ndarray)


def aligned_within(value: Any) -> Any:
    """Return an array, or a dataclass of arrays, with copies of unaligned ones.

    Arrays sent by another process may start at any address.
    """
    if isinstance(value, np.ndarray):
        return np.require(value, None, ("C", "A"))
    if is_dataclass(value) and not isinstance(value, type):
        own = {one.name: aligned_within(getattr(value, one.name)) for one in fields(value)}
        return replace(value, **own)
    return value


def require_apart(name: str, written: npt.NDArray[Any], **read: npt.NDArray[Any] | None) -> None:
    """Refuse an output that shares memory with an array that is read while it is written.

    Parameters
    ----------
    name : str
        Name of the output, for errors.
    written : array
    **read : array or None
        Named arrays; all of them C-contiguous, like `written`.

    Raises
    ------
    ValueError
        If one of them overlaps it, or if it is read-only.
    """
    if not written.flags.writeable:
        raise ValueError(f"{name}: expected a writeable array, found a read-only one")
    for other, array in read.items():
        if array is not None and np.may_share_memory(written, array):
            raise ValueError(
                f"{name}: expected an array of its own, found one that shares memory with {other}"
            )


def require_weights(weights: FloatArray, name: str) -> None:
    """Refuse weights that are negative or not finite.

    Raises
    ------
    ValueError
        If there is one; the error names the first.
    """
    require_finite(weights, weights, name)
    below = np.flatnonzero(weights < 0)
    if below.size:
        first = int(below[0])
        raise ValueError(
            f"{name}: expected weights of at least 0, found {weights[first]} at index {first}"
        )


def are_samples(
    values: npt.ArrayLike, n_features: int, dtype: np.dtype[Any]
) -> TypeGuard[npt.NDArray[Any]]:
    """Tell quickly whether `values` fit an engine; finiteness is not checked.

    False may also mean that a full check is needed.
    """
    return (
        type(values) is np.ndarray
        and (values.dtype is dtype or values.dtype is _BYTES)
        and values.ndim == 2
        and values.shape[1] == n_features
        and len(values) > 0
        and values.flags.c_contiguous
        and values.flags.aligned
    )


def as_numbers(values: npt.ArrayLike, name: str, *, are_labels: bool = False) -> npt.NDArray[Any]:
    """Return an array of real numbers, of any shape, dtype and layout.

    Parameters
    ----------
    values : array-like
    name : str
        Name of the argument, for errors.
    are_labels : bool
        Whether the values may be class labels, for the advice in errors.

    Raises
    ------
    TypeError
        For anything that is not made of real numbers, and for masked and sparse arrays.
    ValueError
        For rows of unequal length.
    """
    if hasattr(values, "tocsr"):
        raise TypeError(
            f"{name}: expected a dense array, found a sparse one; pass {name}.toarray()"
        )
    array = as_array(values, name)
    if array.dtype.kind not in "fiub":
        error = no_numbers(array, values, name)
        if are_labels and array.dtype.kind in "OSU" and isinstance(error, TypeError):
            raise TypeError(
                f"{error}; class names become numbers by np.unique({name}, return_inverse=True)"
            )
        raise error
    return array


def as_finite(
    array: npt.NDArray[Any],
    dtype: npt.DTypeLike,
    name: str,
    columns: list[Any] | None = None,
) -> FloatArray:
    """Return `array` as a C-contiguous array of `dtype`; refuse values that are not finite.

    Parameters
    ----------
    array : array of real numbers
    dtype : numpy.float32 or numpy.float64
    name : str
        Name of the argument, for errors.
    columns : list, optional
        Names of its columns.

    Raises
    ------
    ValueError
        If a value is not finite or does not fit into `dtype`; the error names the first.
    """
    with np.errstate(over="ignore"):
        converted: FloatArray = np.require(array, dtype, ("C", "A"))
    if array.dtype.kind == "f":
        require_finite(converted, array, name, columns)
    return converted


def require_finite(
    converted: npt.NDArray[Any],
    original: npt.NDArray[Any],
    name: str,
    columns: list[Any] | None = None,
) -> None:
    """Refuse an array with a value that is not finite; name the first one.

    Parameters
    ----------
    converted : array of float32 or float64, C-contiguous
    original : array of the same shape
        The array before conversion.
    name : str
        Its name, for errors.
    columns : list, optional
        Names of its columns.

    Raises
    ------
    ValueError
        If there is such a value.
    """
    values = converted.reshape(-1)
    for start in range(0, values.size, _AT_ONCE):
        finite = np.isfinite(values[start : start + _AT_ONCE])
        if np.count_nonzero(finite) == finite.size:
            continue
        position = start + int(finite.argmin())
        found = original.flat[position]
        where = place_of(converted.shape, position, columns)
        reason = f"too large for {converted.dtype}" if np.isfinite(found) else "not finite"
        raise ValueError(f"{name}: expected finite numbers, found {found} ({reason}) at {where}")


def copy_into(target: FloatArray, value: npt.ArrayLike, name: str) -> None:
    """Copy finite numbers into an array.

    Parameters
    ----------
    target : array
        Written to.
    value : array-like of its shape
    name : str
        What the caller's user calls the array.

    Raises
    ------
    TypeError, ValueError
        For anything but finite numbers of the right shape. `target` is then unchanged.
    """
    found = as_numbers(value, name)
    if found.shape != target.shape:
        raise ValueError(f"{name}: expected the shape {target.shape}, found {found.shape}")
    target[...] = as_finite(found, target.dtype, name)


def copy_exactly(name: str, source: FloatArray, target: FloatArray) -> None:
    """Copy the values of a file into an array; they need not be finite.

    Raises
    ------
    ValueError
        If the shapes or dtypes differ.
    """
    if source.dtype != target.dtype:
        raise ValueError(f"{name}: expected {target.dtype}, found {source.dtype}")
    if source.shape != target.shape:
        raise ValueError(f"{name}: expected the shape {target.shape}, found {source.shape}")
    target[...] = source
