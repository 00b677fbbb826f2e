"""`TabularClassifier` and `TabularRegressor`: learners of tables as people have them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnn_core.tables.classifier import TabularClassifier
    from cnn_core.tables.reading import read
    from cnn_core.tables.regressor import TabularRegressor

__all__ = ["TabularClassifier", "TabularRegressor", "read"]

# Imported on first use, as in `cnn_core.estimators`.
_NAMES = {"TabularClassifier": "classifier", "TabularRegressor": "regressor", "read": "reading"}


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'cnn_core.tables' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cnn_core.tables.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
