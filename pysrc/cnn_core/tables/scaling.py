"""Scale numbers for a network, and find their positions among bins.

Everything is computed from the values of a feature that are not missing, in float64 and without
overflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnn_core.io.fields import Fields
from cnn_core.tables.values import Numbers

# Scaled numbers lie between ``-LIMIT`` and ``LIMIT``.
LIMIT = 3.0
# Numbers nearer to 0 count as 0, so that a division cannot overflow.
SMALLEST = 1e-290


@dataclass(frozen=True, eq=False)
class NumberScale:
    """Scale and bins of a numeric feature.

    Attributes
    ----------
    centre : float
        The median, which also replaces missing values.
    spread : float
        Half the interquartile range, or if that is 0 a quarter of the range; above 0.
    edges : array of float64
        The edges of the bins, strictly increasing; empty without bins.
    marked : bool
        Whether there is an indicator column for missing values.
    """

    centre: float
    spread: float
    edges: Numbers
    marked: bool

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return max(len(self.edges) - 1, 0)

    def scaled(self, values: Numbers) -> Numbers:
        """Return the scaled values; about 0 for missing ones, finite for infinite ones.

        ``z = (x - median) / (interquartile range)``, then ``z / sqrt(1 + (z / 3)**2)``.
        """
        filled = self.filled(values)
        # Halves, so that only infinite values overflow.
        with np.errstate(over="ignore"):
            z = (filled / 2 - self.centre / 2) / self.spread
            length = np.hypot(1 / np.maximum(np.abs(z), SMALLEST), 1 / LIMIT)
        clipped: Numbers = np.sign(z) / length
        return clipped

    def filled(self, values: Numbers) -> Numbers:
        """Replace missing values by the median."""
        return np.where(np.isnan(values), self.centre, _without_the_smallest(values))

    def places(self, values: Numbers) -> Numbers:
        """Return the position of each value: its bin plus its relative position in the bin.

        Returns
        -------
        (n,) array
            From 0 to `n_bins`; values outside the edges are clipped.
        """
        edges = self.edges
        filled = np.clip(self.filled(values), edges[0], edges[-1])
        bins = np.clip(np.searchsorted(edges, filled, side="right") - 1, 0, len(edges) - 2)
        low, high = edges[bins] / 2, edges[bins + 1] / 2
        share: Numbers = np.clip((filled / 2 - low) / (high - low), 0.0, 1.0)
        return share + bins

    def to_json(self) -> dict[str, Any]:
        """Return it in terms of JSON."""
        return {
            "centre": self.centre,
            "spread": self.spread,
            "edges": self.edges.tolist(),
            "marked": self.marked,
        }

    @classmethod
    def from_json(cls, values: Any, place: str) -> NumberScale:
        """Return the scale from the result of `to_json`.

        Raises
        ------
        TypeError, ValueError
            For anything else.
        """
        fields = Fields(values, place)
        spread = fields.number("spread")
        if not spread > 0:
            raise ValueError(f"{place}.spread: expected a number above 0, found {spread}")
        return cls(
            fields.number("centre"),
            spread,
            _edges_in(fields),
            fields.flag("marked"),
        )


def _edges_in(fields: Fields) -> Numbers:
    edges = np.array(fields.numbers("edges"), np.float64)
    if edges.ndim != 1 or len(edges) == 1 or (np.diff(edges / 2) <= 0).any():
        raise ValueError(f"{fields.name('edges')}: expected numbers in rising order")
    return edges


def scale_of(values: Numbers, bins: int, *, marks_missing: bool) -> NumberScale:
    """Compute the scale of a feature from its values.

    Parameters
    ----------
    values : (n,) array
        NaN for missing ones; infinite ones count as the largest finite ones.
    bins : int
        Largest number of bins; equal quantiles are merged, so there may be fewer.
    marks_missing : bool
        Whether to add an indicator column, if there are missing values.
    """
    missing = np.isnan(values)
    finite = np.sort(_without_the_smallest(values[np.isfinite(values)]))
    marked = bool(marks_missing and missing.any())
    if not len(finite):
        return NumberScale(0.0, 1.0, np.empty(0), marked)
    lower, centre, upper = np.quantile(finite / 2, (0.25, 0.5, 0.75)).tolist()
    spread = upper - lower or (finite[-1] / 2 - finite[0] / 2) / 2 or 1.0
    edges = _edges(finite, bins) if bins else np.empty(0)
    return NumberScale(2 * centre, max(spread, SMALLEST), edges, marked)


def _edges(finite: Numbers, bins: int) -> Numbers:
    """Return the edges of bins with equal numbers of values; none if a straight line does.

    A value that fills a whole bin is an edge, and so are its neighbours, so that the function can
    jump there. The other values share the remaining bins.
    """
    distinct, counts = np.unique(finite, return_counts=True)
    if len(distinct) > bins + 1:
        fills_a_bin = counts > len(finite) / bins
        places = np.flatnonzero(fills_a_bin)
        near = np.unique(np.clip([places - 1, places, places + 1], 0, len(distinct) - 1))
        if len(near) >= bins:
            fills_a_bin[:], near = False, near[:0]
        others = np.repeat(distinct[~fills_a_bin], counts[~fills_a_bin])
        shares = np.linspace(0, 1, bins + 1 - len(near))
        distinct = np.unique(np.append(distinct[near], 2 * np.quantile(others / 2, shares)))
    return distinct if len(distinct) > 2 else np.empty(0)


def _without_the_smallest(values: Numbers) -> Numbers:
    return np.where(np.abs(values) < SMALLEST, 0.0, values)
