"""The pickled state of a fitted estimator: only numbers, text, lists, dicts and arrays.

So tools that list the types in a file, such as skops, find only the estimator's class.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np

from cnn_core.estimators.labels import Classification
from cnn_core.estimators.progress import FitProgress
from cnn_core.estimators.targets import Regression
from cnn_core.estimators.task import Task
from cnn_core.io.network_json import network_from_json, network_to_json
from cnn_core.model import Model
from cnn_core.training.patience import PatienceCounter
from cnn_core.training.snapshot import ModelState, Snapshot

FITTED = "_fitted"
# The attributes of a fitted estimator that it replaces.
_ATTRIBUTES = ("model_", "_task", "_progress")


def plain_state(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of an estimator, with our objects replaced by plain values.

    They are unchanged before a fit, and for unknown kinds of tasks.
    """
    found = dict(attributes)
    task: Any = found.get("_task")
    known = all(name in found for name in _ATTRIBUTES)
    if not known or type(task) not in (Classification, Regression):
        return found
    model, _, progress = (found.pop(name) for name in _ATTRIBUTES)
    found[FITTED] = {
        "model": _of_model(model),
        "task": _of_task(task),
        "progress": _of_progress(progress),
    }
    return found


def with_objects(state: dict[str, Any]) -> dict[str, Any]:
    """Return the original attributes from the result of `plain_state`, or from older pickles."""
    found = dict(state)
    plain = found.pop(FITTED, None)
    if plain is not None:
        model = _model_in(plain["model"])
        found["model_"] = model
        found["_task"] = _task_in(plain["task"], model)
        found["_progress"] = _progress_in(plain["progress"])
    return found


def _of_model(model: Model) -> dict[str, Any]:
    state = model.__getstate__()
    return {
        "network": json.dumps(network_to_json(state["network"])),
        "dtype": state["dtype"].name,
        "backend": state["_backend_wanted"],
        "n_threads": state["_threads_wanted"],
        "snapshot": _of_snapshot(state["snapshot"]),
        **{name: state[name] for name in ("seed", "epochs_done", "samples_done", "history")},
    }


def _model_in(plain: dict[str, Any]) -> Model:
    state = ModelState(
        network_from_json(json.loads(plain["network"])),
        np.dtype(plain["dtype"]),
        plain["seed"],
        _snapshot_in(plain["snapshot"]),
        plain["epochs_done"],
        plain["samples_done"],
        plain["history"],
    )
    return Model.from_state(state, backend=plain["backend"], n_threads=plain["n_threads"])


def _of_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    return {"arrays": dict(snapshot.arrays), "steps": snapshot.steps}


def _snapshot_in(plain: dict[str, Any]) -> Snapshot:
    return Snapshot(dict(plain["arrays"]), plain["steps"])


def _of_task(task: Classification | Regression) -> dict[str, Any]:
    if isinstance(task, Regression):
        # The other settings are in the network.
        return {"n_targets": task.n_targets}
    return {one.name: getattr(task, one.name) for one in fields(task)}


def _task_in(plain: dict[str, Any], model: Model) -> Task:
    if "n_targets" in plain:
        network = model.network
        return Regression(plain["n_targets"], network.loss, network.layers[-1].activation)
    return Classification(**plain)


def _of_progress(progress: FitProgress) -> dict[str, Any]:
    found = {one.name: getattr(progress, one.name) for one in fields(progress)}
    found["patience"] = list(progress.patience)
    found["best"] = None if progress.best is None else _of_snapshot(progress.best)
    return found


def _progress_in(plain: dict[str, Any]) -> FitProgress:
    found = dict(plain)
    found["patience"] = PatienceCounter(*plain["patience"])
    found["best"] = None if plain["best"] is None else _snapshot_in(plain["best"])
    return FitProgress(**found)
