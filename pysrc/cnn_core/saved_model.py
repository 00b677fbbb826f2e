"""How models are kept in files, and how any file of ours is read.

What the file consists of, `cnn_core.model_file` says. Its metadata are

``kind``
    What was saved: ``"Model"``, or the name of the face. An `NN`'s file has none.
``network``
    The description of the network, as `cnn_core.network_json` writes it.
``state``
    dtype, seed and counters of the model.
``extra``
    What the face adds: anything that JSON can hold.

Its tensors are ``layers.0.weights``, ``layers.0.bias``, where there is normalization
``layers.0.gain``, ``layers.0.mean`` and ``layers.0.variance``, and so on layer by layer;
``moments`` and ``average``, each flat like the parameters; and ``history.loss`` and its like.
A checkpoint has a further text ``training`` and tensors ``training.0`` and so on, which
`cnn_core.checkpoints` writes and reads.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from cnn_core import backends
from cnn_core.arrays import copy_exactly
from cnn_core.model import Model, threads_in_use
from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from cnn_core.network import FloatArray, Network
from cnn_core.network_json import network_from_json, network_to_json
from cnn_core.settings import whole

# The further text of a checkpoint, and the beginning of the names of its further tensors.
TRAINING = "training"
# Before the name of a tensor of the history.
_HISTORY = "history."


class ModelFile(NamedTuple):
    """A file that was read, and what it is to be made into.

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


# For each kind the module and the function that makes it from a `ModelFile`. The modules are
# imported when they are needed; no other code can be named by a file.
READERS: dict[str, tuple[str, str]] = {
    "NN": ("cnn_core.nn_file", "read"),
    "Model": ("cnn_core.saved_model", "read"),
    "MLPClassifier": ("cnn_core.estimators", "read"),
    "MLPRegressor": ("cnn_core.estimators", "read"),
}


def load(
    path: str | os.PathLike[str], *, backend: str = "auto", n_threads: int | None = None
) -> Any:
    """Return what a `save` of this library wrote. Nothing in the file can run.

    Parameters
    ----------
    path : path-like
    backend : {"auto", "cython", "numpy"}
        See `cnn_core.backends.get`.
    n_threads : int, optional
        As for `NN`: it belongs to the machine and is not kept in the file.

    Returns
    -------
    NN, Model, MLPClassifier or MLPRegressor
        Whatever was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    cnn_core.model_file.ModelFileError
        If the file is damaged, truncated, of a later version or not a model of ours, or does not
        fit in memory.
    """
    # What is wrong with these must not be blamed on the file.
    threads_in_use(backends.get(backend), n_threads)
    tensors, metadata = read_tensors(path)
    kind = metadata.get("kind", "NN")
    if kind not in READERS:
        raise ModelFileError(
            path,
            f"expected one of {', '.join(READERS)}, found {kind!r:.80}; a newer cnn_core may "
            "read it",
        )
    module, function = READERS[kind]
    reader = getattr(importlib.import_module(module), function)
    return reader(ModelFile(path, tensors, metadata, backend, n_threads))


# What settings that do not go together raise: numbers no float can hold are an ArithmeticError.
_OF_DESCRIPTIONS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@contextmanager
def blamed_on(path: str | os.PathLike[str], kind: str) -> Iterator[None]:
    """Turn the errors of settings and arrays that do not go together into one about the file.

    Raises
    ------
    cnn_core.model_file.ModelFileError
        In their place.
    """
    try:
        yield
    except ModelFileError:
        raise
    except MemoryError as error:
        raise ModelFileError(
            path,
            f"expected {kind} that fits in memory, found a file of {os.path.getsize(path)} bytes, "
            "of which a model takes several times as many",
        ) from error
    except _OF_DESCRIPTIONS as error:
        raise ModelFileError(
            path,
            f"expected the settings and weights of {kind}, found something else ({error!s:.1000})",
            # Its text, as it stands, would be shown with that of this one.
        ) from None


def write_model(
    path: str | os.PathLike[str],
    model: Model,
    *,
    kind: str = "Model",
    extra: Any = None,
    curves: Mapping[str, list[float]] | None = None,
    further: tuple[Mapping[str, str], Mapping[str, FloatArray]] = ({}, {}),
) -> None:
    """Write a model to a file, as a whole or not at all.

    Parameters
    ----------
    path : path-like
    model : Model
        Of the exact rule.
    kind : str
        One of the keys of `READERS`.
    extra : object
        What the face adds, of what JSON can hold.
    curves : dict of str to list of float, optional
        What the face adds to the model's history.
    further : tuple of dict of str to str and dict of str to array
        Metadata and tensors of a checkpoint.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError, ValueError
        If `extra` is not of what JSON can hold, or longer than a header may be (1 MiB).
    """
    if model.network.rule != "exact":
        raise ValueError("a network of the article's rule is saved by NN.save")
    state = {
        "dtype": model.dtype.name,
        "seed": model.seed,
        "steps": model.steps,
        "epochs_done": model.epochs_done,
        "samples_done": model.samples_done,
    }
    metadata = {"kind": kind, "network": network_to_json(model.network), "state": state}
    if extra is not None:
        metadata["extra"] = extra
    write_tensors(
        path,
        {
            **_tensors(model),
            **history_to_tensors({**model.history, **(curves or {})}),
            **further[1],
        },
        {
            key: value if isinstance(value, str) else json.dumps(value, allow_nan=False)
            for key, value in (metadata | dict(further[0])).items()
        },
    )


def read(file: ModelFile) -> Model:
    """Return a `Model` as its file has it."""
    model, _ = read_model(file)
    return model


def read_model(file: ModelFile) -> tuple[Model, Any]:
    """Return the model in a file, and what the face that wrote it has added, None if nothing.

    Raises
    ------
    cnn_core.model_file.ModelFileError
        If the file's description, arrays and sizes do not go together.
    """
    with blamed_on(file.path, "a Model"):
        network = network_from_json(json.loads(file.metadata["network"]))
        state = json.loads(file.metadata["state"])
        tensors = without_history(file.tensors)
        if TRAINING in file.metadata:
            further = tensors_of_training(tensors)
            tensors = {name: tensor for name, tensor in tensors.items() if name not in further}
        _require_size(network, tensors)
        model = Model(
            network,
            dtype=state["dtype"],
            seed=state["seed"],
            backend=file.backend,
            n_threads=file.n_threads,
        )
        _fill(model, tensors)
        model.steps = whole("steps", state["steps"], 0, 2**32 - 1)
        model.epochs_done = whole("epochs_done", state["epochs_done"], 0)
        model.samples_done = whole("samples_done", state["samples_done"], 0)
        model.history = history_from_tensors(file.tensors)
        return model, json.loads(file.metadata.get("extra", "null"))


def tensors_of_training(tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return those tensors of a file that belong to its further text, not to the model."""
    return {name: a for name, a in tensors.items() if name.startswith(f"{TRAINING}.")}


def history_to_tensors(history: Mapping[str, list[float]]) -> dict[str, FloatArray]:
    """Return a history as arrays of float64 with names of their own."""
    return {_HISTORY + key: np.array(values, np.float64) for key, values in history.items()}


def history_from_tensors(tensors: Mapping[str, FloatArray]) -> dict[str, list[float]]:
    """Return the history among the tensors of a file.

    Raises
    ------
    ValueError
        If what an epoch had is not a number.
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


def _tensors(model: Model) -> dict[str, FloatArray]:
    """Return the arrays of a model, or views of them, by the names that they have in a file."""
    tensors: dict[str, FloatArray] = {}
    statistics = model.network.unflatten_statistics(model.statistics)
    for number, (layer, pair) in enumerate(zip(model.layers, statistics, strict=True)):
        named = layer._asdict()
        if pair is not None:
            named["mean"], named["variance"] = pair
        tensors |= {f"layers.{number}.{key}": a for key, a in named.items() if a is not None}
    flat = {"moments": model.moments, "average": model.average}
    return tensors | {name: a for name, a in flat.items() if a is not None and a.size}


def _require_size(network: Network, tensors: Mapping[str, FloatArray]) -> None:
    """See that a file has what the network takes, before memory is taken for it."""
    copies = 1 + network.optimizer.n_moments + bool(network.averaging)
    expected = copies * network.n_parameters() + network.n_statistics
    found = sum(tensor.size for tensor in tensors.values())
    if found != expected:
        raise ValueError(f"the network takes {expected} numbers, the file has {found}")


def _fill(model: Model, tensors: Mapping[str, FloatArray]) -> None:
    own = _tensors(model)
    if set(own) != set(tensors):
        names = ", ".join(sorted(set(own) ^ set(tensors)))
        raise ValueError(f"tensors missing, or that do not belong there: {names:.200}")
    for name, array in own.items():
        copy_exactly(name, tensors[name], array)
