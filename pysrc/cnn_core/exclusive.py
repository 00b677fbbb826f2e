"""Allow one use at a time, by one thread. A forked process starts unused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class Exclusive:
    """Whether something is in use, by one thread of this process.

    A lock would not do: in a process forked while it is held, it would never be released.
    """

    def __init__(self) -> None:
        self._holders: dict[int, object] = {}

    @contextmanager
    def held(self, refusal: str) -> Iterator[None]:
        """Mark as in use within the block.

        Raises
        ------
        RuntimeError
            With the text `refusal`, if it is held already.
        """
        process, mine = os.getpid(), object()
        try:
            # `setdefault` is atomic: of two threads only one finds its own object.
            if self._holders.setdefault(process, mine) is not mine:
                raise RuntimeError(refusal)
            yield
        finally:
            # Also after an interrupt, and without a call that could be interrupted.
            if process in self._holders and self._holders[process] is mine:
                del self._holders[process]
