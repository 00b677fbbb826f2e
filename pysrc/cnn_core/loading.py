"""`load`: whatever was saved, read by what wrote it."""

from __future__ import annotations

import importlib
import os
from typing import Any

from cnn_core import backends
from cnn_core.model import Model, read_model
from cnn_core.model_file import ModelFileError, read_tensors
from cnn_core.saved_model import ModelFile

# For each kind the module and the function that makes it from a `ModelFile`. The modules are
# imported when they are needed; no other code can be named by a file.
READERS: dict[str, tuple[str, str]] = {
    "NN": ("cnn_core.nn_file", "read"),
    "Model": ("cnn_core.loading", "read_model_alone"),
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
    backends.threads_in_use(backends.get(backend), n_threads)
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


def read_model_alone(file: ModelFile) -> Model:
    """Return a `Model` as its file has it."""
    model, _ = read_model(file)
    return model
