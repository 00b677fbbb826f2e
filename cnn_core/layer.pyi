# The contract of a layer, and the memory that it works in: nothing that Python could call.
from typing import Any, final

from typing_extensions import disjoint_base

__pyx_capi__: dict[str, Any]

@disjoint_base
class Layer: ...

@final
class Arrays: ...

@final
class ThreadBuffers: ...

@final
class LayerBuffers: ...

@final
class Workspace:
    def __new__(cls, rows: int) -> Workspace: ...

@disjoint_base
class Net: ...
