"""How long a value that should fall has not fallen."""

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
        """Return what is known after another value."""
        improved = value < self.best - tol
        return PatienceCounter(min(self.best, value), 0 if improved else self.waited + 1)

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
