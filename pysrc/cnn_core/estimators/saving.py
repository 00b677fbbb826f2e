"""Write estimators to model files: parameters and attributes beside the model, no pickle."""

from __future__ import annotations

import json
import os
from typing import Any, ClassVar, Protocol

from cnn_core.estimators.parameters_json import parameter_to_json, to_json
from cnn_core.estimators.progress import CURVES, FitProgress
from cnn_core.estimators.task import Task
from cnn_core.io.checkpoint_json import encoded
from cnn_core.io.model_state import TRAINING, write_model
from cnn_core.model import Model
from cnn_core.network import FloatArray

ATTRIBUTES = (
    "n_iter_",
    "t_",
    "loss_",
    "best_loss_",
    "best_validation_score_",
    "stopped_because_",
    "_cuts",
)
# Prefix of the estimator's curves beside the model's history.
OF_ESTIMATOR = "estimator."
OF_SETS = "estimator.evals_result_."


class Fitted(Protocol):
    """The parts of a fitted estimator that a file holds."""

    model_: Model
    _saved_as: ClassVar[str]
    _task: Task
    _progress: FitProgress

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by their names."""


def write(path: str | os.PathLike[str], estimator: Fitted) -> None:
    """Write a fitted estimator to a file.

    Raises
    ------
    TypeError
        If a parameter is an object that a file cannot hold.
    OSError
        If the file cannot be written.
    """
    names = getattr(estimator, "feature_names_in_", None)
    progress = estimator._progress
    attributes = {name: to_json(name, progress.named(name)) for name in ATTRIBUTES}
    if progress.loss is None:
        # A fit was interrupted in its first epoch.
        del attributes["loss_"]
    extra = {
        "parameters": {
            name: parameter_to_json(name, value)
            for name, value in estimator.get_params(deep=False).items()
            if name not in ("backend", "n_threads")
        },
        "attributes": attributes,
        "watch": to_json("watch", list(progress.patience)),
        "task": estimator._task.to_json(),
        "feature_names": None if names is None else names.tolist(),
    }
    curves = {}
    for name in CURVES:
        if (values := progress.named(name)) is not None:
            curves[OF_ESTIMATOR + name] = values
    for place, result in progress.evals_result.items():
        for name, values in result.items():
            curves[f"{OF_SETS}{place}.{name}"] = values
    write_model(
        path,
        estimator.model_.state(),
        kind=estimator._saved_as,
        extra=extra,
        curves=curves,
        further=_best_of(progress),
    )


def _best_of(progress: FitProgress) -> tuple[dict[str, str], dict[str, FloatArray]]:
    """Return the best weights of a `partial_fit` with early stopping that may continue."""
    if progress.best is None:
        return {}, {}
    tensors: dict[str, FloatArray] = {}
    best = encoded(progress.best._asdict(), tensors)
    return {TRAINING: json.dumps(best)}, tensors
