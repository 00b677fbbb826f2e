"""How the learners stand against each other, from the lines of the results.

The splits of a set are averaged first, so each set counts once. A set counts only if every learner
that is compared has all its splits.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tables.sets import CLASSES, SETS

__all__ = ["ERROR", "LOSS", "Duel", "Standing"]

LOSS, ERROR = "loss", "error"


@dataclass(frozen=True)
class Duel:
    """Two learners over all sets.

    Attributes
    ----------
    wins, losses, ties : int
        Sets on which the first has less.
    p_value : float
        Of the two-sided sign test, ties left out.
    lost : tuple of str
        The sets on which the second is ahead, those by most first.
    """

    wins: int
    losses: int
    ties: int
    p_value: float
    lost: tuple[str, ...]

    @property
    def share(self) -> float:
        """Sets won of all, a tie as half of one."""
        return (self.wins + self.ties / 2) / (self.wins + self.losses + self.ties)


class Standing:
    """Averages over splits of the sets that all learners have.

    Parameters
    ----------
    lines : iterable of dict
        Results of `fits.Fit`, with ``table``, ``split``, ``learner`` and ``threads``.
    learners : sequence of str
        Who is compared.
    threads : int
        Whose lines count.
    """

    def __init__(
        self, lines: Iterable[dict[str, Any]], learners: Sequence[str], threads: int
    ) -> None:
        self.learners = list(learners)
        found: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
        for line in lines:
            if line["learner"] in learners and line["threads"] == threads:
                of_table = found.setdefault(line["table"], {})
                of_table.setdefault(line["learner"], {})[line["split"]] = line
        self._lines: dict[str, dict[str, list[dict[str, Any]]]] = {}
        self.incomplete: list[str] = []
        for table, of_table in found.items():
            splits = set().union(*of_table.values())
            if all(splits == set(of_table.get(name, {})) for name in self.learners):
                self._lines[table] = {
                    name: list(by_split.values()) for name, by_split in of_table.items()
                }
            else:
                self.incomplete.append(table)

    def tables(self, task: str = "") -> list[str]:
        """Return the sets that count, of a task or of both."""
        return [name for name in self._lines if not task or SETS[name].task == task]

    def n_fits(self) -> int:
        """Return how many splits count for each learner."""
        return sum(len(of_table[self.learners[0]]) for of_table in self._lines.values())

    def mean(self, table: str, learner: str, what: str) -> float:
        """Return the mean of a measurement over the splits."""
        return statistics.mean(float(line[what]) for line in self._lines[table][learner])

    def rank(self, learner: str, what: str, task: str = "") -> float:
        """Return the mean rank, 1 for the least; those level share theirs."""
        return _mean(self._rank(table, learner, what) for table in self.tables(task))

    def normalised(self, learner: str, what: str) -> float:
        """Return the mean of scores that are 1 for the best of a set and 0 for the worst."""
        return _mean(self._normalised(table, learner, what) for table in self.tables())

    def duel(self, first: str, second: str, what: str) -> Duel:
        """Return how often each of two is ahead."""
        ratios = {
            table: _ratio(self.mean(table, first, what), self.mean(table, second, what))
            for table in self.tables()
        }
        lost = sorted((t for t in ratios if ratios[t] > 1), key=lambda t: -ratios[t])
        wins = sum(ratio < 1 for ratio in ratios.values())
        ties = len(ratios) - wins - len(lost)
        return Duel(wins, len(lost), ties, sign_test(wins, len(lost)), tuple(lost))

    def relative(self, first: str, second: str, what: str, tables: Sequence[str]) -> float:
        """Return the first's share of the second's measurement, the geometric mean over sets."""
        return math.exp(
            _mean(
                math.log(_ratio(self.mean(table, first, what), self.mean(table, second, what)))
                for table in tables
            )
        )

    def relative_log_loss(self, first: str, second: str) -> float:
        """Return the first's share of the second's log-loss over the sets with classes."""
        return self.relative(first, second, LOSS, self.tables(CLASSES))

    def most(self, learner: str, what: str) -> float:
        """Return the largest of a measurement."""
        return max(
            float(line[what]) for of_table in self._lines.values() for line in of_table[learner]
        )

    def geometric_mean(self, learner: str, what: str) -> float:
        """Return the geometric mean of a measurement over the sets."""
        return math.exp(_mean(math.log(self.mean(table, learner, what)) for table in self.tables()))

    def _rank(self, table: str, learner: str, what: str) -> float:
        own = self.mean(table, learner, what)
        others = [self.mean(table, name, what) for name in self.learners if name != learner]
        return 1 + sum(value < own for value in others) + sum(value == own for value in others) / 2

    def _normalised(self, table: str, learner: str, what: str) -> float:
        values = [self.mean(table, name, what) for name in self.learners]
        best, worst = min(values), max(values)
        return (worst - self.mean(table, learner, what)) / (worst - best) if worst > best else 1.0


def sign_test(wins: int, losses: int) -> float:
    """Return the probability of so uneven a count, or a more uneven one, if both are alike."""
    n, few = wins + losses, min(wins, losses)
    as_uneven = sum(math.comb(n, k) for k in range(few + 1))
    return min(1.0, 2.0 * as_uneven / float(2**n))


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return statistics.mean(found) if found else math.nan


def _ratio(first: float, second: float) -> float:
    # An error of exactly 0 is as good as a very small one.
    return (first + 1e-9) / (second + 1e-9)
