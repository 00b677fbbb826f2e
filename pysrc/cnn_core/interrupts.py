"""Make a change of several parts atomic under Ctrl-C.

Python raises ``KeyboardInterrupt`` between any two of its instructions. A step of the reference, an
epoch's line in the history and a snapshot that is written back take several instructions. Each of
them goes through `all_or_nothing`. The compiled engine looks for signals between two steps, and in
large steps before a parameter is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def all_or_nothing(undo: Callable[[], None]) -> Iterator[None]:
    """Call `undo` if the block raises anything, Ctrl-C above all, and raise it again.

    Parameters
    ----------
    undo : callable
        Writes back what the block may have changed; it may do so twice.
    """
    try:
        yield
    except BaseException:
        undo()
        raise
