# Loops for the other compiled modules: nothing that Python could call.
from typing import Any

__pyx_capi__: dict[str, Any]

from .layer import Layer

class NormalizationLayer(Layer): ...
