"""A training as JSON: its identity, and the states of callbacks and loop.

Arrays are stored as tensors of the file, and the JSON refers to them by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from cnn_core import backends
from cnn_core.io.fingerprint import Elsewhere, fingerprint, is_of_sparse
from cnn_core.io.model_state import TRAINING
from cnn_core.io.network_json import network_to_json
from cnn_core.sparse import SparseRows
from cnn_core.training.callbacks import Callback
from cnn_core.training.state import Recipe, Trainable, TrainingData
from cnn_core.types import FloatArray

# The parts of the identity that depend on the machine.
_MACHINE = ("backend", "isa")


def identity_of(
    model: Trainable, recipe: Recipe, data: TrainingData, known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the identity of a training: everything that determines its result.

    Parameters
    ----------
    known : dict
        The stored identity to compare with; empty if there is none.
    """
    validation = data.validation
    arrays = {
        "x": data.x,
        "rows": data.rows,
        "t": data.t,
        "weights of samples": data.weights,
        "validation x": None if validation is None else validation.x,
        "validation rows": None if validation is None else validation.rows,
        "validation t": None if validation is None else validation.t,
        "validation weights": None if validation is None else validation.weights,
    }
    network = json.loads(json.dumps(network_to_json(model.network)))
    info = backends.backend_info(model.backend)
    return {
        **{f"network.{name}": value for name, value in network.items()},
        "dtype": model.dtype.name,
        "seed": model.seed,
        **{one.name: _text_of(getattr(recipe, one.name)) for one in fields(recipe)},
        # As in older files, in which recipes had none.
        "max_steps": recipe.max_steps,
        "epochs done before": model.epochs_done,
        "weights before this training": fingerprint(
            *model.arrays().values(), np.array(model.steps)
        ),
        **{
            name: None if array is None else _text_of_data(array, model.dtype, known.get(name))
            for name, array in arrays.items()
        },
        "targets are classes": data.are_classes,
        "validation score": validation is not None and validation.score is not None,
        **{name: info[name] for name in _MACHINE},
    }


def is_same_machine(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Tell whether two trainings ran on the same backend and machine."""
    return all(theirs.get(name) == ours[name] for name in _MACHINE)


def differences_in(ours: dict[str, Any], theirs: dict[str, Any], *, seeded: bool) -> list[str]:
    """Describe in words how two trainings differ.

    Parameters
    ----------
    ours, theirs : dict
        Results of `identity_of`.
    seeded : bool
        Whether the user chose the seed.
    """
    ignored = set(_MACHINE)
    if not seeded:
        ignored |= {"seed", "weights before this training"}
    elif not is_same_machine(ours, theirs):
        # First weights of one seed may differ in the last bits between machines.
        ignored.add("weights before this training")
    return [
        f"{name:.80}: expected {ours.get(name)}, found {theirs.get(name)!s:.300}"
        for name in (*ours, *(set(theirs) - set(ours)))
        if name not in ignored and ours.get(name) != theirs.get(name)
    ]


def _text_of_data(array: Any, dtype: np.dtype[Any], known: Any) -> str:
    if isinstance(array, Elsewhere):
        return array.text
    if isinstance(array, SparseRows) and isinstance(known, str) and not is_of_sparse(known):
        # From an older version, in which sparse samples had the fingerprint of their dense rows.
        return fingerprint(array, dtype=dtype, as_dense=True)
    return fingerprint(array, dtype=dtype)


def _text_of(value: Any) -> str:
    # An object with the default repr is identified by its class, not by its address.
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def states_of(callbacks: Iterable[Callback]) -> list[dict[str, Any]]:
    """Return the states of callbacks, each with its class and its position within the class."""
    states = []
    places: dict[str, int] = {}
    for callback in callbacks:
        name = type(callback).__name__
        place = places[name] = places.get(name, -1) + 1
        if state := callback.get_state():
            states.append({"class": name, "place": place, "state": state})
    return states


def encoded(value: Any, tensors: dict[str, FloatArray]) -> Any:
    """Convert a value to JSON; its arrays are added to `tensors`.

    Raises
    ------
    TypeError
        For a type that a checkpoint cannot hold.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        name = f"{TRAINING}.{len(tensors)}"
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, list | tuple):
        return [encoded(item, tensors) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: encoded(item, tensors) for key, item in value.items()}}
    raise TypeError(
        "a checkpoint holds None, numbers, text, float arrays, and lists and dictionaries of such "
        f"with keys that are text, found {type(value).__name__}: {value!r:.80}"
    )


def decoded(value: Any, tensors: dict[str, FloatArray]) -> Any:
    """Return the value from the result of `encoded`; remove its arrays from `tensors`.

    Raises
    ------
    AttributeError, KeyError, TypeError, ValueError
        For anything else.
    """
    if isinstance(value, list):
        return [decoded(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        # Each array is used once, so that no two places share memory.
        return tensors.pop(content)
    if kind == "dict":
        return {key: decoded(item, tensors) for key, item in content.items()}
    raise ValueError(f"an unknown {kind!r:.80}")
