"""Learners of tables in model files: numbers and text, no pickle.

Beside the tensors of the networks a file has one of text, ``description``: the bytes of JSON, each
as a number. Names of thousands of levels would not fit into the header.
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
# Before the name of what a kind of learner adds.
LEARNED = "learned."
# Parameters that belong to the machine.
_OF_MACHINE = ("backend", "n_threads")


def write(path: str | os.PathLike[str], estimator: Any) -> None:
    """Write a fitted estimator to a file, as a whole or not at all.

    Raises
    ------
    TypeError
        If a parameter is an object that a file cannot hold.
    ValueError
        If the name of a column is no text in Unicode.
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
    """Return all arrays that a fitted estimator has learned, by their names in a file."""
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
    """Return the text that `write` has written as numbers.

    Raises
    ------
    ValueError
        If they are no bytes, or these no text.
    """
    good = numbers.ndim == 1 and bool(((numbers >= 0) & (numbers <= 255)).all())
    if not good or (numbers != np.floor(numbers)).any():
        raise ValueError(f"{DESCRIPTION}: expected bytes, found other numbers")
    return numbers.astype(np.uint8).tobytes().decode()
