"""Check samples for an estimator: arrays and data frames become one array.

Errors are ``ValueError`` or ``TypeError``. They say what was expected, what was found and what to
do, with the phrases that scikit-learn's estimator checks look for.
"""

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.arrays import as_finite
from cnn_core.containers import as_array, column_names, no_numbers
from cnn_core.sparse import (
    Samples,
    SparseRows,
    as_finite_rows,
    as_sparse_rows,
    has_sparse_columns,
    is_sparse,
)
from cnn_core.validation import parameters_dtype

_BYTES = np.dtype(np.uint8)
_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_NAMES_IN_AN_ERROR = 5
# The learners that take text, dates and gaps.
_LEARNERS_OF_TABLES = {"MLPClassifier": "TabularClassifier", "MLPRegressor": "TabularRegressor"}

Table: TypeAlias = npt.NDArray[Any] | SparseRows


def as_table(values: Any, estimator: str, name: str = "X") -> Table:
    """Return samples as a two-dimensional array of real numbers that is not empty.

    A sparse matrix stays one, and a data frame of sparse columns becomes sparse rows.

    Parameters
    ----------
    values : array-like, data frame or sparse matrix, (n, n_features)
    estimator : str
        Name of the class, for errors.
    name : str
        Name of the argument, for errors.

    Raises
    ------
    TypeError
        For values that are no real numbers, and for masked arrays.
    ValueError
        For another number of dimensions, and if there are no samples or no features.
    """
    if is_sparse(values) or has_sparse_columns(values):
        rows = as_sparse_rows(values, name)
        require_some(rows.shape, estimator, name)
        return rows
    array = as_real_numbers(values, name, _or_a_learner_of_tables(estimator))
    if array.ndim != 2:
        raise ValueError(about_dimensions(array, name))
    require_some(array.shape, estimator, name)
    return array


def _or_a_learner_of_tables(estimator: str) -> str:
    """Return what an error about text, dates or gaps has to add; nothing for other classes."""
    other = _LEARNERS_OF_TABLES.get(estimator)
    return f"; or use {other}, which takes text, dates and missing values" if other else ""


def as_real_numbers(values: Any, name: str, advice: str = "") -> npt.NDArray[Any]:
    """Return samples as an array of real numbers with any number of dimensions.

    Parameters
    ----------
    values : array-like
    name : str
        Name of the argument, for errors.
    advice : str
        What an error about other values than numbers ends with.

    Raises
    ------
    TypeError, ValueError
        For values that are no real numbers, and for masked arrays.
    """
    array = as_array(values, name)
    if array.dtype.kind == "c":
        raise ValueError(
            f"{name}: Complex data not supported: expected real numbers, found {array.dtype}; "
            f"pass {name}.real and {name}.imag as features of their own"
        )
    return array if array.dtype.kind in "fiub" else _as_float64(array, values, name, advice)


def require_some(shape: tuple[int, ...], estimator: str, name: str) -> None:
    """Refuse arrays without samples or without features."""
    samples, features = shape
    if not samples:
        raise ValueError(
            f"{name}: expected at least one sample, found 0 sample(s) (shape={shape}) "
            f"while a minimum of 1 is required by {estimator}."
        )
    if not features:
        raise ValueError(
            f"{name}: expected at least one feature, found 0 feature(s) (shape={shape}) "
            f"while a minimum of 1 is required. {estimator} learns from features."
        )


def as_samples(
    table: Table,
    dtype: np.dtype[Any],
    estimator: str,
    name: str = "X",
    columns: list[Any] | None = None,
) -> Samples:
    """Return a table for an engine: C-contiguous, of `dtype` and finite, or bytes.

    Sparse rows stay sparse.

    Parameters
    ----------
    table : (n, n_features) array or SparseRows
        The result of `as_table`.
    dtype : dtype of float32 or float64
    estimator : str
        Name of the class, for errors.
    name : str
        Name of the argument, for errors.
    columns : list, optional
        Names of the features, for errors.

    Raises
    ------
    ValueError
        For a value that is not finite or does not fit into `dtype`.
    """
    if not isinstance(table, SparseRows) and table.dtype == _BYTES:
        return np.ascontiguousarray(table, _BYTES)
    try:
        if isinstance(table, SparseRows):
            return as_finite_rows(table, dtype, name)
        return as_finite(table, dtype, name, columns)
    except ValueError as error:
        advice = "" if isinstance(table, SparseRows) else _or_a_learner_of_tables(estimator)
        raise ValueError(
            f"{error}; {estimator} takes no NaN and no infinity (inf): leave such samples out or "
            f"fill the gaps first{advice}"
        ) from None


def dtype_for(table: Table, wanted: npt.DTypeLike | None) -> np.dtype[Any]:
    """Return the dtype of a network for such samples, or the user's choice.

    It is float32 for float32, float16 and bytes, and float64 for all others.

    Raises
    ------
    ValueError
        For another choice than float32 and float64.
    """
    if wanted is None:
        short = table.dtype in (_FLOAT32, np.dtype(np.float16), _BYTES)
        return _FLOAT32 if short else _FLOAT64
    return parameters_dtype(wanted, "exact")


def _as_float64(array: npt.NDArray[Any], values: Any, name: str, advice: str) -> npt.NDArray[Any]:
    """Convert objects and text that represent numbers."""
    if array.dtype.kind in "OSU":
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            pass
    error = no_numbers(array, values, name, text_counts=True)
    raise type(error)(f"{error}{advice}")


def about_dimensions(array: npt.NDArray[Any], name: str) -> str:
    """Return the error text for an array that does not have two dimensions."""
    expected = f"{name}: expected 2 dimensions, (samples, features), found the shape {array.shape}"
    if array.ndim < 2:
        return (
            f"{expected}. Reshape your data: pass {name}.reshape(-1, 1) if it has one feature or "
            f"{name}.reshape(1, -1) if it is one sample"
        )
    return f"{expected}; flatten each sample: pass {name}.reshape(len({name}), -1)"


# Names of features


def names_of(values: Any) -> npt.NDArray[np.object_] | None:
    """Return the names of the columns of a data frame if all of them are text, else None.

    Raises
    ------
    TypeError
        If only some of them are text.
    """
    names = column_names(values)
    if names is None:
        return None
    texts = sum(isinstance(name, str) for name in names)
    if not texts:
        return None
    if texts < len(names):
        kinds = sorted({type(name).__name__ for name in names})
        raise TypeError(
            "Feature names are only supported if all input features have string names, "
            f"found {', '.join(kinds)}; pass X with X.columns = X.columns.astype(str)"
        )
    array = np.empty(len(names), object)
    array[:] = names
    return array


def require_features(
    n_features: int,
    names: npt.NDArray[np.object_] | None,
    fitted: int,
    fitted_names: npt.NDArray[np.object_] | None,
    estimator: str,
    name: str = "X",
) -> None:
    """Refuse samples with other features than those that the estimator was fitted with.

    Parameters
    ----------
    n_features : int
        Number of features of the samples.
    names : (n_features,) array of str, optional
    fitted : int
        Number of features in `fit`.
    fitted_names : (fitted,) array of str, optional
    estimator : str
        Name of the class.
    name : str
        Name of the argument, for errors.

    Raises
    ------
    ValueError
        For other names, another order of them, or another number.

    Warns
    -----
    UserWarning
        If only one side has names.
    """
    if names is not None and fitted_names is not None:
        if names.tolist() != fitted_names.tolist():
            raise ValueError(_about_names(names.tolist(), fitted_names.tolist()))
    elif names is not None:
        warnings.warn(
            f"X has feature names, but {estimator} was fitted without feature names",
            UserWarning,
            stacklevel=5,
        )
    elif fitted_names is not None:
        warnings.warn(
            f"X does not have valid feature names, but {estimator} was fitted with feature names",
            UserWarning,
            stacklevel=5,
        )
    if n_features != fitted:
        raise ValueError(
            f"{name} has {n_features} features, but {estimator} is expecting {fitted} features "
            "as input: pass the features that it was fitted with"
        )


def _about_names(found: list[str], expected: list[str]) -> str:
    message = "The feature names should match those that were passed during fit.\n"
    unseen = sorted(set(found) - set(expected))
    missing = sorted(set(expected) - set(found))
    for title, names in (
        ("Feature names unseen at fit time", unseen),
        ("Feature names seen at fit time, yet now missing", missing),
    ):
        if names:
            shown = [f"- {name}\n" for name in names[:_NAMES_IN_AN_ERROR]]
            more = ["- ...\n"] if len(names) > _NAMES_IN_AN_ERROR else []
            message += f"{title}:\n" + "".join(shown + more)
    if not unseen and not missing:
        message += "Feature names must be in the same order as they were in fit.\n"
    return message
