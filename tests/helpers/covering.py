"""Covering arrays: few rows of a product of parameters in which every pair of values occurs.

Most faults show with one value or with two values together. The default run takes the rows that
`covering_rows` chooses; `make test-all` takes the whole product.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Hashable, Iterable, Sequence


def pairs(values: Iterable[Hashable]) -> Iterable[Hashable]:
    """Yield the pairs of values of a row, each with the places where they stand."""
    return itertools.combinations(enumerate(values), 2)


def covering_rows(goals: Sequence[Iterable[Hashable]]) -> list[int]:
    """Return the indices of few rows that reach all goals; `goals` has those that each row reaches.

    Greedy: always the row that reaches most new goals. How many are new only falls, so a row whose
    count is out of date is counted again when it comes up. Equal ones come in an order that is
    shuffled with a fixed seed, or neighbours would be taken, which share most of their values.
    """
    reached = [frozenset(row) for row in goals]
    order = list(range(len(reached)))
    random.Random(0).shuffle(order)
    queue = [(-len(reached[index]), place, index) for place, index in enumerate(order)]
    heapq.heapify(queue)
    covered: set[Hashable] = set()
    chosen = []
    while queue:
        _, place, index = heapq.heappop(queue)
        new = -len(reached[index] - covered)
        if new == 0:
            continue
        if queue and new > queue[0][0]:
            heapq.heappush(queue, (new, place, index))
            continue
        chosen.append(index)
        covered |= reached[index]
    return sorted(chosen)
