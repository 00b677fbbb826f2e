# Loops for the other compiled modules: nothing that Python could call.
from typing import Any, final

from typing_extensions import disjoint_base

__pyx_capi__: dict[str, Any]

from .layer import Layer

@disjoint_base
class DenseLayer(Layer): ...

@final
class ArticleLayer(DenseLayer): ...
