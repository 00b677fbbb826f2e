"""The tables that the race prints: who stands where, who beats whom, where ours loses."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from race.markdown import print_markdown
from race.results import MET, MISSED, NOT_MEASURED, Verdict
from tables.learners import LEARNERS
from tables.sets import CLASSES, NUMBER
from tables.standing import ERROR, LOSS, Standing

__all__ = ["print_duels", "print_losses", "print_seconds", "print_standing", "verdicts"]

CATBOOST, LIGHTGBM = "catboost", "lightgbm"


class Bars(NamedTuple):
    """What a quality is to reach beside its rank.

    Attributes
    ----------
    won : float
        Share of the sets, against CatBoost.
    log_loss : float
        Below LightGBM's, as a share of it.
    medium, large : float
        Of CatBoost's seconds, at most, for 4,000 and 50,000 rows.
    megabytes : int
        On top of the data, at most.
    """

    won: float
    log_loss: float
    medium: float
    large: float
    megabytes: int


# What counts as a table of 4,000 rows, and of 50,000; rows to train on.
MEDIUM, LARGE = range(3_000, 6_001), range(40_000, 60_001)
BEHIND_BALANCED = ("lightgbm", "xgboost", "histgb", "realmlp", "tabm")
OURS = {
    "cnn_core_fast": None,
    "cnn_core_balanced": Bars(0.45, 0.08, 0.35, 1.0, 60),
    "cnn_core_best": Bars(0.60, 0.12, 0.8, 2.0, 120),
}
NOTES = """\
Loss: log-loss, or root mean squared error relative to the target's deviation, the mean of the
splits. Error: share of wrong classes, or the same. Score: 1 for the best of a set, 0 for the worst.
Seconds: geometric mean of fitting. Memory: the most on top of the data and the library. On disk:
with what it needs beyond NumPy, SciPy and pandas."""


def print_standing(standing: Standing) -> None:
    """Print a line for each learner, the best mean rank first."""
    heads = ["", "rank by loss", "by error", "classes", "numbers", "score", "seconds", "CPU s"]
    heads += ["memory", "on disk"]
    lines = []
    for name in sorted(standing.learners, key=lambda name: standing.rank(name, LOSS)):
        lines.append(
            [
                name,
                f"{standing.rank(name, LOSS):.2f}",
                f"{standing.rank(name, ERROR):.2f}",
                _number(standing.rank(name, LOSS, CLASSES)),
                _number(standing.rank(name, LOSS, NUMBER)),
                f"{standing.normalised(name, LOSS):.3f}",
                f"{standing.geometric_mean(name, 'fit_seconds'):.2f}",
                f"{standing.geometric_mean(name, 'cpu_seconds'):.2f}",
                f"{standing.most(name, 'peak_megabytes'):.0f} MB",
                f"{LEARNERS[name].megabytes:.0f} MB" if LEARNERS[name].is_installed else "-",
            ]
        )
    counts = [len(standing.tables(task)) for task in (CLASSES, NUMBER)]
    print(f"\n{sum(counts)} sets, {counts[0]} with classes and {counts[1]} with numbers, ", end="")
    print(f"{standing.n_fits()} fits of each\n")
    print_markdown(heads, lines)
    print(f"\n{NOTES}")
    if standing.incomplete:
        print(f"Not by all, hence left out: {', '.join(sorted(standing.incomplete))}")


def _number(rank: float) -> str:
    return "-" if math.isnan(rank) else f"{rank:.2f}"


def print_duels(standing: Standing) -> None:
    """Print the sets that the learner of a line wins against that of a column."""
    names = standing.learners
    lines = []
    for first in names:
        cells = [first]
        for second in names:
            duel = None if first == second else standing.duel(first, second, LOSS)
            cells.append(f"{duel.wins}-{duel.losses} ({duel.p_value:.2g})" if duel else "")
        lines.append(cells)
    print("\nSets won and lost by loss, in brackets the p-value of the two-sided sign test\n")
    print_markdown(["", *names], lines)


def print_losses(standing: Standing) -> None:
    """Print the sets on which ours is behind."""
    for ours in (name for name in standing.learners if name in OURS):
        for peer in (name for name in (CATBOOST, LIGHTGBM) if name in standing.learners):
            lost = standing.duel(ours, peer, LOSS).lost
            sets = [
                f"{table} {standing.mean(table, ours, LOSS):.4g}"
                f" ({standing.mean(table, peer, LOSS):.4g})"
                for table in lost
            ]
            print(f"\n{ours} loses to {peer} on {len(lost)} sets: {', '.join(sets) or 'none'}")


def print_seconds(lines: Sequence[dict[str, Any]], learners: Sequence[str]) -> None:
    """Print the seconds of fits by size and threads, the median over sets."""
    threads = sorted({line["threads"] for line in lines})
    heads = ["seconds of a fit"]
    heads += [
        f"{size} rows, {n} thread{'s' * (n > 1)}" for size in ("4,000", "50,000") for n in threads
    ]
    table = []
    for name in learners:
        cells = [name]
        for rows in (MEDIUM, LARGE):
            for n in threads:
                seconds = _seconds(lines, name, rows, n)
                cells.append(f"{statistics.median(seconds.values()):.2f}" if seconds else "-")
        table.append(cells)
    print()
    print_markdown(heads, table)


def _seconds(
    lines: Sequence[dict[str, Any]], learner: str, rows: range, threads: int
) -> dict[tuple[str, int], float]:
    return {
        (line["table"], line["split"]): line["fit_seconds"]
        for line in lines
        if line["learner"] == learner and line["threads"] == threads and line["rows"] in rows
    }


def verdicts(standing: Standing, lines: Sequence[dict[str, Any]]) -> dict[str, list[Verdict]]:
    """Return whether our learners meet the bars, where the learners that a bar names took part."""
    found = {}
    for ours, bars in OURS.items():
        if bars is None or ours not in standing.learners or not standing.tables():
            continue
        most = standing.most(ours, "peak_megabytes")
        found[ours] = [
            *_by_rank(standing, ours),
            *_by_peers(standing, ours, bars),
            _by_seconds(lines, ours, MEDIUM, "4,000", bars.medium),
            _by_seconds(lines, ours, LARGE, "50,000", bars.large),
            _verdict(f"at most {bars.megabytes} MB on top of X", most, bars.megabytes),
        ]
    return found


def _by_rank(standing: Standing, ours: str) -> list[Verdict]:
    is_best = ours.endswith("best")
    others = [
        name
        for name in standing.learners
        if (name not in OURS if is_best else name in BEHIND_BALANCED)
    ]
    text = "mean rank before all others" if is_best else "mean rank before all but CatBoost"
    found = []
    for what in (LOSS, ERROR) if is_best else (LOSS,):
        best = min((standing.rank(name, what) for name in others), default=None)
        own = standing.rank(ours, what)
        outcome = NOT_MEASURED if best is None else MET if own < best else MISSED
        found.append(Verdict(f"{text}, by {what}", own, outcome))
    return found


def _by_peers(standing: Standing, ours: str, bars: Bars) -> list[Verdict]:
    found = []
    if CATBOOST in standing.learners:
        won = standing.duel(ours, CATBOOST, LOSS).share
        text = f"at least {bars.won:.0%} of the sets won against CatBoost"
        found.append(Verdict(text, won, MET if won >= bars.won else MISSED))
    if LIGHTGBM in standing.learners and standing.tables(CLASSES):
        less = 1 - standing.relative_log_loss(ours, LIGHTGBM)
        text = f"log-loss at least {bars.log_loss:.0%} below LightGBM's"
        found.append(Verdict(text, less, MET if less >= bars.log_loss else MISSED))
    return found


def _by_seconds(
    lines: Sequence[dict[str, Any]], ours: str, rows: range, size: str, limit: float
) -> Verdict:
    text = f"{size} rows, two threads: at most {limit:g} of CatBoost's seconds"
    own, theirs = (_seconds(lines, name, rows, 2) for name in (ours, CATBOOST))
    both = own.keys() & theirs.keys()
    figure = statistics.median(own[key] / theirs[key] for key in both) if both else None
    return _verdict(text, figure, limit)


def _verdict(text: str, figure: float | None, at_most: float) -> Verdict:
    if figure is None:
        return Verdict(text, None, NOT_MEASURED)
    return Verdict(text, figure, MET if figure <= at_most else MISSED)
