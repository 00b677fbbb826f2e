"""Convert the fitted state of a learner of tables to text and arrays, for files and pickles."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_core.io.fields import Fields
from cnn_core.tables.columns import ColumnPlan, TableReader
from cnn_core.tables.encoder import Encoder
from cnn_core.tables.ensemble import Bag, Ensemble, network_of
from cnn_core.tables.tasks import TableTask
from cnn_core.tables.views import View
from cnn_core.types import FloatArray

__all__ = [
    "FITTED",
    "description_of",
    "ensemble_in",
    "objects_in",
    "plain_of",
    "reader_in",
    "weights_of",
]


# Attribute of a pickled learner that replaces its reader and networks.
FITTED = "_fitted"


def plain_of(
    reader: TableReader, ensemble: Ensemble, learned: dict[str, FloatArray]
) -> dict[str, Any]:
    """Return a fitted state as text and arrays; `objects_in` reads it."""
    return {
        "description": json.dumps(description_of(reader, ensemble)),
        "weights": weights_of(ensemble),
        "learned": learned,
    }


def objects_in(
    plain: dict[str, Any], task_in: Callable[[Any], TableTask], **machine: Any
) -> tuple[TableReader, Ensemble]:
    """Return reader and networks from the result of `plain_of`.

    Parameters
    ----------
    plain : dict
    task_in : callable
        Returns the task whose `to_json` gave its argument.
    **machine
        `backend` and `n_threads` of the models.
    """
    fields = Fields(json.loads(plain["description"]))
    reader, task = reader_in(fields), task_in(fields.value("task"))
    return reader, ensemble_in(fields, reader, task, dict(plain["weights"]), **machine)


def description_of(reader: TableReader, ensemble: Ensemble) -> dict[str, Any]:
    """Return everything except the weights as JSON."""
    return {
        "columns": [plan.to_json() for plan in reader.plans],
        "task": ensemble.task.to_json(),
        "views": [
            {
                "view": bag.view.to_json(),
                "encoder": bag.encoder.to_json(),
                "members": len(bag.models),
                "share": share,
            }
            for bag, share in zip(ensemble.bags, ensemble.shares.tolist(), strict=True)
        ],
    }


def weights_of(ensemble: Ensemble) -> dict[str, FloatArray]:
    """Return the weights of all networks, by their names in a file."""
    return {
        _name_of(view, member, name): array
        for view, bag in enumerate(ensemble.bags)
        for member, model in enumerate(bag.models)
        for name, array in model.weights().items()
        if array.size
    }


def reader_in(fields: Fields) -> TableReader:
    """Return the reader of the columns from the result of `description_of`.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    columns = enumerate(_listed(fields, "columns"))
    return TableReader(
        tuple(ColumnPlan.from_json(one, f"columns[{number}]") for number, one in columns)
    )


def _name_of(view: int, member: int, array: str) -> str:
    return f"views.{view}.{member}.{array}"


def _listed(fields: Fields, name: str) -> list[Any]:
    values = fields.value(name)
    if not isinstance(values, list) or not values:
        raise TypeError(f"{name}: expected a list, found {values!r:.80}")
    return values


def ensemble_in(
    fields: Fields,
    reader: TableReader,
    task: TableTask,
    tensors: dict[str, FloatArray],
    **machine: Any,
) -> Ensemble:
    """Return the networks from the results of `description_of` and `weights_of`.

    Parameters
    ----------
    fields : Fields
    reader : TableReader
    task : TableTask
    tensors : dict of str to array
        The tensors that are read are removed from it.
    **machine
        `backend` and `n_threads` of the models.

    Raises
    ------
    TypeError, ValueError
        If they are inconsistent.
    """
    bags, shares = [], []
    encoders: list[tuple[Any, Encoder]] = []
    for number, values in enumerate(_listed(fields, "views")):
        place = f"views[{number}]"
        inside = Fields(values, place)
        view = View.from_json(inside.value("view"), f"{place}.view")
        value = inside.value("encoder")
        # Equal encoders are shared again.
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
                name: tensors.pop(_name_of(number, member, name))
                for name, size in expected.items()
                if size
            }
            for name, array in arrays.items():
                if array.shape != (expected[name],) or not np.isfinite(array).all():
                    raise ValueError(
                        f"{place}: expected {expected[name]} finite {name}, found {array.shape}"
                    )
            weights.append(arrays)
        bags.append(Bag.of_weights(view, encoder, network, weights, **machine))
        shares.append(inside.number("share"))
    if len({len(bag.models) for bag in bags}) != 1:
        raise ValueError("views: expected as many members of each")
    blend = np.array(shares)
    if (blend < 0).any() or not abs(blend.sum() - 1) < 1e-6:
        raise ValueError(f"views: expected shares with the sum 1, found {shares!r:.80}")
    return Ensemble(task, tuple(bags), blend)


def _require_features(encoder: Encoder, reader: TableReader, place: str) -> None:
    """Refuse scales that do not match the columns' features."""
    levels: list[int] = []
    for plan in reader.plans:
        if plan.dropped is None:
            levels += [plan.n_levels] if plan.kind == "category" else [0] * (len(plan.parts) or 1)
    found = [scale if isinstance(scale, int) else 0 for scale in encoder.scales]
    if found != (levels or [0]):
        raise ValueError(f"{place}.encoder: expected the features of the columns, found others")
