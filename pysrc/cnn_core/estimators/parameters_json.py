"""The parameters of an estimator as JSON, and back."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from cnn_core.layers import LAYERS
from cnn_core.optimizers import OPTIMIZERS
from cnn_core.training.schedules import SCHEDULES, Schedule, WarmUp

# Parameters whose objects cannot be stored in a file and become None.
_MAY_BE_LOST = ("callbacks", "cv", "random_state", "scoring")
_DESCRIPTIONS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (*OPTIMIZERS, Schedule, *SCHEDULES.values(), WarmUp, *LAYERS.values())
}


def parameter_to_json(name: str, value: Any) -> Any:
    """Convert a parameter to JSON; None for objects that are not stored.

    Raises
    ------
    TypeError
        For an object that a file cannot hold.
    """
    try:
        return to_json(name, value)
    except TypeError:
        if name in _MAY_BE_LOST:
            return None
        raise


def to_json(name: str, value: Any) -> Any:
    """Convert a value to JSON: an object with one key for types that JSON does not have.

    Raises
    ------
    TypeError
        For an object that a file cannot hold.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, np.generic | np.ndarray):
        return to_json(name, value.tolist())
    if isinstance(value, list | tuple):
        items = [to_json(name, item) for item in value]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict):
        pairs = [[to_json(name, key), to_json(name, item)] for key, item in value.items()]
        return {"dict": pairs}
    if isinstance(value, np.dtype) or value in (np.float32, np.float64):
        return np.dtype(value).name
    if _DESCRIPTIONS.get(type(value).__name__) is type(value):
        changed = {
            field.name: to_json(name, getattr(value, field.name))
            for field in dataclasses.fields(value)
            if getattr(value, field.name) != field.default
        }
        return {"description": [type(value).__name__, changed]}
    raise TypeError(f"{name}: a file cannot hold {value!r}: set a name or a number in its place")


def from_json(value: Any) -> Any:
    """Return the value from the result of `to_json`.

    Raises
    ------
    LookupError, OverflowError, TypeError, ValueError
        For anything else.
    """
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((key, content),) = value.items()
    if key == "float":
        return float(content)
    if key == "tuple":
        return tuple(from_json(item) for item in content)
    if key == "dict":
        return {from_json(name): from_json(item) for name, item in content}
    if key == "description":
        kind, fields = content
        return _DESCRIPTIONS[kind](**{name: from_json(item) for name, item in fields.items()})
    raise ValueError(f"an unknown {key!r}")
