"""Convert the description of a network to JSON for model files, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cnn_core.network import LAYERS, LOSSES, Dense, Loss, Network
from cnn_core.optimizers import OPTIMIZERS

# Fields that allow several classes: the class name is stored too.
_OPTIMIZERS: dict[str, type[Any]] = {kind.__name__: kind for kind in OPTIMIZERS}
_LOSSES: dict[str, type[Any]] = {kind.__name__: kind for kind in LOSSES if isinstance(kind, type)}


def network_to_json(network: Network) -> dict[str, Any]:
    """Convert a network to JSON values.

    Examples
    --------
    >>> network_to_json(Network((Dense(4, 3),)))["optimizer"]
    {'kind': 'SGD', 'momentum': 0.0, 'nesterov': False}
    """
    values = _fields_of(network)
    # A dense layer is stored without its class name, as in the first version.
    values["layers"] = [
        _fields_of(layer) if isinstance(layer, Dense) else _with_kind(layer)
        for layer in network.layers
    ]
    for name in ("loss", "optimizer"):
        value = values[name]
        if not isinstance(value, str):
            values[name] = _with_kind(value)
    return values


def network_from_json(values: Any) -> Network:
    """Return the network from the result of `network_to_json`.

    Raises
    ------
    KeyError, TypeError, ValueError
        For anything else.
    """
    known = {**values, "layers": tuple(_made_layer(layer) for layer in values["layers"])}
    known["optimizer"] = _made_by_kind(values["optimizer"], _OPTIMIZERS)
    loss: Loss | dict[str, Any] = values["loss"]
    if not isinstance(loss, str):
        known["loss"] = _made_by_kind(loss, _LOSSES)
    network: Network = _made(Network, known)
    return network


def _made_layer(values: Any) -> Any:
    return _made_by_kind(values, LAYERS) if "kind" in values else _made(Dense, values)


def _with_kind(description: Any) -> dict[str, Any]:
    return {"kind": type(description).__name__, **_fields_of(description)}


def _fields_of(description: Any) -> dict[str, Any]:
    return {field.name: getattr(description, field.name) for field in fields(description)}


def _made_by_kind(values: Any, kinds: Mapping[str, type[Any]]) -> Any:
    kind = values["kind"]
    if kind not in kinds:
        raise ValueError(f"kind: expected {', '.join(map(repr, kinds))}, found {kind!r}")
    return _made(kinds[kind], {name: value for name, value in values.items() if name != "kind"})


def _made(kind: type[Any], values: dict[str, Any]) -> Any:
    """Return a description from `values`, after a type check of each field."""
    types = {field.name: str(field.type) for field in fields(kind)}
    for name, value in values.items():
        if name not in types:
            raise ValueError(f"{kind.__name__} has no {name!r}; a newer cnn_core may read it")
        _require_type(name, value, types[name])
    return kind(**{name: _as_tuple(value) for name, value in values.items()})


def _require_type(name: str, value: Any, annotation: str) -> None:
    """Refuse a value of another type, which would fail only much later."""
    if value is None and "None" in annotation:
        return
    if "float" in annotation:
        for number in value if isinstance(value, list) else [value]:
            if type(number) not in (int, float) or not math.isfinite(number):
                raise TypeError(f"{name}: expected a finite number, found {value!r}")
    if annotation == "bool" and not isinstance(value, bool):
        raise TypeError(f"{name}: expected true or false, found {value!r}")


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
