"""Dense neural networks on the CPU, trained at the speed of the hardware.

>>> import numpy as np
>>> import cnn_core
>>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
>>> labels = np.array([0, 1, 1, 0])
>>> net = cnn_core.NN(2, 8, 2, learning_rate=5.0, epochs=2000, batch_size=4, seed=0)
>>> net.fit(X, labels).predict(X).argmax(axis=1)
array([0, 1, 1, 0])
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from cnn_core._version import __version__

if TYPE_CHECKING:
    from cnn_core import backends, callbacks, schedules
    from cnn_core.backends import backend_info
    from cnn_core.data import DataError, DataNotFoundError, load_fashion_mnist, read_idx
    from cnn_core.displays import (
        ConfusionDisplay,
        HistoryDisplay,
        PredictionDisplay,
        WeightsDisplay,
        plot_confusion,
        plot_history,
        plot_predictions,
        plot_weights,
    )
    from cnn_core.estimators import MLPClassifier, MLPRegressor
    from cnn_core.images import ImageClassifier
    from cnn_core.io.checkpoint import Checkpoint, CheckpointError
    from cnn_core.io.container import ModelFileError
    from cnn_core.loading import load
    from cnn_core.model import Model
    from cnn_core.network import (
        Augmentation,
        AvgPool2D,
        Conv2D,
        Dense,
        Embedding,
        EncodedDense,
        GlobalAveragePool,
        Huber,
        MaxPool2D,
        Network,
        Pinball,
    )
    from cnn_core.nn import NN
    from cnn_core.optimizers import SGD, Adam, Lion, Nadam, RMSprop, Rprop
    from cnn_core.stack import Stack
    from cnn_core.tables import TabularClassifier, TabularRegressor
    from cnn_core.targets import one_hot
    from cnn_core.training import DivergenceError, EpochRecord, Recipe, Validation
    from cnn_core.training.lr_finder import LearningRates, find_learning_rate

__all__ = [
    "NN",
    "SGD",
    "Adam",
    "Augmentation",
    "AvgPool2D",
    "Checkpoint",
    "CheckpointError",
    "ConfusionDisplay",
    "Conv2D",
    "DataError",
    "DataNotFoundError",
    "Dense",
    "DivergenceError",
    "Embedding",
    "EncodedDense",
    "EpochRecord",
    "GlobalAveragePool",
    "HistoryDisplay",
    "Huber",
    "ImageClassifier",
    "LearningRates",
    "Lion",
    "MLPClassifier",
    "MLPRegressor",
    "MaxPool2D",
    "Model",
    "ModelFileError",
    "Nadam",
    "Network",
    "Pinball",
    "PredictionDisplay",
    "RMSprop",
    "Recipe",
    "Rprop",
    "Stack",
    "TabularClassifier",
    "TabularRegressor",
    "Validation",
    "WeightsDisplay",
    "__version__",
    "backend_info",
    "backends",
    "callbacks",
    "find_learning_rate",
    "load",
    "load_fashion_mnist",
    "one_hot",
    "plot_confusion",
    "plot_history",
    "plot_predictions",
    "plot_weights",
    "read_idx",
    "schedules",
]

# Imported on first use, so that nobody waits for unused imports: not the command line's help for
# NumPy, nor a program that predicts one row for scikit-learn.
_NAMES = {
    "ConfusionDisplay": "displays",
    "HistoryDisplay": "displays",
    "PredictionDisplay": "displays",
    "WeightsDisplay": "displays",
    "plot_confusion": "displays",
    "plot_history": "displays",
    "plot_predictions": "displays",
    "plot_weights": "displays",
    "Adam": "optimizers",
    "Augmentation": "network",
    "AvgPool2D": "network",
    "Checkpoint": "io.checkpoint",
    "CheckpointError": "io.checkpoint",
    "Conv2D": "network",
    "DataError": "data",
    "DataNotFoundError": "data",
    "Dense": "network",
    "Embedding": "network",
    "EncodedDense": "network",
    "DivergenceError": "training",
    "EpochRecord": "training",
    "GlobalAveragePool": "network",
    "Huber": "network",
    "ImageClassifier": "images",
    "LearningRates": "training.lr_finder",
    "Lion": "optimizers",
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "MaxPool2D": "network",
    "Model": "model",
    "ModelFileError": "io.container",
    "NN": "nn",
    "Nadam": "optimizers",
    "Network": "network",
    "Pinball": "network",
    "RMSprop": "optimizers",
    "Recipe": "training",
    "Rprop": "optimizers",
    "SGD": "optimizers",
    "Stack": "stack",
    "TabularClassifier": "tables",
    "TabularRegressor": "tables",
    "Validation": "training",
    "backend_info": "backends",
    "find_learning_rate": "training.lr_finder",
    "load": "loading",
    "load_fashion_mnist": "data",
    "one_hot": "targets",
    "read_idx": "data",
}


def __getattr__(name: str) -> Any:
    module = f"cnn_core.{_NAMES.get(name, name)}"
    if name not in _NAMES and (name.startswith("_") or importlib.util.find_spec(module) is None):
        raise AttributeError(f"module 'cnn_core' has no attribute {name!r}")
    imported = importlib.import_module(module)
    if name not in _NAMES:
        return imported
    value = globals()[name] = getattr(imported, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
