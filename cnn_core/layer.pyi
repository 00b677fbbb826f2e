# The contract of a layer: nothing that Python could call.
from typing_extensions import disjoint_base

@disjoint_base
class Layer: ...
