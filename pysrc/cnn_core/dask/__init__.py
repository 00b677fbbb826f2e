"""Training on a cluster of Dask: the same bits on any number of workers.

The estimators are named and used like those of ``lightgbm.dask``. Without a client they use the
current one, or a cluster of threads in this process.
"""

from __future__ import annotations

try:
    import dask as _dask
    import distributed as _distributed
except ImportError as error:
    raise ImportError(
        'cnn_core.dask needs Dask and its scheduler: pip install "cnn-core[dask]"'
    ) from error

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

del _dask, _distributed
