"""Scores: how good predictions are, from minus infinity to 1, the more the better."""

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
# What an estimator computes itself, from the outputs that it has at hand.
OWN = {"classifier": "accuracy", "regressor": "r2"}


def accuracy(
    y: npt.NDArray[Any], predicted: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None
) -> float:
    """Return the share of samples all of whose labels were predicted, by weight; NaN for none."""
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

    ``1 - sum((y - predicted)**2) / sum((y - mean)**2)`` (coefficient of determination). Where
    all targets are the same up to rounding it is 1 for predictions without error and 0 for others;
    NaN for fewer than two samples that count, and for predictions that are not finite.
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
    """Refuse what no score can be had from.

    Parameters
    ----------
    scoring : str, callable or None
    kind : {"classifier", "regressor"}

    Raises
    ------
    ValueError
        For a name that is not known here, or needs scikit-learn and there is none.
    TypeError
        For anything else than a name, a function and None.
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
    # Not before it matters: workers of a cluster do without it.
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
    """Return the score that a scorer of scikit-learn's kind gives to an estimator as it stands.

    Parameters
    ----------
    scoring : str or callable
        A callable takes the estimator, samples and what is to be predicted, and ``sample_weight``
        if there are weights.
    estimator : MLPClassifier or MLPRegressor
        In the middle of its training.
    x : (n, n_features) array or SparseRows
    y : array
    weights : (n,) array, optional
    """
    if isinstance(x, SparseRows):
        # What SciPy takes; it is there, since a user's sparse matrix is one of its own.
        from scipy.sparse import csr_matrix

        x = csr_matrix((x.data, x.indices, x.indptr), x.shape)
    scorer = _named(scoring) if isinstance(scoring, str) else scoring
    # Its samples have lost their names on the way here, about which it shall not warn.
    nameless = copy.copy(estimator)
    vars(nameless).pop("feature_names_in_", None)
    if weights is None:
        return float(scorer(nameless, x, y))
    return float(scorer(nameless, x, y, sample_weight=weights))
