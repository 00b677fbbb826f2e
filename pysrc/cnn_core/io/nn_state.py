"""Write and read an `NN`: settings as text, arrays under the article's names.

The metadata ``network`` hold class, sizes and settings; the tensors are ``wih``, ``bih``, ``who``
and ``bho`` in the shapes of the attributes, and the history.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from cnn_core.io.container import write_tensors
from cnn_core.io.fields import Fields, parsed
from cnn_core.io.model_state import (
    ModelFile,
    as_file_error,
    history_from_tensors,
    history_to_tensors,
    without_history,
)
from cnn_core.layers import LayerArrays
from cnn_core.types import FloatArray
from cnn_core.validation import whole

_CLASS = "NN"


@dataclass(frozen=True, eq=False)
class NNState:
    """The state of an `NN`, without backend and threads.

    Attributes
    ----------
    sizes : tuple of int
        Inputs, hidden units and outputs.
    learning_rate : float
    epochs, batch_size : int
    rule, dtype : str
    seed : int or None
    shuffle : bool
    shuffle_key : int
        The seed of its model.
    epochs_done, samples_done : int
    input_scale : float
    arrays : dict of str to array
        ``wih``, ``bih``, ``who`` and ``bho``.
    history : dict of str to list of float
    """

    sizes: tuple[int, int, int]
    learning_rate: float
    epochs: int
    batch_size: int
    rule: str
    dtype: str
    seed: int | None
    shuffle: bool
    shuffle_key: int
    epochs_done: int
    samples_done: int
    input_scale: float
    arrays: dict[str, FloatArray]
    history: dict[str, list[float]]


def article_arrays(layers: Sequence[LayerArrays]) -> dict[str, FloatArray]:
    """Return views of two layers' arrays under the article's names, in its shapes."""
    hidden, output = layers
    return {
        "wih": hidden.weights.T,
        "bih": hidden.bias.T,
        "who": output.weights.T,
        "bho": output.bias.T,
    }


def write_nn(path: str | os.PathLike[str], state: NNState) -> None:
    """Write a network to a file, completely or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    settings = {
        "class": _CLASS,
        "network": list(state.sizes),
        "learning_rate": state.learning_rate,
        "epochs": state.epochs,
        "batch_size": state.batch_size,
        "rule": state.rule,
        "dtype": state.dtype,
        "seed": state.seed,
        "shuffle": state.shuffle,
        "shuffle_key": state.shuffle_key,
        "epochs_done": state.epochs_done,
        "samples_done": state.samples_done,
        "input_scale": state.input_scale,
    }
    tensors = {**state.arrays, **history_to_tensors(state.history)}
    write_tensors(path, tensors, {"network": json.dumps(settings, allow_nan=False)})


def read_nn(file: ModelFile) -> NNState:
    """Read a network from a file of `write_nn`.

    Raises
    ------
    cnn_core.ModelFileError
        If the file's settings, arrays and sizes are inconsistent.
    """
    with as_file_error(file.path, "an NN"):
        fields = Fields(parsed(file.metadata["network"]), "network")
        arrays = without_history(file.tensors)
        if fields.value("class") != _CLASS:
            raise ValueError(f"a {fields.value('class')!r} with {', '.join(sorted(arrays))}")
        sizes, rule = _sizes_in(fields), fields.text("rule")
        _require_sizes(sizes, rule, arrays)
        return NNState(
            sizes,
            fields.number("learning_rate"),
            fields.whole("epochs"),
            fields.whole("batch_size", 1),
            rule,
            fields.text("dtype"),
            fields.optional(partial(fields.whole, most=2**32 - 1), "seed"),
            fields.flag("shuffle"),
            fields.whole("shuffle_key"),
            fields.whole("epochs_done"),
            # Missing in files of the first version.
            fields.whole("samples_done") if "samples_done" in fields else 0,
            fields.number("input_scale") if "input_scale" in fields else 1.0,
            arrays,
            history_from_tensors(file.tensors),
        )


def _sizes_in(fields: Fields) -> tuple[int, int, int]:
    """Return the numbers of inputs, hidden units and outputs."""
    found = fields.value("network")
    name = fields.name("network")
    if not isinstance(found, list) or len(found) != 3:
        raise TypeError(f"{name}: expected three sizes, found {found!r:.80}")
    inputs, hidden, outputs = (whole(name, size, 1) for size in found)
    return inputs, hidden, outputs


def _require_sizes(
    sizes: tuple[int, int, int], rule: str, tensors: Mapping[str, FloatArray]
) -> None:
    """Check the arrays against the sizes, before memory is allocated for the network."""
    inputs, hidden, outputs = sizes
    expected = {"wih": (hidden, inputs), "who": (outputs, hidden)}
    if set(tensors) != {*expected, "bih", "bho"}:
        raise ValueError(f"the arrays {', '.join(sorted(tensors))}")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{name}: expected the shape {shape}, found {tensors[name].shape}")
    # With the article's rule each training sample has a column.
    columns = tensors["bih"].shape[1:]
    if len(columns) != (1 if rule == "article" else 0):
        raise ValueError(f"bih: expected that of the rule {rule!r:.80}, found {hidden, *columns}")
    for name, units in (("bih", hidden), ("bho", outputs)):
        if tensors[name].shape != (units, *columns):
            raise ValueError(
                f"{name}: expected the shape {(units, *columns)}, found {tensors[name].shape}"
            )
