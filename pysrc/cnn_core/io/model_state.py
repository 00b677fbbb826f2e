"""Write and read models; the common part of all kinds of files.

For the file format see `cnn_core.io.container`. The metadata are

``kind``
    What was saved: ``"Model"``, or the kind of its owner. Missing for an `NN`.
``network``
    The description of the network; see `cnn_core.io.network_json`.
``state``
    dtype, seed and counters of the model.
``extra``
    Data of the owner, as JSON.

Its tensors are ``layers.0.weights``, ``layers.0.bias``, where there is normalization
``layers.0.gain``, ``layers.0.mean`` and ``layers.0.variance``, and so on layer by layer;
``moments`` and ``average``, flat like the parameters; and ``history.loss`` and similar. A
checkpoint has a further text ``training`` and tensors ``training.0`` and so on, which
`cnn_core.io.checkpoint` writes and reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from cnn_core.arrays import copy_exactly
from cnn_core.io.container import ModelFileError, write_tensors
from cnn_core.io.network_json import network_from_json, network_to_json
from cnn_core.network import Network
from cnn_core.training.snapshot import ModelState, Snapshot, first_snapshot
from cnn_core.types import FloatArray
from cnn_core.validation import parameters_dtype, whole

# Name of the additional text of a checkpoint, and prefix of its additional tensors.
TRAINING = "training"
# Prefix of tensors of the history.
_HISTORY = "history."


class ModelFile(NamedTuple):
    """The contents of a file, with backend and threads for its model.

    Attributes
    ----------
    path : path-like
    tensors : dict of str to array
    metadata : dict of str to str
    backend : str
    n_threads : int or None
    """

    path: str | os.PathLike[str]
    tensors: dict[str, FloatArray]
    metadata: dict[str, str]
    backend: str
    n_threads: int | None


# Errors of inconsistent settings; ArithmeticError for numbers beyond float.
_OF_DESCRIPTIONS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@contextmanager
def as_file_error(path: str | os.PathLike[str], kind: str) -> Iterator[None]:
    """Convert errors of inconsistent settings and arrays to an error about the file.

    Raises
    ------
    cnn_core.ModelFileError
        Instead of these errors.
    """
    try:
        yield
    except ModelFileError:
        raise
    except MemoryError as error:
        raise ModelFileError(
            path,
            f"expected {kind} that fits in memory, where it takes several times the bytes of its "
            "file, found too little of it",
        ) from error
    except _OF_DESCRIPTIONS as error:
        raise ModelFileError(
            path,
            f"expected the settings and weights of {kind}, found something else ({error!s:.1000})",
            # Its unescaped text would be shown along with this one.
        ) from None


def write_model(
    path: str | os.PathLike[str],
    model: ModelState,
    *,
    kind: str = "Model",
    extra: Any = None,
    curves: Mapping[str, list[float]] | None = None,
    further: tuple[Mapping[str, str], Mapping[str, FloatArray]] = ({}, {}),
) -> None:
    """Write a model to a file, completely or not at all.

    Parameters
    ----------
    path : path-like
    model : ModelState
        Only for the exact rule.
    kind : str
        One of the keys of `cnn_core.loading.READERS`.
    extra : object
        Data of the owner, as JSON.
    curves : dict of str to list of float, optional
        Curves that the owner adds to the model's history.
    further : tuple of dict of str to str and dict of str to array
        Metadata and tensors of a checkpoint.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError, ValueError
        If `extra` is not JSON, or longer than a header may be (1 MiB).
    """
    if model.network.rule != "exact":
        raise ValueError("a network of the article's rule is saved by NN.save")
    state = {
        "dtype": model.dtype.name,
        "seed": model.seed,
        "steps": model.snapshot.steps,
        "epochs_done": model.epochs_done,
        "samples_done": model.samples_done,
    }
    metadata = {"kind": kind, "network": network_to_json(model.network), "state": state}
    if extra is not None:
        metadata["extra"] = extra
    write_tensors(
        path,
        {
            **_tensors(model.network, model.snapshot.arrays),
            **history_to_tensors({**model.history, **(curves or {})}),
            **further[1],
        },
        {
            key: value if isinstance(value, str) else json.dumps(value, allow_nan=False)
            for key, value in (metadata | dict(further[0])).items()
        },
    )


def read_state(file: ModelFile) -> tuple[ModelState, Any]:
    """Return the model in a file, and the data of its owner, if any.

    Raises
    ------
    cnn_core.ModelFileError
        If the file's description, arrays and sizes are inconsistent.
    """
    with as_file_error(file.path, "a Model"):
        network = network_from_json(json.loads(file.metadata["network"]))
        state = json.loads(file.metadata["state"])
        tensors = without_history(file.tensors)
        if TRAINING in file.metadata:
            further = tensors_of_training(tensors)
            tensors = {name: tensor for name, tensor in tensors.items() if name not in further}
        _require_size(network, tensors)
        dtype = parameters_dtype(state["dtype"], network.rule)
        seed = whole("seed", state["seed"], 0, 2**64 - 1)
        arrays = first_snapshot(network, dtype).arrays
        _fill(_tensors(network, arrays), tensors)
        model = ModelState(
            network,
            dtype,
            seed,
            Snapshot(arrays, whole("steps", state["steps"], 0)),
            whole("epochs_done", state["epochs_done"], 0),
            whole("samples_done", state["samples_done"], 0),
            history_from_tensors(file.tensors),
        )
        return model, json.loads(file.metadata.get("extra", "null"))


def tensors_of_training(tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the tensors of a file that belong to the checkpoint, not to the model."""
    return {name: a for name, a in tensors.items() if name.startswith(f"{TRAINING}.")}


def history_to_tensors(history: Mapping[str, list[float]]) -> dict[str, FloatArray]:
    """Convert a history to named float64 arrays."""
    return {_HISTORY + key: np.array(values, np.float64) for key, values in history.items()}


def history_from_tensors(tensors: Mapping[str, FloatArray]) -> dict[str, list[float]]:
    """Return the history among the tensors of a file.

    Raises
    ------
    ValueError
        If a value of an epoch is not a number.
    """
    for name, tensor in tensors.items():
        if name.startswith(_HISTORY) and tensor.ndim != 1:
            raise ValueError(f"{name:.80}: expected a number for each epoch, found {tensor.shape}")
    return {
        name.removeprefix(_HISTORY): tensor.tolist()
        for name, tensor in tensors.items()
        if name.startswith(_HISTORY)
    }


def without_history(tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the other tensors of a file."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(_HISTORY)}


def _tensors(network: Network, arrays: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the arrays of a model, or views of them, by their names in a file."""
    tensors: dict[str, FloatArray] = {}
    layers = network.unflatten(arrays["parameters"])
    statistics = network.unflatten_statistics(arrays["statistics"])
    for number, (layer, pair) in enumerate(zip(layers, statistics, strict=True)):
        named = layer._asdict()
        if pair is not None:
            named["mean"], named["variance"] = pair
        tensors |= {
            f"layers.{number}.{key}": a for key, a in named.items() if a is not None and a.size
        }
    flat = {name: arrays.get(name) for name in ("moments", "average")}
    return tensors | {name: a for name, a in flat.items() if a is not None and a.size}


def _require_size(network: Network, tensors: Mapping[str, FloatArray]) -> None:
    """Check the sizes in a file before memory is allocated for its network."""
    copies = 1 + network.optimizer.n_moments + bool(network.averaging)
    expected = copies * network.n_parameters() + network.n_statistics
    found = sum(tensor.size for tensor in tensors.values())
    if found != expected:
        raise ValueError(f"the network takes {expected} numbers, the file has {found}")


def _fill(own: Mapping[str, FloatArray], tensors: Mapping[str, FloatArray]) -> None:
    if set(own) != set(tensors):
        names = ", ".join(sorted(set(own) ^ set(tensors)))
        raise ValueError(f"tensors missing, or that do not belong there: {names:.200}")
    for name, array in own.items():
        copy_exactly(name, tensors[name], array)
