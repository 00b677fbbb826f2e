from typing import Any, final

import numpy as np
import numpy.typing as npt

from cnn_core.backends.backend import EngineSpec
from cnn_core.class_targets import Targets
from cnn_core.network import FloatArray, IndexArray
from cnn_core.sparse import Samples

@final
class Predictor:
    def __call__(self, x: Samples) -> FloatArray: ...

@final
class Engine:
    def __new__(cls, spec: EngineSpec, layers: list[tuple[int, Any]]) -> Engine: ...
    @property
    def moments(self) -> FloatArray: ...
    @property
    def statistics(self) -> FloatArray: ...
    @property
    def average(self) -> FloatArray | None: ...
    @property
    def steps(self) -> int: ...
    @steps.setter
    def steps(self, value: int) -> None: ...
    def train_epoch(
        self,
        x: Samples,
        t: Targets,
        order: IndexArray | None,
        batch_size: int,
        learning_rate: float | npt.NDArray[np.float64],
        weights: FloatArray | None = None,
    ) -> tuple[float, int]: ...
    def gradient(
        self,
        x: Samples,
        t: Targets,
        out: FloatArray,
        weights: FloatArray | None = None,
    ) -> float: ...
    def predict(self, x: Samples, out: FloatArray) -> bool: ...
    def predictor(self, rows: int) -> Predictor: ...
