"""Whether one estimator is worse than another by the scores of the same folds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# What counts as equal: one in a hundred samples, or 0.01 of R2.
TOLERATED = 0.01


@dataclass(frozen=True)
class Comparison:
    """The mean of paired differences, ours less theirs, and how well it is known.

    The folds of a cross-validation train on mostly the same samples, so that their scores are not
    independent and a plain t-test would see differences where there are none. The variance is that
    of Nadeau and Bengio ("Inference for the generalization error", 2003): that of the differences,
    times ``1 / differences + test samples / training samples``.

    Attributes
    ----------
    mean : float
    lower, upper : float
        Each is a limit of `mean` that the one-sided test goes by.
    """

    mean: float
    lower: float
    upper: float

    @property
    def is_no_worse(self) -> bool:
        """Whether ours is neither significantly worse nor by more than what is tolerated.

        The test by itself would pass anybody whose scores scatter enough, and the mean by itself
        would toss a coin.
        """
        return self.upper >= 0 and self.mean >= -TOLERATED


def compare(ours: Sequence[float], theirs: Sequence[float], folds: int, level: float) -> Comparison:
    """Compare scores of the same folds in the same order.

    Parameters
    ----------
    ours, theirs : sequence of float
        At least two.
    folds : int
        Of each cross-validation: a test set has ``1 / (folds - 1)`` of the samples trained on.
    level : float
        Of the one-sided test: how often it may call an estimator worse that is not.
    """
    differences = np.subtract(ours, theirs)
    mean = float(differences.mean())
    variance = float(differences.var(ddof=1)) * (1 / len(differences) + 1 / (folds - 1))
    reach = float(stats.t.ppf(1 - level, len(differences) - 1)) * math.sqrt(variance)
    return Comparison(mean, mean - reach, mean + reach)
