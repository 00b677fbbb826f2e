# For `cnn_core.backends.compiled`, which knows that the arguments fit.
from typing import Any, final

import numpy as np
import numpy.typing as npt

from cnn_core.losses import Loss
from cnn_core.optimizers import Optimizer
from cnn_core.types import FloatArray

def multiply(
    left: FloatArray,
    turns_left: bool,
    right: FloatArray,
    turns_right: bool,
    base: FloatArray | None,
    out: FloatArray,
) -> None: ...
def add_rows(array: FloatArray, out: FloatArray) -> None: ...

@final
class Alone:
    def __new__(
        cls,
        layer: Any,
        rows: int,
        parameters: FloatArray | None = None,
        gradient: FloatArray | None = None,
        *,
        statistics: FloatArray | None = None,
        spread: FloatArray | None = None,
        key: int = 0,
        step: int = 0,
        number: int = 0,
    ) -> Alone: ...
    def forward(self, x: FloatArray, out: FloatArray) -> None: ...
    def predict(self, x: FloatArray, out: FloatArray) -> None: ...
    def backward(
        self, x: FloatArray, y: FloatArray | None, delta: FloatArray, out: FloatArray | None
    ) -> None: ...

def row_losses(
    loss: Loss, z: FloatArray, y: FloatArray, t: FloatArray, out: npt.NDArray[np.float64]
) -> None: ...
def output_slope(
    loss: Loss, y: FloatArray, t: FloatArray, total: float, out: FloatArray
) -> bool: ...
def update(
    settings: Optimizer,
    parameters: FloatArray,
    gradient: FloatArray,
    first: FloatArray,
    second: FloatArray,
    learning_rate: float,
    number: int,
) -> None: ...
def random_bits(
    key: int, first: int, second: int, third: int, fourth: int, out: npt.NDArray[np.uint32]
) -> None: ...
