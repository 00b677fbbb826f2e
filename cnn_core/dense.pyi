# Loops for the other compiled modules, and the plain loop that they are tested against.
from typing import Any, final

from cnn_core.types import FloatArray

__pyx_capi__: dict[str, Any]

@final
class ProductBuffers:
    def __new__(cls) -> ProductBuffers: ...

def dense_reference(
    x: FloatArray, weights: FloatArray, bias: FloatArray, out: FloatArray
) -> None: ...
