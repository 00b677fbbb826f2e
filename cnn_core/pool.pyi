# Loops for the other compiled modules, and what tests of theirs look at.
from typing import Any

__pyx_capi__: dict[str, Any]

def forget_workers() -> None: ...
