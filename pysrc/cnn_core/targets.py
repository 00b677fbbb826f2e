"""Validate targets: convert labels and rows of numbers to arrays for a loss."""

from __future__ import annotations

import numbers
import warnings

import numpy as np
import numpy.typing as npt

from cnn_core.arrays import as_finite, as_numbers
from cnn_core.class_targets import ClassTargets, Targets
from cnn_core.containers import missing_in, place_of
from cnn_core.types import FloatArray, IndexArray


def as_targets(
    values: npt.ArrayLike, n_samples: int, n_outputs: int, dtype: npt.DTypeLike, *, name: str = "T"
) -> tuple[Targets, bool]:
    """Return targets for an engine, and whether they are classes.

    Parameters
    ----------
    values : array-like
        Integer labels (n_samples,) from 0 to ``n_outputs - 1``, which stay labels; or one
        row of numbers per sample, (n_samples, n_outputs); or, for a network of one output, one
        number per sample, (n_samples,).
    n_samples, n_outputs : int
    dtype : numpy.float32 or numpy.float64
    name : str
        Name of the argument, for errors.

    Returns
    -------
    targets : ClassTargets or C-contiguous (n_samples, n_outputs) array of `dtype`
    are_classes : bool
        True for labels and for rows that are all one-hot.

    Raises
    ------
    TypeError
        As for `as_samples`, and for labels that are not integers.
    ValueError
        For another rank or size, a label outside its range, or a value that is not finite.
    """
    array = as_numbers(values, name, are_labels=True)
    expected = f"{n_samples} integer labels or the shape ({n_samples}, {n_outputs})"
    if array.ndim not in (1, 2):
        raise ValueError(f"{name}: expected {expected}, found {array.shape}")
    if len(array) != n_samples:
        hint = f"; samples are rows: pass {name}.T" if array.shape == (n_outputs, n_samples) else ""
        raise ValueError(
            f"{name}: expected {expected}, one for each sample, found {array.shape}{hint}"
        )
    if array.ndim == 1 and n_outputs == 1:
        array = array.reshape(-1, 1)
    if array.ndim == 1:
        labels, _ = _as_labels(array, n_outputs, name)
        return ClassTargets(labels, n_outputs), True
    if array.shape[1] != n_outputs:
        hint = f"; labels are one-dimensional: pass {name}.ravel()" if array.shape[1] == 1 else ""
        raise ValueError(
            f"{name}: expected {expected}, found {array.shape}; "
            f"this network has {n_outputs} outputs{hint}"
        )
    targets = as_finite(array, dtype, name)
    return targets, bool(n_outputs > 1 and _rows_are_one_hot(targets))


def one_hot(
    labels: npt.ArrayLike, n_classes: int | None = None, *, name: str = "labels"
) -> npt.NDArray[np.float64]:
    """Return a row for each label, 1.0 in the label's column and 0.0 elsewhere.

    Parameters
    ----------
    labels : array-like of integers, (n,)
        From 0 to ``n_classes - 1``.
    n_classes : int, optional
        Number of columns; by default one more than the largest label.
    name : str
        Name of the labels, for errors.

    Returns
    -------
    (n, n_classes) float64 array

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If they are not one-dimensional, or one of them is out of range.

    Examples
    --------
    >>> one_hot([1, 0, 2])
    array([[0., 1., 0.],
           [1., 0., 0.],
           [0., 0., 1.]])
    """
    positions, n_columns = _as_labels(labels, n_classes, name)
    rows: npt.NDArray[np.float64] = np.zeros((len(positions), n_columns))
    rows[np.arange(len(positions)), positions] = 1
    return rows


def _as_labels(labels: npt.ArrayLike, n_classes: int | None, name: str) -> tuple[IndexArray, int]:
    """Return labels as indices, and the number of classes; see `one_hot`."""
    array = as_numbers(labels, name, are_labels=True)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected one dimension (samples,), found {array.shape}")
    missing = missing_in(array)
    if missing is not None:
        raise ValueError(
            f"{name}: expected a label for every sample, found a missing one "
            f"({array[missing]}, not finite) at index {missing}; leave such samples out"
        )
    if array.size and array.dtype.kind not in "iub":
        raise TypeError(
            f"{name}: expected integer labels, found {array.dtype}; pass {name}.astype(int) "
            "if the values are whole numbers"
        )
    if n_classes is None:
        n_classes = int(array.max()) + 1 if array.size else 0
    elif isinstance(n_classes, bool) or not isinstance(n_classes, numbers.Integral):
        raise TypeError(f"n_classes: expected a whole number, found {n_classes!r}")
    elif n_classes < 0:
        raise ValueError(f"n_classes: expected at least 0, found {n_classes}")
    outside = np.flatnonzero((array < 0) | (array >= n_classes))
    if outside.size:
        first = int(outside[0])
        raise ValueError(
            f"{name}: expected labels from 0 to {n_classes - 1}, "
            f"found {array[first]} at index {first}"
        )
    return array.astype(np.intp), n_classes


def _rows_are_one_hot(rows: FloatArray) -> bool:
    return bool(((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all())


# Rounding may put a target scaled to [0, 1] slightly outside.
_ROUNDING = 1e-6


def require_two_classes(t: FloatArray, name: str) -> None:
    """Refuse labels of three or more classes for a network with one output."""
    if (t.min() < 0 or t.max() > 1) and (t == np.trunc(t)).all():
        position = int(((t < 0) | (t > 1)).argmax())
        raise ValueError(
            f"{name}: expected labels 0 and 1 for a network of one output, found "
            f"{t.flat[position]:g} at index {position}; make it with one output for each class, "
            "or scale numbers to [0, 1]"
        )


def warn_of_unreachable(t: FloatArray) -> None:
    """Warn of targets outside [0, 1], which a sigmoid cannot reach."""
    if t.min() >= -_ROUNDING and t.max() <= 1 + _ROUNDING:
        return
    position = int(((t < -_ROUNDING) | (t > 1 + _ROUNDING)).argmax())
    warnings.warn(
        f"T: expected targets from 0 to 1, as the outputs are, found {t.flat[position]:g} at "
        f"{place_of(t.shape, position)}; scale them first",
        UserWarning,
        stacklevel=4,
    )
