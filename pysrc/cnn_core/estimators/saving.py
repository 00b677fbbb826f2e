"""Estimators in model files: their parameters and attributes beside the model, no pickle."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_core import checkpoints
from cnn_core.model import Model, read_model
from cnn_core.network import FloatArray
from cnn_core.optimizers import OPTIMIZERS
from cnn_core.saved_model import (
    TRAINING,
    ModelFile,
    blamed_on,
    tensors_of_training,
    write_model,
)
from cnn_core.schedules import SCHEDULES, Schedule, WarmUp
from cnn_core.training.patience import PatienceCounter
from cnn_core.training.snapshot import Snapshot, layout_of, snapshot_from

if TYPE_CHECKING:
    from cnn_core.estimators.base import BaseMLP

_ATTRIBUTES = (
    "n_iter_",
    "t_",
    "loss_",
    "best_loss_",
    "best_validation_score_",
    "stopped_because_",
    "_cuts",
)
_CURVES = ("loss_curve_", "validation_loss_curve_", "validation_scores_")
# Before the names of these curves, where they stand beside the model's history.
_OF_ESTIMATOR = "estimator."
_OF_SETS = "estimator.evals_result_."
# Parameters that may be objects of which a file cannot hold anything.
_MAY_BE_LOST = ("callbacks", "random_state", "scoring")
_DESCRIPTIONS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (*OPTIMIZERS, Schedule, *SCHEDULES.values(), WarmUp)
}


def write(path: str | os.PathLike[str], estimator: BaseMLP) -> None:
    """Write a fitted estimator to a file, as a whole or not at all.

    Raises
    ------
    TypeError
        If a parameter is an object that a file cannot hold.
    OSError
        If the file cannot be written.
    """
    names = getattr(estimator, "feature_names_in_", None)
    extra = {
        "parameters": {
            name: _parameter_to_json(name, value)
            for name, value in estimator.get_params(deep=False).items()
            if name not in ("backend", "n_threads")
        },
        "attributes": {
            name: _to_json(name, getattr(estimator, name))
            for name in _ATTRIBUTES
            if hasattr(estimator, name)
        },
        "watch": _to_json("watch", list(estimator._watch)),
        "task": estimator._task.to_json(),
        "feature_names": None if names is None else names.tolist(),
    }
    curves = {}
    for name in _CURVES:
        if (values := getattr(estimator, name)) is not None:
            curves[_OF_ESTIMATOR + name] = values
    for place, result in estimator.evals_result_.items():
        for name, values in result.items():
            curves[f"{_OF_SETS}{place}.{name}"] = values
    kind = "MLPClassifier" if estimator._kind == "classifier" else "MLPRegressor"
    write_model(
        path,
        estimator.model_.state(),
        kind=kind,
        extra=extra,
        curves=curves,
        further=_best_of(estimator),
    )


def read(file: ModelFile) -> BaseMLP:
    """Return the estimator in a file.

    Raises
    ------
    cnn_core.model_file.ModelFileError
        If what the file says does not go together.
    """
    from cnn_core.estimators import MLPClassifier, MLPRegressor

    kinds: dict[str, Callable[..., BaseMLP]] = {
        "MLPClassifier": MLPClassifier,
        "MLPRegressor": MLPRegressor,
    }
    kind = file.metadata["kind"]
    model, extra = read_model(file)
    with blamed_on(file.path, f"an {kind}"):
        parameters = {name: _from_json(value) for name, value in extra["parameters"].items()}
        estimator = kinds[kind](backend=file.backend, n_threads=file.n_threads, **parameters)
        for name in _ATTRIBUTES:
            if name in extra["attributes"]:
                setattr(estimator, name, _from_json(extra["attributes"][name]))
        estimator._watch = PatienceCounter(*_from_json(extra["watch"]))
        estimator._best = _best_in(file, model)
        for name in _CURVES:
            setattr(estimator, name, model.history.pop(_OF_ESTIMATOR + name, None))
        estimator.evals_result_ = {}
        for key in [key for key in model.history if key.startswith(_OF_SETS)]:
            place, name = key.removeprefix(_OF_SETS).rsplit(".", 1)
            estimator.evals_result_.setdefault(place, {})[name] = model.history.pop(key)
        estimator._become(model, estimator._task_from_json(extra["task"]))
        if extra["feature_names"] is not None:
            estimator.feature_names_in_ = np.array(extra["feature_names"], object)
            if estimator.feature_names_in_.shape != (model.network.n_inputs,):
                raise ValueError(f"{len(extra['feature_names'])} names of features")
    return estimator


def _best_of(estimator: BaseMLP) -> tuple[dict[str, str], dict[str, FloatArray]]:
    """Return the best weights of a `partial_fit` with early stopping that may go on."""
    if estimator._best is None:
        return {}, {}
    tensors: dict[str, FloatArray] = {}
    best = checkpoints.encoded(estimator._best._asdict(), tensors)
    return {TRAINING: json.dumps(best)}, tensors


def _best_in(file: ModelFile, model: Model) -> Snapshot | None:
    """Return them from a file, if it has some."""
    if TRAINING not in file.metadata:
        return None
    best = checkpoints.decoded(
        json.loads(file.metadata[TRAINING]), tensors_of_training(file.tensors)
    )
    return snapshot_from(best, layout_of(model.arrays()))


def _parameter_to_json(name: str, value: Any) -> Any:
    try:
        return _to_json(name, value)
    except TypeError:
        if name in _MAY_BE_LOST:
            return None
        raise


def _to_json(name: str, value: Any) -> Any:
    """Return a value in terms of JSON: an object with one key for what JSON does not know."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, np.generic | np.ndarray):
        return _to_json(name, value.tolist())
    if isinstance(value, list | tuple):
        items = [_to_json(name, item) for item in value]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict):
        pairs = [[_to_json(name, key), _to_json(name, item)] for key, item in value.items()]
        return {"dict": pairs}
    if isinstance(value, np.dtype) or value in (np.float32, np.float64):
        return np.dtype(value).name
    if _DESCRIPTIONS.get(type(value).__name__) is type(value):
        changed = {
            field.name: _to_json(name, getattr(value, field.name))
            for field in dataclasses.fields(value)
            if getattr(value, field.name) != field.default
        }
        return {"description": [type(value).__name__, changed]}
    raise TypeError(f"{name}: a file cannot hold {value!r}: set a name or a number in its place")


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((key, content),) = value.items()
    if key == "float":
        return float(content)
    if key == "tuple":
        return tuple(_from_json(item) for item in content)
    if key == "dict":
        return {_from_json(name): _from_json(item) for name, item in content}
    if key == "description":
        kind, fields = content
        return _DESCRIPTIONS[kind](**{name: _from_json(item) for name, item in fields.items()})
    raise ValueError(f"an unknown {key!r}")
