from typing import Any, final

from typing_extensions import disjoint_base

from cnn_core.network import FloatArray, IndexArray, Network

@disjoint_base
class Layer:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

@final
class ArticleLayer(Layer): ...

@final
class Room:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

@final
class Engine:
    def __new__(cls, network: Network, parameters: FloatArray) -> Engine: ...
    def train_epoch(
        self,
        x: FloatArray,
        t: FloatArray,
        order: IndexArray | None,
        batch_size: int,
        learning_rate: float,
    ) -> tuple[float, int]: ...
    def gradient(self, x: FloatArray, t: FloatArray, out: FloatArray) -> float: ...
    def predict(self, x: FloatArray, out: FloatArray) -> None: ...
