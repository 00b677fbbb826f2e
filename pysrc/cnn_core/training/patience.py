"""Early stopping: count the epochs without an improvement.

The callback `EarlyStopping`, the schedule `Plateau` and the estimators ask a `PatienceCounter`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from cnn_core.validation import measured, whole


class PatienceCounter(NamedTuple):
    """Counts epochs without an improvement.

    Attributes
    ----------
    best : float
        The least value so far.
    waited : int
        Number of latest values in a row that were not lower than the best one by more than the
        tolerance.
    """

    best: float = math.inf
    waited: int = 0

    def after(self, value: float, tol: float) -> PatienceCounter:
        """Return the counter after another value."""
        improved = value < self.best - tol
        return PatienceCounter(min(self.best, value), 0 if improved else self.waited + 1)

    def has_run_out(self, patience: float | None) -> bool:
        """Tell whether to stop: more than `patience` values without an improvement; None: never."""
        return patience is not None and self.waited > patience

    def restarted(self) -> PatienceCounter:
        """Return a counter at 0, with the same best value."""
        return PatienceCounter(self.best)

    @classmethod
    def from_state(cls, state: Any) -> PatienceCounter:
        """Return the counter that ``list(counter)`` gave.

        Raises
        ------
        TypeError, ValueError
            For anything else.
        """
        best, waited = state
        return cls(measured("best", best), whole("waited", waited, 0))
