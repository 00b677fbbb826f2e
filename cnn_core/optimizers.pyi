from typing import final

@final
class Optimizer:
    def __new__(cls, settings: object) -> Optimizer: ...
