# Loops for the other compiled modules: nothing else that Python could call.
from typing import Any

__pyx_capi__: dict[str, Any]

def forget_workers() -> None: ...
