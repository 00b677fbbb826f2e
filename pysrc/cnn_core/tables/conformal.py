"""Conformal prediction: intervals and sets with a given coverage, from out-of-fold errors.

For rows from one distribution, the rank of a new error among n earlier ones is uniform (Vovk,
Gammerman, Shafer, "Algorithmic learning in a random world", 2005). So the ``ceil((n + 1) *
coverage)``-th smallest error covers a share of at least `coverage` of new rows, whatever the
network. The errors come from networks that did not learn from the row (Barber et al., "Predictive
inference with the jackknife+", 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.types import FloatArray
from cnn_core.validation import between

Numbers = npt.NDArray[np.float64]

# The scale of errors is measured in this many parts of the range of predictions.
_PARTS = 10
_LEAST_ROWS_OF_A_PART = 30
# Larger errors are cut to this, so that sums stay finite.
_LARGEST = 1e290
# The local scale is used if it makes intervals shorter by this share.
_LEAST_GAIN = 0.02


@dataclass(frozen=True, eq=False)
class ErrorScale:
    """Size of errors as a piecewise-linear function of the prediction.

    Attributes
    ----------
    predictions, sizes : (m,) arrays
        Sorted by prediction; sizes above 0. A single point means a constant size.
    """

    predictions: Numbers
    sizes: Numbers

    def at(self, predictions: Numbers) -> Numbers:
        """Return the size of errors at these predictions."""
        return np.interp(predictions, self.predictions, self.sizes)


@dataclass(frozen=True, eq=False)
class ErrorQuantiles:
    """The out-of-fold errors of a regressor, to compute quantiles and intervals.

    Attributes
    ----------
    scale : ErrorScale
    errors : (n,) array
        ``(target - prediction) / size`` of the held-out rows, sorted.
    """

    scale: ErrorScale
    errors: Numbers

    @classmethod
    def of(cls, targets: Numbers, predictions: Numbers) -> ErrorQuantiles:
        """Return the quantiles for held-out rows.

        The errors are scaled locally if that makes 90 % intervals shorter on average.
        """
        with np.errstate(over="ignore"):
            errors = np.clip(targets - predictions, -_LARGEST, _LARGEST)
        plain = ErrorScale(np.zeros(1), np.ones(1))
        local = _local_scale(predictions, np.abs(errors))
        if local is not None:
            sizes = local.at(predictions)
            wide = _width(errors)
            if _width(errors / sizes) * sizes.mean() < (1 - _LEAST_GAIN) * wide:
                return cls(local, np.sort(errors / sizes))
        return cls(plain, np.sort(errors))

    def interval(self, predictions: Numbers, coverage: float) -> Numbers:
        """Return the ends of intervals, (n, 2).

        Raises
        ------
        ValueError
            If there are too few errors for this coverage, or it is not between 0 and 1.
        """
        coverage = between("coverage", coverage, 0, 1)
        self._require_errors()
        tail = (1 - coverage) / 2
        rank = math.floor((len(self.errors) + 1) * tail + 1e-9)
        if rank < 1:
            least = math.ceil(2 / (1 - coverage) - 1e-9) - 1
            raise ValueError(
                f"coverage: expected at most {1 - 2 / (len(self.errors) + 1):.3g} with "
                f"{len(self.errors)} rows that were held out, found {coverage:g}, for which it "
                f"takes {least}"
            )
        ends = self.errors[[rank - 1, len(self.errors) - rank]]
        found: Numbers = predictions[:, None] + self.scale.at(predictions)[:, None] * ends
        return found

    def quantiles(self, predictions: Numbers, quantiles: Numbers) -> Numbers:
        """Return quantiles of the target, (n, n_quantiles).

        Raises
        ------
        ValueError
            If there are no errors.
        """
        self._require_errors()
        # The k-th of n sorted errors is the quantile k / (n + 1).
        ranks = np.arange(1, len(self.errors) + 1) / (len(self.errors) + 1)
        ends = np.interp(quantiles, ranks, self.errors)
        found: Numbers = predictions[:, None] + self.scale.at(predictions)[:, None] * ends
        return found

    def _require_errors(self) -> None:
        if not len(self.errors):
            raise ValueError(
                "expected a fit in which rows were held out, whose errors are known, found none; "
                "fit more rows"
            )

    def to_tensors(self) -> dict[str, FloatArray]:
        """Return its arrays by name."""
        return {
            "predictions": self.scale.predictions,
            "sizes": self.scale.sizes,
            "errors": self.errors,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Any]) -> ErrorQuantiles:
        """Return the object from the result of `to_tensors`.

        Raises
        ------
        KeyError, ValueError
            For anything else.
        """
        places, sizes, errors = (tensors[name] for name in ("predictions", "sizes", "errors"))
        good = (
            places.ndim == sizes.ndim == errors.ndim == 1
            and len(places) == len(sizes) >= 1
            and np.isfinite(places).all()
            and np.isfinite(sizes).all()
            and np.isfinite(errors).all()
            and (sizes > 0).all()
            and (np.diff(places) >= 0).all()
            and (np.diff(errors) >= 0).all()
        )
        if not good:
            raise ValueError("errors: expected numbers in rising order and sizes above 0")
        return cls(ErrorScale(places, sizes), errors)


def _width(errors: Numbers) -> float:
    low, high = np.quantile(errors, (0.05, 0.95)).tolist()
    return float(high - low)


def _local_scale(predictions: Numbers, sizes: Numbers) -> ErrorScale | None:
    """Return the mean size of errors in parts of the range of predictions; None for few rows."""
    parts = min(_PARTS, len(predictions) // _LEAST_ROWS_OF_A_PART)
    if parts < 3 or not sizes.any():
        return None
    order = np.array_split(np.argsort(predictions, kind="stable"), parts)
    # Halves and a median, so that nothing overflows.
    places = np.array([np.median(predictions[rows] / 2) for rows in order]) * 2
    means = np.array([sizes[rows].mean() for rows in order])
    # Not too small, so that a usual error does not become a huge one.
    return ErrorScale(places, np.maximum(means, 0.1 * sizes.mean()))


# Classes


def set_threshold(scores: Numbers, coverage: float) -> float:
    """Return the threshold of one minus the probability, for sets with this coverage.

    Parameters
    ----------
    scores : (n,) array
        One minus the out-of-fold probability of the true class, sorted.
    coverage : float

    Returns
    -------
    float
        Infinite if there are too few rows; every set then contains all classes.

    Raises
    ------
    ValueError
        If `coverage` is not between 0 and 1.
    """
    coverage = between("coverage", coverage, 0, 1)
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)
    return float(scores[rank - 1]) if rank <= len(scores) else math.inf


def probable_sets(probabilities: Numbers, threshold: float) -> npt.NDArray[np.bool_]:
    """Return which classes belong to the set of each row, always with the most probable one.

    (Sadinle, Lei, Wasserman, "Least ambiguous set-valued classifiers with bounded error levels",
    2019.)
    """
    chosen: npt.NDArray[np.bool_] = 1 - probabilities <= threshold
    chosen[np.arange(len(probabilities)), probabilities.argmax(axis=1)] = True
    return chosen
