# Loops for the other compiled modules: nothing that Python could call.
from typing import Any, final

__pyx_capi__: dict[str, Any]

from .normalization import NormalizationLayer

@final
class ChannelNormalization(NormalizationLayer): ...
