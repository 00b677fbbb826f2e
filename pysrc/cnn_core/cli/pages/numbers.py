"""Results of a regression, for a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.pages.contents import Shown
from cnn_core.cli.pages.samples import SampleViewer

__all__ = ["Miss", "NumberResults", "number_results"]

Array = npt.NDArray[Any]

_MISSES = 12


@dataclass(frozen=True)
class Miss:
    """A sample whose prediction is far from the truth."""

    sample: Shown
    number: int
    truth: float
    predicted: float


@dataclass(frozen=True, eq=False)
class NumberResults:
    """Results of a regression for a page.

    Attributes
    ----------
    target : str
        Name of the target.
    truth, predicted : numpy.ndarray, (n,)
    low, high : numpy.ndarray, (n,), or None
        Ends of the predicted intervals.
    coverage : float or None
        Nominal coverage of the intervals.
    r2, rmse, mae : float
    misses : list of Miss
        The largest errors.
    """

    target: str
    truth: Array
    predicted: Array
    low: Array | None
    high: Array | None
    coverage: float | None
    r2: float
    rmse: float
    mae: float
    misses: list[Miss]

    @property
    def residuals(self) -> Array:
        """True minus predicted values."""
        difference: Array = self.truth - self.predicted
        return difference

    @property
    def covered(self) -> float | None:
        """The share of the targets within their intervals."""
        if self.low is None or self.high is None:
            return None
        return float(np.mean((self.low <= self.truth) & (self.truth <= self.high)))


def number_results(
    predicted: Array,
    truth: Array,
    target: str,
    samples: SampleViewer,
    *,
    intervals: Array | None = None,
    coverage: float | None = None,
) -> NumberResults:
    """Compute the results of a regression for a page.

    Parameters
    ----------
    predicted, truth : numpy.ndarray, (n,)
    target : str
    samples : SampleViewer
    intervals : numpy.ndarray, (n, 2), optional
    coverage : float, optional
    """
    errors = truth - predicted
    spread = float(np.sum((truth - truth.mean()) ** 2))
    squares = float(np.sum(errors**2))
    largest = np.argsort(-np.abs(errors), kind="stable")[:_MISSES]
    return NumberResults(
        target=target,
        truth=truth,
        predicted=predicted,
        low=None if intervals is None else intervals[:, 0],
        high=None if intervals is None else intervals[:, 1],
        coverage=coverage,
        r2=1 - squares / spread if spread else float("nan"),
        rmse=float(np.sqrt(np.mean(errors**2))),
        mae=float(np.mean(np.abs(errors))),
        misses=[
            Miss(
                samples.show(np.array([number]), 1),
                number,
                float(truth[number]),
                float(predicted[number]),
            )
            for number in largest.tolist()
        ],
    )
