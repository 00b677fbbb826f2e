"""`MLPClassifier` and `MLPRegressor`: scikit-learn's interface over the library's engine.

scikit-learn is not needed. If it is installed, the estimators derive from its base classes, so that
its pipelines, searches, metadata routing and callbacks work with them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnn_core.estimators.classifier import MLPClassifier
    from cnn_core.estimators.reading import read
    from cnn_core.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "read"]

# Imported on first use: the command line's help reads the presets, and should not wait for
# scikit-learn.
_NAMES = {"MLPClassifier": "classifier", "MLPRegressor": "regressor", "read": "reading"}


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'cnn_core.estimators' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cnn_core.estimators.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
