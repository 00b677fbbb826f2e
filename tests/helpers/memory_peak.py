"""The most memory that Python and NumPy take while something is done."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass
class Peak:
    """Bytes, known when the block has ended."""

    bytes: int = 0


@contextlib.contextmanager
def memory_peak() -> Iterator[Peak]:
    """Measure what is allocated within the block at most, beyond what there is before it."""
    peak = Peak()
    tracemalloc.start()
    try:
        yield peak
    finally:
        peak.bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


def peak_of(act: Callable[[], object]) -> int:
    """Return the most bytes that are allocated while `act` runs."""
    with memory_peak() as peak:
        act()
    return peak.bytes
