# Loops for the other compiled modules.
from typing import Any, final

__pyx_capi__: dict[str, Any]

NAMES: dict[str, int]

@final
class LossFunction: ...
