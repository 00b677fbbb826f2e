"""Training on a cluster of Dask: the same bits on any number of workers.

The estimators have the names and interface of ``lightgbm.dask``. Without a client they use the
current one, or a cluster of threads in this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnn_core.lazy_imports import on_first_use

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
__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "ClusterError": "recovery",
        "DaskMLPClassifier": "estimators",
        "DaskMLPRegressor": "estimators",
        "DaskTabularClassifier": "tables",
        "DaskTabularRegressor": "tables",
        "Ensemble": "sweep",
        "PartitionError": ".estimators.partitions",
        "train_each": "sweep",
        "train_ensemble": "sweep",
    },
)

del _dask, _distributed
