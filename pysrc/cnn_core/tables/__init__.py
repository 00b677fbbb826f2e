"""`TabularClassifier` and `TabularRegressor`: learners of tables as people have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnn_core.lazy_imports import on_first_use

if TYPE_CHECKING:
    from cnn_core.tables.classifier import TabularClassifier
    from cnn_core.tables.reading import read
    from cnn_core.tables.regressor import TabularRegressor

__all__ = ["TabularClassifier", "TabularRegressor", "read"]

# Imported on first use, as in `cnn_core.estimators`.
__getattr__, __dir__ = on_first_use(
    __name__,
    {"TabularClassifier": "classifier", "TabularRegressor": "regressor", "read": "reading"},
)
