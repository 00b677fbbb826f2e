"""Refusals in a loop: each failure says which case was not refused."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest

# How a typed memoryview or the check before it says that it cannot read an array.
UNREADABLE = r"dtype|dimension|contiguous|Big-endian|byte"


@contextlib.contextmanager
def refusal(error: type[Exception], match: str, *case: object) -> Iterator[None]:
    """Expect an error like `pytest.raises`; a failure names the case."""
    named = ", ".join(map(str, case))
    try:
        yield
    except error as found:
        if not re.search(match, str(found)):
            pytest.fail(f"{named}: another message: {found}")
    else:
        pytest.fail(f"{named}: not refused")
