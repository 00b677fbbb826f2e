"""Times of repeated calls."""

from __future__ import annotations

import time
from collections.abc import Callable


def repeated(work: Callable[[], object], most: int, enough: float) -> list[float]:
    """Return the seconds of calls: at most `most`, and none begun after `enough` seconds."""
    seconds: list[float] = []
    begun = time.perf_counter()
    while len(seconds) < most and time.perf_counter() - begun < enough:
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds
