"""Learners of tables out of model files: what a file says is believed field by field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_core.estimators.parameters_json import from_json
from cnn_core.io.fields import Fields, parsed
from cnn_core.io.model_state import ModelFile, as_file_error
from cnn_core.tables.base import BaseTable
from cnn_core.tables.classifier import TabularClassifier
from cnn_core.tables.columns import ColumnPlan, TableReader
from cnn_core.tables.encoder import Encoder
from cnn_core.tables.ensemble import Bag, Ensemble, network_of
from cnn_core.tables.regressor import TabularRegressor
from cnn_core.tables.saving import DESCRIPTION, HELD_OUT, LEARNED, OOF, member_name, text_in
from cnn_core.tables.tasks import TableTask
from cnn_core.tables.views import View
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
        If what the file says does not go together.
    """
    kind = file.metadata["kind"]
    with as_file_error(file.path, f"a {kind}"):
        tensors = dict(file.tensors)
        fields = Fields(parsed(text_in(tensors.pop(DESCRIPTION))))
        parameters = {
            name: from_json(value) for name, value in fields.fields("parameters").values.items()
        }
        learner = _KINDS[kind](backend=file.backend, n_threads=file.n_threads, **parameters)
        reader = TableReader(
            tuple(
                ColumnPlan.from_json(one, f"columns[{number}]")
                for number, one in enumerate(_listed(fields, "columns"))
            )
        )
        names = fields.optional(fields.texts, "feature_names")
        if names is not None and len(names) != len(reader.plans):
            raise ValueError(f"feature_names: expected {len(reader.plans)}, found {len(names)}")
        task = learner._task_in(fields.value("task"))
        ensemble = _ensemble_in(fields, reader, task, tensors, file)
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


def _listed(fields: Fields, name: str) -> list[Any]:
    values = fields.value(name)
    if not isinstance(values, list) or not values:
        raise TypeError(f"{name}: expected a list, found {values!r:.80}")
    return values


def _ensemble_in(
    fields: Fields,
    reader: TableReader,
    task: TableTask,
    tensors: dict[str, FloatArray],
    file: ModelFile,
) -> Ensemble:
    bags, shares = [], []
    encoders: list[tuple[Any, Encoder]] = []
    for number, values in enumerate(_listed(fields, "views")):
        place = f"views[{number}]"
        inside = Fields(values, place)
        view = View.from_json(inside.value("view"), f"{place}.view")
        value = inside.value("encoder")
        # Views that see the table alike share an encoder again.
        alike = [one for earlier, one in encoders if earlier == value]
        encoder = alike[0] if alike else Encoder.from_json(value, f"{place}.encoder")
        encoders.append((value, encoder))
        _require_features(encoder, reader, place)
        network = network_of(view, encoder, task)
        expected = {"parameters": network.n_parameters(), "statistics": network.n_statistics}
        weights = []
        # There is a tensor for each member.
        for member in range(inside.whole("members", 1, len(tensors))):
            arrays = {
                name: tensors.pop(member_name(number, member, name))
                for name, size in expected.items()
                if size
            }
            for name, array in arrays.items():
                if array.shape != (expected[name],) or not np.isfinite(array).all():
                    raise ValueError(
                        f"{place}: expected {expected[name]} finite {name}, found {array.shape}"
                    )
            weights.append(arrays)
        bags.append(
            Bag.of_weights(
                view, encoder, network, weights, backend=file.backend, n_threads=file.n_threads
            )
        )
        shares.append(inside.number("share"))
    if len({len(bag.models) for bag in bags}) != 1:
        raise ValueError("views: expected as many members of each")
    blend = np.array(shares)
    if (blend < 0).any() or not abs(blend.sum() - 1) < 1e-6:
        raise ValueError(f"views: expected shares with the sum 1, found {shares!r:.80}")
    return Ensemble(task, tuple(bags), blend)


def _require_features(encoder: Encoder, reader: TableReader, place: str) -> None:
    """Refuse scales that are not those of the columns' features."""
    levels: list[int] = []
    for plan in reader.plans:
        if plan.dropped is None:
            levels += [plan.n_levels] if plan.kind == "category" else [0] * (len(plan.parts) or 1)
    found = [scale if isinstance(scale, int) else 0 for scale in encoder.scales]
    if found != (levels or [0]):
        raise ValueError(f"{place}.encoder: expected the features of the columns, found others")


def _held_out_in(tensors: dict[str, FloatArray], n_members: int, n_rows: int) -> list[IndexArray]:
    found = []
    for number in range(n_members):
        rows = tensors.pop(f"{HELD_OUT}.{number}")
        good = rows.ndim == 1 and bool(((rows >= 0) & (rows < n_rows)).all())
        if not good or (np.diff(rows) <= 0).any() or (rows != np.floor(rows)).any():
            raise ValueError(f"{HELD_OUT}.{number}: expected numbers of rows in rising order")
        found.append(rows.astype(np.intp))
    return found
