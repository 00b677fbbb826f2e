"""How an `NN` is kept in a model file: its settings as text, its arrays by the article's names.

The metadata ``network`` hold the class, the sizes and the settings; the tensors are ``wih``,
``bih``, ``who`` and ``bho`` in the shapes of the attributes, and the history.
"""

from __future__ import annotations

import json
import os
from typing import Any

from cnn_core.arrays import copy_exactly
from cnn_core.model_file import write_tensors
from cnn_core.network import FloatArray
from cnn_core.nn import NN
from cnn_core.saved_model import (
    ModelFile,
    blamed_on,
    history_from_tensors,
    history_to_tensors,
    without_history,
)
from cnn_core.settings import whole

_CLASS = "NN"


def write(path: str | os.PathLike[str], net: NN) -> None:
    """Write a network to a file, as a whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    settings = {
        "class": _CLASS,
        "network": [net.input_neurons, net.hidden_neurons, net.output_neurons],
        "learning_rate": net.lr,
        "epochs": net.epochs,
        "batch_size": net.batch_size,
        "rule": net.rule,
        "dtype": net.dtype.name,
        "seed": net.seed,
        "shuffle": net.shuffle,
        "shuffle_key": net._model.seed,
        "epochs_done": net._model.epochs_done,
        "samples_done": net._model.samples_done,
        "input_scale": net.input_scale,
    }
    tensors = {**_tensors(net), **history_to_tensors(net.history)}
    write_tensors(path, tensors, {"network": json.dumps(settings, allow_nan=False)})


def read(file: ModelFile) -> NN:
    """Return the network that `write` wrote.

    Raises
    ------
    cnn_core.model_file.ModelFileError
        If the file's settings, arrays and sizes do not go together.
    """
    with blamed_on(file.path, "an NN"):
        settings = json.loads(file.metadata["network"])
        tensors = without_history(file.tensors)
        if settings["class"] != _CLASS:
            raise ValueError(f"a {settings['class']!r} with {', '.join(sorted(tensors))}")
        _require_sizes(settings["network"], settings["rule"], tensors)
        inputs, hidden, outputs = settings["network"]
        net = NN(
            inputs,
            hidden,
            outputs,
            learning_rate=settings["learning_rate"],
            epochs=settings["epochs"],
            batch_size=settings["batch_size"],
            rule=settings["rule"],
            dtype=settings["dtype"],
            # Any seed: the weights are replaced, and NumPy's global generator is left alone.
            seed=0,
            shuffle=settings["shuffle"],
            backend=file.backend,
            # Files of the first version have neither it nor the samples done.
            input_scale=settings.get("input_scale", 1.0),
            n_threads=file.n_threads,
        )
        net.seed = (
            None if settings["seed"] is None else whole("seed", settings["seed"], 0, 2**32 - 1)
        )
        net.history = history_from_tensors(file.tensors)
        model = net._model
        model.seed = whole("shuffle_key", settings["shuffle_key"], 0)
        model.epochs_done = whole("epochs_done", settings["epochs_done"], 0)
        model.samples_done = whole("samples_done", settings.get("samples_done", 0), 0)
        if net.rule == "article":
            model.take_bias_rows(tensors["bih"].shape[-1])
        for name, array in _tensors(net).items():
            copy_exactly(name, tensors[name], array)
        return net


def _tensors(net: NN) -> dict[str, FloatArray]:
    """Return views of the arrays, transposed as the attributes are."""
    hidden, output = net._model.layers
    return {
        "wih": hidden.weights.T,
        "bih": hidden.bias.T,
        "who": output.weights.T,
        "bho": output.bias.T,
    }


def _require_sizes(sizes: Any, rule: Any, tensors: dict[str, FloatArray]) -> None:
    """Compare the arrays with the sizes, before memory is taken for a network of these."""
    inputs, hidden, outputs = sizes
    expected = {"wih": (hidden, inputs), "who": (outputs, hidden)}
    if set(tensors) != {*expected, "bih", "bho"}:
        raise ValueError(f"the arrays {', '.join(sorted(tensors))}")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{name}: expected the shape {shape}, found {tensors[name].shape}")
    # Of the article's rule each training sample has a column.
    columns = tensors["bih"].shape[1:]
    if len(columns) != (1 if rule == "article" else 0):
        raise ValueError(f"bih: expected that of the rule {rule!r:.80}, found {hidden, *columns}")
    for name, units in (("bih", hidden), ("bho", outputs)):
        if tensors[name].shape != (units, *columns):
            raise ValueError(
                f"{name}: expected the shape {(units, *columns)}, found {tensors[name].shape}"
            )
