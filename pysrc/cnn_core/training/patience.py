"""Early stopping is decided here: how long a value that should fall has not fallen.

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
        Values in a row, the newest among them, none of which was lower than the best one before it
        by more than the tolerance.
    """

    best: float = math.inf
    waited: int = 0

    def after(self, value: float, tol: float) -> PatienceCounter:
        """Return the counter after another value."""
        improved = value < self.best - tol
        return PatienceCounter(min(self.best, value), 0 if improved else self.waited + 1)

    def has_run_out(self, patience: float | None) -> bool:
        """Tell whether more than `patience` values in a row were no improvement; None: never."""
        return patience is not None and self.waited > patience

    def restarted(self) -> PatienceCounter:
        """Return a counter that has not waited yet, with the same best value."""
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
