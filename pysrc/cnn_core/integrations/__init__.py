"""Callbacks for other tools: Optuna, TensorBoard, MLflow, notebooks.

Each is a `cnn_core.callbacks.Callback` for ``callbacks=[...]`` of an estimator, an `NN` or a
`Model`. They can be copied and pickled, have a readable repr, and change no bit of the result. The
tool itself is imported when a training begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnn_core.lazy_imports import on_first_use

if TYPE_CHECKING:
    from cnn_core.integrations.mlflow_logger import MLflowLogger
    from cnn_core.integrations.notebook_progress import NotebookProgress
    from cnn_core.integrations.optuna_pruning import OptunaPruning
    from cnn_core.integrations.tensorboard_logger import TensorBoardLogger
    from cnn_core.integrations.thread_limits import register_threadpoolctl

__all__ = [
    "MLflowLogger",
    "NotebookProgress",
    "OptunaPruning",
    "TensorBoardLogger",
    "register_threadpoolctl",
]

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "MLflowLogger": "mlflow_logger",
        "NotebookProgress": "notebook_progress",
        "OptunaPruning": "optuna_pruning",
        "TensorBoardLogger": "tensorboard_logger",
        "register_threadpoolctl": "thread_limits",
    },
)
