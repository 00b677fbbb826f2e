"""Scores of predictions, from minus infinity to 1; higher is better."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.sparse import SparseRows
from cnn_core.standardization import is_constant
from cnn_core.validation import shown

Scoring: TypeAlias = str | Callable[..., float] | None
# Scores that are computed here, from outputs that exist already.
OWN = {"classifier": "accuracy", "regressor": "r2"}


def accuracy(
    y: npt.NDArray[Any], predicted: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None
) -> float:
    """Return the weighted share of samples with all labels right; NaN without samples."""
    if weights is not None and not weights.any():
        return float("nan")
    right = y == predicted
    if right.ndim == 2:
        right = right.all(axis=1)
    return float(np.average(right, weights=weights))


def r2(
    y: npt.NDArray[Any], predicted: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None
) -> float:
    """Return the share of the variance that is explained, averaged over the outputs.

    ``1 - sum((y - predicted)**2) / sum((y - mean)**2)`` (coefficient of determination). If all
    targets are equal up to rounding, it is 1 for exact predictions and 0 for others. NaN for fewer
    than two samples of positive weight, and for predictions that are not finite.
    """
    if (len(y) if weights is None else np.count_nonzero(weights)) < 2 or not np.isfinite(
        predicted
    ).all():
        return float("nan")
    y = y.astype(np.float64).reshape(len(y), -1)
    errors = y - predicted.reshape(len(y), -1)
    share = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
    unexplained = share @ errors**2
    total = share @ (y - np.average(y, axis=0, weights=share)) ** 2
    counted = y[share > 0]
    total[is_constant(counted.min(axis=0), counted.max(axis=0), y.dtype)] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(total > 0, 1 - unexplained / total, np.where(unexplained > 0, 0.0, 1.0))
    return float(scores.mean())


def require_scoring(scoring: Scoring, kind: str) -> None:
    """Check the parameter `scoring`.

    Parameters
    ----------
    scoring : str, callable or None
    kind : {"classifier", "regressor"}

    Raises
    ------
    ValueError
        For an unknown name, or a name that needs scikit-learn if it is not installed.
    TypeError
        For anything but a name, a function and None.
    """
    if scoring is None or callable(scoring):
        return
    if not isinstance(scoring, str):
        raise TypeError(
            "scoring: expected None, a name or a function of (estimator, X, y), found "
            f"{shown(scoring)}"
        )
    if scoring in ("loss", OWN[kind]):
        return
    # Checked only here, since workers of a cluster do not need scikit-learn.
    if find_spec("sklearn") is None:
        raise ValueError(
            f"scoring: expected {OWN[kind]!r}, 'loss' or a function, found {shown(scoring)}, "
            "which is one of scikit-learn's: pip install scikit-learn"
        )
    _named(scoring)


def _named(name: str) -> Callable[..., float]:
    from sklearn.metrics import get_scorer

    try:
        scorer: Callable[..., float] = get_scorer(name)
    except ValueError as error:
        raise ValueError(f"scoring: {error}") from None
    return scorer


def score_by(
    scoring: str | Callable[..., float],
    estimator: Any,
    x: npt.NDArray[Any] | SparseRows,
    y: npt.NDArray[Any],
    weights: npt.NDArray[Any] | None,
) -> float:
    """Return the score of an estimator in training by a scorer of scikit-learn.

    Parameters
    ----------
    scoring : str or callable
        A callable takes the estimator, samples and true values, and ``sample_weight`` if there are
        weights.
    estimator : MLPClassifier or MLPRegressor
        In training.
    x : (n, n_features) array or SparseRows
    y : array
    weights : (n,) array, optional
    """
    if isinstance(x, SparseRows):
        # SciPy is installed, since the user passed one of its matrices.
        from scipy.sparse import csr_matrix

        x = csr_matrix((x.data, x.indices, x.indptr), x.shape)
    scorer = _named(scoring) if isinstance(scoring, str) else scoring
    # The samples have no feature names here; avoid the warning about that.
    nameless = copy.copy(estimator)
    vars(nameless).pop("feature_names_in_", None)
    if weights is None:
        return float(scorer(nameless, x, y))
    return float(scorer(nameless, x, y, sample_weight=weights))
