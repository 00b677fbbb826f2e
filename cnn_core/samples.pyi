# Loops for the other compiled modules: nothing that Python could call.
from typing import Any, final

import numpy as np
import numpy.typing as npt

__pyx_capi__: dict[str, Any]

@final
class Data: ...

@final
class LearningRates:
    def __new__(cls, rates: float | npt.NDArray[np.float64], steps: int) -> LearningRates: ...
