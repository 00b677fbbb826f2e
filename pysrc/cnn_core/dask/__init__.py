"""Training on a cluster of Dask: the same bits on any number of workers.

The estimators have the names and interface of ``lightgbm.dask``. Without a client they use the
current one, or a cluster of threads in this process.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

try:
    import dask as _dask
    import distributed as _distributed
except ImportError as error:
    raise ImportError(
        'cnn_core.dask needs Dask and its scheduler: pip install "cnn-core[dask]"'
    ) from error

if TYPE_CHECKING:
    from cnn_core.dask.estimators import DaskMLPClassifier, DaskMLPRegressor
    from cnn_core.dask.recovery import ClusterError
    from cnn_core.dask.sweep import Ensemble, train_each, train_ensemble
    from cnn_core.dask.tables import DaskTabularClassifier, DaskTabularRegressor
    from cnn_core.estimators.partitions import PartitionError

__all__ = [
    "ClusterError",
    "DaskMLPClassifier",
    "DaskMLPRegressor",
    "DaskTabularClassifier",
    "DaskTabularRegressor",
    "Ensemble",
    "PartitionError",
    "train_each",
    "train_ensemble",
]

# Imported on first use: workers need no estimators, whose scikit-learn base classes take more
# memory than two blocks.
_NAMES = {
    "ClusterError": "cnn_core.dask.recovery",
    "DaskMLPClassifier": "cnn_core.dask.estimators",
    "DaskMLPRegressor": "cnn_core.dask.estimators",
    "DaskTabularClassifier": "cnn_core.dask.tables",
    "DaskTabularRegressor": "cnn_core.dask.tables",
    "Ensemble": "cnn_core.dask.sweep",
    "PartitionError": "cnn_core.estimators.partitions",
    "train_each": "cnn_core.dask.sweep",
    "train_ensemble": "cnn_core.dask.sweep",
}

del _dask, _distributed


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'cnn_core.dask' has no attribute {name!r}")
    value = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
