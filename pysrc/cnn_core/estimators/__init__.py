"""`MLPClassifier` and `MLPRegressor`: scikit-learn's interface over the library's engine.

scikit-learn is not needed. If it is installed, the estimators derive from its base classes, so that
its pipelines, searches, metadata routing and callbacks work with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnn_core.lazy_imports import on_first_use

if TYPE_CHECKING:
    from cnn_core.estimators.classifier import MLPClassifier
    from cnn_core.estimators.reading import read
    from cnn_core.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "read"]

# Imported on first use: the command line's help reads the presets, and should not wait for
# scikit-learn.
__getattr__, __dir__ = on_first_use(
    __name__, {"MLPClassifier": "classifier", "MLPRegressor": "regressor", "read": "reading"}
)
