"""Which types of ours a pickle names."""

from __future__ import annotations

import pickle
from typing import Any


class Names(pickle.Unpickler):
    """Remembers which types of ours a pickle names."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.found: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("cnn_core"):
            self.found.add(name)
        return super().find_class(module, name)
