"""Read learners of tables from model files, with a check of every field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_core.estimators.parameters_json import from_json
from cnn_core.io.fields import Fields, parsed
from cnn_core.io.model_state import ModelFile, as_file_error
from cnn_core.tables.base import BaseTable
from cnn_core.tables.classifier import TabularClassifier
from cnn_core.tables.fitted_state import ensemble_in, reader_in
from cnn_core.tables.regressor import TabularRegressor
from cnn_core.tables.saving import DESCRIPTION, HELD_OUT, LEARNED, OOF, text_in
from cnn_core.types import FloatArray, IndexArray

_KINDS: dict[str, Callable[..., BaseTable]] = {
    "TabularClassifier": TabularClassifier,
    "TabularRegressor": TabularRegressor,
}


def read(file: ModelFile) -> BaseTable:
    """Return the learner in a file.

    Raises
    ------
    cnn_core.ModelFileError
        If the contents of the file are inconsistent.
    """
    kind = file.metadata["kind"]
    with as_file_error(file.path, f"a {kind}"):
        tensors = dict(file.tensors)
        fields = Fields(parsed(text_in(tensors.pop(DESCRIPTION))))
        parameters = {
            name: from_json(value) for name, value in fields.fields("parameters").values.items()
        }
        learner = _KINDS[kind](backend=file.backend, n_threads=file.n_threads, **parameters)
        reader = reader_in(fields)
        names = fields.optional(fields.texts, "feature_names")
        if names is not None and len(names) != len(reader.plans):
            raise ValueError(f"feature_names: expected {len(reader.plans)}, found {len(names)}")
        task = learner._task_in(fields.value("task"))
        ensemble = ensemble_in(
            fields, reader, task, tensors, backend=file.backend, n_threads=file.n_threads
        )
        oof = learner._oof_in(tensors.pop(OOF), task)
        held_out = _held_out_in(tensors, len(ensemble.bags[0].models), len(oof))
        score, loss = tensors.pop("oof").tolist()
        learner._become(reader, ensemble, held_out, None if names is None else _objects(names))
        learner.oof_score_, learner.oof_loss_, learner.oof_prediction_ = score, loss, oof
        learner._learn_from_file(
            {name.removeprefix(LEARNED): array for name, array in tensors.items()}
        )
    return learner


def _objects(names: tuple[str, ...]) -> Any:
    array = np.empty(len(names), object)
    array[:] = names
    return array


def _held_out_in(tensors: dict[str, FloatArray], n_members: int, n_rows: int) -> list[IndexArray]:
    found = []
    for number in range(n_members):
        rows = tensors.pop(f"{HELD_OUT}.{number}")
        good = rows.ndim == 1 and bool(((rows >= 0) & (rows < n_rows)).all())
        if not good or (np.diff(rows) <= 0).any() or (rows != np.floor(rows)).any():
            raise ValueError(f"{HELD_OUT}.{number}: expected numbers of rows in rising order")
        found.append(rows.astype(np.intp))
    return found
