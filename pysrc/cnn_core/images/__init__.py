"""`ImageClassifier`: a convolutional network that learns classes from images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnn_core.lazy_imports import on_first_use

if TYPE_CHECKING:
    from cnn_core.images.classifier import ImageClassifier
    from cnn_core.images.reading import read

__all__ = ["ImageClassifier", "read"]

# Imported on first use: the command line's help reads the presets, and should not wait for
# scikit-learn.
__getattr__, __dir__ = on_first_use(__name__, {"ImageClassifier": "classifier", "read": "reading"})
