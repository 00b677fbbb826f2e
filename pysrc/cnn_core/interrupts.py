"""Make a change of several parts atomic under Ctrl-C.

Python raises ``KeyboardInterrupt`` between any two of its instructions. Three changes take several
instructions and use `all_or_nothing`: a step of the NumPy backend, adding an epoch to the history,
and restoring a snapshot. The compiled engine checks for signals between two steps, and in large
steps before any parameter changes.
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
        Restores what the block may have changed; it must allow being called twice.
    """
    try:
        yield
    except BaseException:
        undo()
        raise
