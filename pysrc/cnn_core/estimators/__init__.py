"""`MLPClassifier` and `MLPRegressor`: scikit-learn's interface over the library's engine.

scikit-learn is not needed. Where it is installed, the estimators derive from its base classes, so
that its pipelines, searches, metadata routing and callbacks work with them.
"""

from __future__ import annotations

from cnn_core.estimators.classifier import MLPClassifier
from cnn_core.estimators.reading import read
from cnn_core.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "read"]
