"""Read estimators from model files, with a check of every field."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_core.estimators.base import BaseMLP, Estimator
from cnn_core.estimators.classifier import MLPClassifier
from cnn_core.estimators.parameters_json import from_json
from cnn_core.estimators.progress import CURVES, FitProgress
from cnn_core.estimators.regressor import MLPRegressor
from cnn_core.estimators.saving import ATTRIBUTES, OF_ESTIMATOR, OF_SETS
from cnn_core.io.checkpoint_json import decoded
from cnn_core.io.fields import Fields
from cnn_core.io.model_state import TRAINING, ModelFile, as_file_error, tensors_of_training
from cnn_core.model import Model, read_model
from cnn_core.training.patience import PatienceCounter
from cnn_core.training.snapshot import Snapshot, layout_of, snapshot_from

# After this many divisions by 5 the learning rate is below every float.
_MOST_CUTS = 440
_KINDS: dict[str, Callable[..., BaseMLP]] = {
    "MLPClassifier": MLPClassifier,
    "MLPRegressor": MLPRegressor,
}


def read(file: ModelFile) -> BaseMLP:
    """Return the estimator in a file.

    Raises
    ------
    cnn_core.ModelFileError
        If the contents of the file are inconsistent.
    """
    return read_as(_KINDS[file.metadata["kind"]], file)


def read_as(make: Callable[..., Estimator], file: ModelFile) -> Estimator:
    """Return the estimator in a file, created by `make`.

    Raises
    ------
    cnn_core.ModelFileError
        As for `read`.
    """
    kind = file.metadata["kind"]
    model, extra = read_model(file)
    with as_file_error(file.path, f"an {kind}"):
        fields = Fields(extra, "extra")
        parameters = {
            name: from_json(value) for name, value in fields.fields("parameters").values.items()
        }
        estimator = make(backend=file.backend, n_threads=file.n_threads, **parameters)
        values = _attributes_in(fields.fields("attributes")) | _curves_in(model.history)
        estimator._progress = FitProgress(
            **{name.strip("_"): value for name, value in values.items()},
            evals_result=_results_in(model.history),
            patience=PatienceCounter.from_state(from_json(fields.value("watch"))),
            best=_best_in(file, model),
        )
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
    """Return the attributes in a file, after a type check of each."""
    values = {name: from_json(fields.value(name)) for name in ATTRIBUTES if name in fields}
    found = Fields(values, "attributes")
    known: dict[str, Any] = {name: found.whole(name) for name in ("n_iter_", "t_")}
    known["_cuts"] = found.whole("_cuts", most=_MOST_CUTS)
    known["stopped_because_"] = found.optional(found.text, "stopped_because_")
    for name in ("best_loss_", "best_validation_score_"):
        known[name] = found.optional(found.measured, name)
    # Missing if a fit was interrupted in its first epoch.
    if "loss_" in found:
        known["loss_"] = found.measured("loss_")
    return known


def _curves_in(history: dict[str, list[float]]) -> dict[str, list[float] | None]:
    """Move the curves of the estimator out of the history of its model."""
    curves = {name: history.pop(OF_ESTIMATOR + name, None) for name in CURVES}
    if curves["loss_curve_"] is None:
        raise ValueError("loss_curve_: expected a curve, found none")
    validation = [curves[name] for name in CURVES[1:]]
    if (validation[0] is None) != (validation[1] is None):
        raise ValueError(f"{' and '.join(CURVES[1:])}: expected both or none, found one")
    return curves


def _results_in(history: dict[str, list[float]]) -> dict[str, dict[str, list[float]]]:
    """Move the results on evaluation sets out of the history of a model."""
    results: dict[str, dict[str, list[float]]] = {}
    for key in [key for key in history if key.startswith(OF_SETS)]:
        place, _, name = key.removeprefix(OF_SETS).rpartition(".")
        results.setdefault(place, {})[name] = history.pop(key)
    for place, result in results.items():
        if set(result) != {"loss", "score"}:
            raise ValueError(
                f"evals_result_ {place:.80}: expected loss and score, found {result!r:.80}"
            )
    return results


def _best_in(file: ModelFile, model: Model) -> Snapshot | None:
    """Return the best weights in a file, if there are any."""
    if TRAINING not in file.metadata:
        return None
    best = decoded(json.loads(file.metadata[TRAINING]), tensors_of_training(file.tensors))
    return snapshot_from(best, layout_of(model.arrays()))
