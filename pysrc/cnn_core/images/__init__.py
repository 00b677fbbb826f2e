"""`ImageClassifier`: a convolutional network that learns classes from images."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnn_core.images.classifier import ImageClassifier
    from cnn_core.images.reading import read

__all__ = ["ImageClassifier", "read"]

# Imported on first use: the command line's help reads the presets, and should not wait for
# scikit-learn.
_NAMES = {"ImageClassifier": "classifier", "read": "reading"}


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'cnn_core.images' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cnn_core.images.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
