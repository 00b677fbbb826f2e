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

from cnn_core import backends
from cnn_core._version import __version__
from cnn_core.arrays import one_hot
from cnn_core.backends import backend_info
from cnn_core.data import DataError, DataNotFoundError, load_fashion_mnist, read_idx
from cnn_core.model_file import ModelFileError
from cnn_core.network import SGD, Adam, Dense, Network
from cnn_core.nn import NN, load
from cnn_core.training import EpochRecord

__all__ = [
    "NN",
    "SGD",
    "Adam",
    "DataError",
    "DataNotFoundError",
    "Dense",
    "EpochRecord",
    "ModelFileError",
    "Network",
    "__version__",
    "backend_info",
    "backends",
    "load",
    "load_fashion_mnist",
    "one_hot",
    "read_idx",
]
