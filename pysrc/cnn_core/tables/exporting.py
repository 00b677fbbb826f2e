"""Convert learners of tables, and columns of a table, for the exports."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from cnn_core.export.operations import operations_of
from cnn_core.export.program import (
    Answer,
    Blend,
    Column,
    Columns,
    NumberInput,
    Part,
    Program,
)
from cnn_core.tables.calibration import LEAST_PROBABILITY
from cnn_core.tables.columns import ColumnPlan, Feature, TableReader
from cnn_core.tables.encoder import Encoder
from cnn_core.tables.ensemble import Ensemble
from cnn_core.tables.frames import Frame
from cnn_core.tables.scaling import LIMIT, SMALLEST, NumberScale
from cnn_core.tables.tasks import Classes, Number
from cnn_core.tables.values import as_dates, as_numbers, text_of

_KINDS: dict[str, Literal["number", "category", "date"]] = {
    "number": "number",
    "boolean": "number",
    "category": "category",
    "date": "date",
}


def program_of(title: str, reader: TableReader, ensemble: Ensemble) -> Program:
    """Return the program of a fitted ensemble.

    Raises
    ------
    ValueError
        If no column is used: there would be no input.
    """
    columns = tuple(_column(plan) for plan in reader.plans if plan.dropped is None)
    if not columns:
        raise ValueError("expected at least one column that is not dropped, found none")
    parts = tuple(
        Part(
            tuple(operations_of(model) for model in bag.models),
            share,
            tuple(_scales(bag.encoder)),
        )
        for bag, share in zip(ensemble.bags, ensemble.shares.tolist(), strict=True)
        if share
    )
    model = ensemble.bags[0].models[0]
    return Program(
        title,
        model.dtype,
        len(columns),
        model.network.n_outputs,
        parts,
        _answer(ensemble),
        columns,
        _blend(ensemble),
    )


def _column(plan: ColumnPlan) -> Column:
    missing = len(plan.levels) if plan.missing_level else -1
    return Column(plan.name, _KINDS[plan.kind], plan.levels, missing, plan.parts)


def _scales(encoder: Encoder) -> list[NumberInput | int]:
    return [scale if isinstance(scale, int) else _number(scale) for scale in encoder.scales]


def _number(scale: NumberScale) -> NumberInput:
    edges = scale.edges if scale.n_bins else np.empty(0)
    return NumberInput(scale.centre, scale.spread, edges, scale.marked, LIMIT, SMALLEST)


def _answer(ensemble: Ensemble) -> Answer:
    task = ensemble.task
    if isinstance(task, Classes):
        # There is a probability for each class, also for two classes; the largest one is the
        # prediction.
        return Answer("multiclass", task.network.classes)
    return Answer("number")


def _blend(ensemble: Ensemble) -> Blend:
    task = ensemble.task
    if isinstance(task, Number):
        return Blend(
            unit=task.unit,
            centre=task.centre,
            spread=task.spread,
            least=task.least,
            most=task.most,
        )
    assert isinstance(task, Classes)
    return Blend(temperature=task.temperature, least_probability=LEAST_PROBABILITY)


def columns_of(reader: TableReader, frame: Frame) -> Columns:
    """Return the used columns of a table, in the form of a program.

    Raises
    ------
    TypeError, ValueError
        For a value that does not fit a column's kind.
    """
    found: Columns = []
    for number, plan in enumerate(reader.plans):
        if plan.dropped is not None:
            continue
        column, place = frame.columns[number], frame.place(number)
        if plan.kind == "category":
            texts = [text_of(value) or "" for value in column.tolist()]
            found.append(np.array([*texts, None], object)[:-1])
        elif plan.kind == "date":
            found.append(as_dates(column, place))
        else:
            found.append(as_numbers(column, place))
    return found


def features_of(reader: TableReader, columns: Columns) -> list[Feature]:
    """Return the features of columns in the form of `columns_of`."""
    n_rows = len(columns[0])
    given = iter(columns)
    everything: list[npt.NDArray[np.generic]] = [
        np.zeros(n_rows) if plan.dropped is not None else next(given) for plan in reader.plans
    ]
    return reader.read(Frame(everything, (False,) * len(everything), None, n_rows))
