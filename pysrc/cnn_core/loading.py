"""Load saved files of any kind."""

from __future__ import annotations

import importlib
import os
from typing import Any, cast

from cnn_core import backends
from cnn_core.arrays import copy_exactly
from cnn_core.io import nn_state
from cnn_core.io.container import ModelFileError, read_tensors
from cnn_core.io.model_state import ModelFile, as_file_error
from cnn_core.model import Model, read_model
from cnn_core.network import Rule
from cnn_core.nn import NN

# The module and function that read each kind from a `ModelFile`. Modules are imported on first use;
# a file cannot name any other code.
READERS: dict[str, tuple[str, str]] = {
    "NN": ("cnn_core.loading", "read_nn"),
    "Model": ("cnn_core.loading", "read_model_alone"),
    "MLPClassifier": ("cnn_core.estimators", "read"),
    "MLPRegressor": ("cnn_core.estimators", "read"),
    "ImageClassifier": ("cnn_core.images", "read"),
    "TabularClassifier": ("cnn_core.tables", "read"),
    "TabularRegressor": ("cnn_core.tables", "read"),
}


def load(
    path: str | os.PathLike[str], *, backend: str = "auto", n_threads: int | None = None
) -> Any:
    """Load an object that was saved with its `save`. Nothing in the file can run.

    Parameters
    ----------
    path : path-like
    backend : {"auto", "cython", "numpy"}
        See `cnn_core.backends.get`.
    n_threads : int, optional
        As for `NN`; it is not stored in the file.

    Returns
    -------
    NN, Model, MLPClassifier, MLPRegressor, ImageClassifier, TabularClassifier or TabularRegressor
        Whatever was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    cnn_core.ModelFileError
        If the file is damaged, truncated, of a later version or not a model of ours, or does not
        fit in memory.
    """
    # Errors of these arguments are not reported as errors of the file.
    backends.threads_in_use(backends.get(backend), n_threads)
    tensors, metadata = read_tensors(path)
    if "torch" in metadata:
        raise ModelFileError(
            path,
            "expected a model that save has written, found weights for PyTorch, which "
            "to_safetensors writes without what a model needs",
        )
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


def read_model_alone(file: ModelFile) -> Model:
    """Return the `Model` in a file."""
    model, _ = read_model(file)
    return model


def read_nn(file: ModelFile) -> NN:
    """Return the `NN` in a file.

    Raises
    ------
    cnn_core.ModelFileError
        If its settings, arrays and sizes are inconsistent.
    """
    state = nn_state.read_nn(file)
    with as_file_error(file.path, "an NN"):
        net = NN(
            *state.sizes,
            learning_rate=state.learning_rate,
            epochs=state.epochs,
            batch_size=state.batch_size,
            rule=cast("Rule", state.rule),
            dtype=state.dtype,
            # Any seed, so that NumPy's global generator is not used; the weights are replaced.
            seed=0,
            shuffle=state.shuffle,
            backend=file.backend,
            input_scale=state.input_scale,
            n_threads=file.n_threads,
        )
        net.seed = state.seed
        net.history = state.history
        model = net.model
        model.seed = state.shuffle_key
        model.epochs_done = state.epochs_done
        model.samples_done = state.samples_done
        if net.rule == "article":
            model.take_bias_rows(state.arrays["bih"].shape[-1])
        for name, array in nn_state.article_arrays(model.layers).items():
            copy_exactly(name, state.arrays[name], array)
        return net
