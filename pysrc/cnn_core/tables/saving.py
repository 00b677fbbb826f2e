"""Write learners of tables to model files: numbers and text, no pickle.

Besides the tensors of the networks a file has a tensor ``description``: JSON text, each byte as a
number. The names of thousands of levels would not fit into the header.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from cnn_core.estimators.parameters_json import parameter_to_json
from cnn_core.io.container import write_tensors
from cnn_core.tables.fitted_state import description_of, weights_of
from cnn_core.types import FloatArray

DESCRIPTION = "description"
OOF = "oof_prediction"
HELD_OUT = "held_out"
# Prefix of the arrays that a class of learners adds.
LEARNED = "learned."
# Parameters that depend on the machine.
_OF_MACHINE = ("backend", "n_threads")


def write(path: str | os.PathLike[str], estimator: Any) -> None:
    """Write a fitted estimator to a file.

    Raises
    ------
    TypeError
        If a parameter is an object that a file cannot hold.
    ValueError
        If the name of a column is not valid Unicode.
    OSError
        If the file cannot be written.
    """
    names = getattr(estimator, "feature_names_in_", None)
    description = {
        "parameters": {
            name: parameter_to_json(name, value)
            for name, value in estimator.get_params(deep=False).items()
            if name not in _OF_MACHINE
        },
        "feature_names": None if names is None else names.tolist(),
        **description_of(estimator._reader, estimator._ensemble),
    }
    text = json.dumps(description, allow_nan=False, ensure_ascii=False)
    tensors = {DESCRIPTION: _text_as_numbers(text), **learned(estimator)}
    write_tensors(path, tensors, {"kind": estimator._kind})


def learned(estimator: Any) -> dict[str, FloatArray]:
    """Return all arrays of a fitted estimator, by their names in a file."""
    tensors: dict[str, FloatArray] = {
        OOF: estimator.oof_prediction_,
        "oof": np.array([estimator.oof_score_, estimator.oof_loss_]),
    }
    for number, rows in enumerate(estimator._held_out):
        tensors[f"{HELD_OUT}.{number}"] = rows.astype(np.float64)
    tensors |= weights_of(estimator._ensemble)
    for name, array in estimator._learned().items():
        tensors[LEARNED + name] = array
    return tensors


def _text_as_numbers(text: str) -> FloatArray:
    return np.frombuffer(text.encode(), np.uint8).astype(np.float32)


def text_in(numbers: FloatArray) -> str:
    """Return the text that `write` stored as numbers.

    Raises
    ------
    ValueError
        If the numbers are not bytes, or not valid text.
    """
    good = numbers.ndim == 1 and bool(((numbers >= 0) & (numbers <= 255)).all())
    if not good or (numbers != np.floor(numbers)).any():
        raise ValueError(f"{DESCRIPTION}: expected bytes, found other numbers")
    return numbers.astype(np.uint8).tobytes().decode()
