"""How an `NN` is kept in a model file: its settings as text, its arrays and history as tensors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from cnn_core.network import FloatArray
from cnn_core.parameters import NAMES

_CLASS = "NN"
# Before the name of a tensor of the history.
_HISTORY = "history."


@dataclass(frozen=True, eq=False)
class SavedNetwork:
    """What a file holds of a network.

    Attributes
    ----------
    sizes : tuple of int
        Inputs, hidden units, outputs.
    settings : dict
        The other settings, by their names: what JSON can hold.
    tensors : dict of str to array
        The arrays that `cnn_core.parameters.NAMES` names.
    history : dict of str to list of float
    """

    sizes: tuple[int, int, int]
    settings: dict[str, Any]
    tensors: dict[str, FloatArray]
    history: dict[str, list[float]]


def write_network(path: str | os.PathLike[str], network: SavedNetwork) -> None:
    """Write a network to a file, as a whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    tensors: dict[str, FloatArray] = dict(network.tensors)
    for key, values in network.history.items():
        tensors[_HISTORY + key] = np.array(values, np.float64)
    settings = {"class": _CLASS, "network": list(network.sizes), **network.settings}
    write_tensors(path, tensors, {"network": json.dumps(settings, allow_nan=False)})


def read_network(path: str | os.PathLike[str]) -> SavedNetwork:
    """Read a file that `write_network` wrote.

    The arrays have the sizes that the settings say; whether the settings make sense is for the
    network to find out, inside of `blamed_on`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    cnn_core.model_file.ModelFileError
        If the file is damaged, truncated, of a later version or not a network of ours.
    """
    tensors, metadata = read_tensors(path)
    with blamed_on(path):
        return _network(tensors, json.loads(metadata["network"]))


@contextmanager
def blamed_on(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the errors of settings and arrays that do not go together into one about the file.

    Raises
    ------
    cnn_core.model_file.ModelFileError
        In their place.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelFileError(
            f"{os.fspath(path)}: expected the settings and weights of an NN, "
            f"found something else ({error})"
        ) from error


def _network(tensors: Mapping[str, FloatArray], settings: dict[str, Any]) -> SavedNetwork:
    arrays = {name: array for name, array in tensors.items() if not name.startswith(_HISTORY)}
    if settings["class"] != _CLASS or set(arrays) != set(NAMES):
        raise ValueError(f"a {settings['class']!r} with {', '.join(sorted(tensors))}")
    inputs, hidden, outputs = settings["network"]
    # Before memory is taken for a network of the sizes that the settings claim.
    for name, shape in (("wih", (hidden, inputs)), ("who", (outputs, hidden))):
        if arrays[name].shape != shape:
            raise ValueError(f"{name}: expected the shape {shape}, found {arrays[name].shape}")
    for name, units in (("bih", hidden), ("bho", outputs)):
        if arrays[name].shape[:1] != (units,):
            raise ValueError(f"{name}: expected {units} rows, found {arrays[name].shape}")
    return SavedNetwork(
        sizes=(inputs, hidden, outputs),
        settings={key: settings[key] for key in settings if key not in ("class", "network")},
        tensors=arrays,
        history={
            name.removeprefix(_HISTORY): values.tolist()
            for name, values in tensors.items()
            if name.startswith(_HISTORY)
        },
    )
