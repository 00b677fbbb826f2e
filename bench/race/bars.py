"""Bars: what a row has to reach, as ratios of what was measured in the same run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Values = Mapping[str, float]
Results = Mapping[str, Values]
"""For each row, by its name, the best value of each contender that was measured."""

PEAK = "peak"
"""The contender that does nothing but multiply-adds; it is compared with none."""
AT = "@"
"""Stands between a contender and the ISA level, or ``numpy``, that its cnn_core is confined to."""


@dataclass(frozen=True)
class Bar:
    """A figure and its limit.

    `figure` raises KeyError if something that it needs was not measured, ValueError if there is
    none to compare with.
    """

    text: str
    limit: float
    is_floor: bool
    figure: Callable[[Values, Results], float]

    def is_met(self, figure: float) -> bool:
        """Return whether a figure is on the right side of the limit."""
        return figure >= self.limit if self.is_floor else figure <= self.limit


def faster(factor: float, *peers: str, ours: str = "cython") -> Bar:
    """At least so many times as fast as the peers named, or, if none is, as all of them."""

    def figure(values: Values, results: Results) -> float:
        chosen = peers or [name for name in values if name != PEAK and not is_ours(name)]
        return min(values[name] for name in chosen) / values[ours]

    text = " and ".join(peers) or "the fastest peer"
    return Bar(f"at least {factor:g} times as fast as {text}", factor, True, figure)


def share_of_peak(share: float) -> Bar:
    """Of the time that all multiply-adds take at the peak, those with a zero included."""
    return Bar(
        f"at least {share:.0%} of the FMA peak, zeros counted",
        share,
        True,
        lambda values, results: values[PEAK] / values["cython"],
    )


def speedup_over(row: str, factor: float) -> Bar:
    """At least so many times as fast as in another row."""
    return Bar(
        f"at least {factor:g} times its own speed in {row}",
        factor,
        True,
        lambda values, results: results[row]["cython"] / values["cython"],
    )


def within(row: str, factor: float) -> Bar:
    """At most so many times the time of another row."""
    return Bar(
        f"at most {factor:g} times its own time in {row}",
        factor,
        False,
        lambda values, results: values["cython"] / results[row]["cython"],
    )


def slowed_down(factor: float, contender: str, alone: str) -> Bar:
    """At most so many times the time of another contender of the row."""
    return Bar(
        f"at most {factor:g} times as long as {alone}",
        factor,
        False,
        lambda values, results: values[contender] / values[alone],
    )


def at_most(limit: float, contender: str, unit: str) -> Bar:
    return Bar(
        f"{contender}: at most {limit:g} {unit}",
        limit,
        False,
        lambda values, results: values[contender],
    )


def excess(limit: float, contender: str, over: str, unit: str) -> Bar:
    """At most so much more than another contender of the row."""
    return Bar(
        f"{contender}: at most {limit:g} {unit} more than {over}",
        limit,
        False,
        lambda values, results: values[contender] - values[over],
    )


def is_ours(name: str) -> bool:
    return name.startswith(("cython", "NN."))
