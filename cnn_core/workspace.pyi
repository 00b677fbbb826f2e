# Loops for the other compiled modules, and the memory that they work in.
from typing import Any, final

__pyx_capi__: dict[str, Any]

@final
class Arrays: ...

@final
class ThreadBuffers: ...

@final
class LayerBuffers: ...

@final
class Workspace:
    def __new__(cls, rows: int) -> Workspace: ...
