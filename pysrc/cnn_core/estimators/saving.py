"""Estimators in model files: their parameters and attributes beside the model, no pickle."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_core.io.checkpoint_json import decoded, encoded
from cnn_core.io.fields import Fields
from cnn_core.io.model_state import (
    TRAINING,
    ModelFile,
    as_file_error,
    tensors_of_training,
    write_model,
)
from cnn_core.model import Model, read_model
from cnn_core.network import FloatArray
from cnn_core.optimizers import OPTIMIZERS
from cnn_core.training.patience import PatienceCounter
from cnn_core.training.schedules import SCHEDULES, Schedule, WarmUp
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
# The learning rate "adaptive" divided by 5 so often is below what any number can be.
_MOST_CUTS = 440
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
    cnn_core.ModelFileError
        If what the file says does not go together.
    """
    from cnn_core.estimators import MLPClassifier, MLPRegressor

    kinds: dict[str, Callable[..., BaseMLP]] = {
        "MLPClassifier": MLPClassifier,
        "MLPRegressor": MLPRegressor,
    }
    kind = file.metadata["kind"]
    model, extra = read_model(file)
    with as_file_error(file.path, f"an {kind}"):
        fields = Fields(extra, "extra")
        parameters = {
            name: _from_json(value) for name, value in fields.fields("parameters").values.items()
        }
        estimator = kinds[kind](backend=file.backend, n_threads=file.n_threads, **parameters)
        for name, value in _attributes_in(fields.fields("attributes")).items():
            setattr(estimator, name, value)
        estimator._watch = PatienceCounter.from_state(_from_json(fields.value("watch")))
        estimator._best = _best_in(file, model)
        for name, curve in _curves_in(model.history).items():
            setattr(estimator, name, curve)
        estimator.evals_result_ = _results_in(model.history)
        estimator._become(model, estimator._task_from_json(fields.value("task")))
        names = fields.optional(fields.texts, "feature_names")
        if names is not None:
            if len(names) != model.network.n_inputs:
                raise ValueError(
                    f"feature_names: expected {model.network.n_inputs}, found {len(names)}"
                )
            estimator.feature_names_in_ = np.array(names, object)
    return estimator


def _attributes_in(fields: Fields) -> dict[str, Any]:
    """Return the attributes that a file has, each of its kind."""
    values = {name: _from_json(fields.value(name)) for name in _ATTRIBUTES if name in fields}
    found = Fields(values, "attributes")
    known: dict[str, Any] = {name: found.whole(name) for name in ("n_iter_", "t_")}
    known["_cuts"] = found.whole("_cuts", most=_MOST_CUTS)
    known["stopped_because_"] = found.optional(found.text, "stopped_because_")
    for name in ("best_loss_", "best_validation_score_"):
        known[name] = found.optional(found.measured, name)
    # Not there if a fit was interrupted in its first epoch.
    if "loss_" in found:
        known["loss_"] = found.measured("loss_")
    return known


def _curves_in(history: dict[str, list[float]]) -> dict[str, list[float] | None]:
    """Take the curves of the estimator out of the history of its model."""
    curves = {name: history.pop(_OF_ESTIMATOR + name, None) for name in _CURVES}
    if curves["loss_curve_"] is None:
        raise ValueError("loss_curve_: expected a curve, found none")
    validation = [curves[name] for name in _CURVES[1:]]
    if (validation[0] is None) != (validation[1] is None):
        raise ValueError(f"{' and '.join(_CURVES[1:])}: expected both or none, found one")
    return curves


def _results_in(history: dict[str, list[float]]) -> dict[str, dict[str, list[float]]]:
    """Take what was measured on the evaluation sets out of the history of a model."""
    results: dict[str, dict[str, list[float]]] = {}
    for key in [key for key in history if key.startswith(_OF_SETS)]:
        place, _, name = key.removeprefix(_OF_SETS).rpartition(".")
        results.setdefault(place, {})[name] = history.pop(key)
    for place, result in results.items():
        if set(result) != {"loss", "score"}:
            raise ValueError(
                f"evals_result_ {place:.80}: expected loss and score, found {result!r:.80}"
            )
    return results


def _best_of(estimator: BaseMLP) -> tuple[dict[str, str], dict[str, FloatArray]]:
    """Return the best weights of a `partial_fit` with early stopping that may go on."""
    if estimator._best is None:
        return {}, {}
    tensors: dict[str, FloatArray] = {}
    best = encoded(estimator._best._asdict(), tensors)
    return {TRAINING: json.dumps(best)}, tensors


def _best_in(file: ModelFile, model: Model) -> Snapshot | None:
    """Return them from a file, if it has some."""
    if TRAINING not in file.metadata:
        return None
    best = decoded(json.loads(file.metadata[TRAINING]), tensors_of_training(file.tensors))
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
