# A network for the other compiled modules: nothing that Python could call.
from typing_extensions import disjoint_base

@disjoint_base
class Net: ...
