# Loops for the other compiled modules: nothing that Python could call.
from typing import Any, final

__pyx_capi__: dict[str, Any]

from .layer import Layer

NAMES: dict[str, int]
NEED_Z: tuple[str, ...]

@final
class ActivationLayer(Layer): ...
