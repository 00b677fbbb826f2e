"""Learners of tables in ONNX: each column is an input, and the graph does all preprocessing.

Numbers and booleans are float64 (NaN if missing), categories text ("" if missing), dates
microseconds since 1970 in int64 (the smallest int64 if missing, as in NumPy). Preprocessing is in
float64, with the formulas of `cnn_core.tables`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnn_core.export.onnx_graph import (
    DOUBLE,
    FLOAT,
    INT64,
    STRING,
    Flow,
    Graph,
    NetworkNodes,
)
from cnn_core.export.program import (
    Blend,
    Column,
    NumberInput,
    Part,
    Program,
    features_of_columns,
)

_ELEMENTS = {"number": DOUBLE, "category": STRING, "date": INT64}
_DAY = 86_400_000_000
# Texts for a missing value; see `cnn_core.tables.values`.
_MISSING = ("", "nan", "NaN", "<NA>", "NaT")


def column_inputs(program: Program) -> list[tuple[str, int]]:
    """Return the name and the element type of each input."""
    return [(column.name, _ELEMENTS[column.kind]) for column in program.columns]


def add_table(graph: Graph, program: Program, names: list[str]) -> tuple[str, int]:
    """Add columns, networks and their blend; return the predictions and their element type."""
    values = [
        _feature(graph, program.columns[number], names[number], part)
        for number, part in features_of_columns(program.columns)
    ]
    assert program.blend is not None
    total = None
    for part in program.parts:
        mean = _mean_of(graph, program, part, _matrix(graph, part, values))
        share = graph.node("Mul", mean, _double(graph, part.share))
        total = share if total is None else graph.node("Add", total, share)
    assert total is not None
    if program.answer.is_for_classes:
        return _probabilities(graph, total, program.blend), FLOAT
    return _numbers(graph, total, program.blend), DOUBLE


def _double(graph: Graph, values: Any) -> str:
    return graph.constant(values, np.float64)


# Features: numbers in float64 with NaN, codes in float32; each (n, 1)


def _feature(graph: Graph, column: Column, name: str, part: str | None) -> str:
    if column.kind == "number":
        return name
    if column.kind == "date":
        assert part is not None
        return _date_part(graph, name, part)
    keys = [*column.levels, *(text for text in _MISSING if text not in column.levels)]
    missing = float(column.missing_code)
    codes = [*map(float, range(len(column.levels))), *[missing] * (len(keys) - len(column.levels))]
    return graph.node(
        "LabelEncoder", name, keys_strings=keys, values_floats=codes, default_float=-1.0
    )


def _date_part(graph: Graph, name: str, part: str) -> str:
    """Return a part of dates, with NaN for missing ones.

    The calendar is Howard Hinnant's "chrono-compatible low-level date algorithms" (2013): years
    begin in March, so that the leap day is the last one.
    """

    def whole(value: int) -> str:
        return graph.constant(value, np.int64)

    def floor(value: str, divisor: int) -> str:
        rest = graph.node("Mod", value, whole(divisor))
        return graph.node("Div", graph.node("Sub", value, rest), whole(divisor))

    of_day = graph.node("Mod", name, whole(_DAY))
    days = graph.node("Div", graph.node("Sub", name, of_day), whole(_DAY))
    hour = graph.node("Div", graph.cast(of_day, DOUBLE), _double(graph, _DAY / 24))
    if part == "hour":
        found = hour
    elif part == "time":
        share = graph.node("Div", hour, _double(graph, 24))
        found = graph.node("Add", graph.cast(days, DOUBLE), share)
    elif part == "weekday":
        moved = graph.node("Add", days, whole(3))
        found = graph.cast(graph.node("Mod", moved, whole(7)), DOUBLE)
    else:
        found = graph.cast(_calendar(graph, days, whole, floor)[part], DOUBLE)
    absent = graph.node("Equal", name, whole(np.iinfo(np.int64).min))
    return graph.node("Where", absent, _double(graph, np.nan), found)


def _calendar(graph: Graph, days: str, whole: Any, floor: Any) -> dict[str, str]:
    def add(one: str, other: str) -> str:
        return graph.node("Add", one, other)

    def less(one: str, other: str) -> str:
        return graph.node("Sub", one, other)

    def times(value: str, factor: int) -> str:
        return graph.node("Mul", value, whole(factor))

    moved = add(days, whole(719_468))
    era = floor(moved, 146_097)
    of_era = less(moved, times(era, 146_097))
    leap = less(floor(of_era, 36_524), add(floor(of_era, 1_460), floor(of_era, 146_096)))
    year_of_era = floor(add(of_era, leap), 365)
    before = less(add(times(year_of_era, 365), floor(year_of_era, 4)), floor(year_of_era, 100))
    of_year = less(of_era, before)
    month = floor(add(times(of_year, 5), whole(2)), 153)
    first = floor(add(times(month, 153), whole(2)), 5)
    late = graph.cast(graph.node("Less", month, whole(10)), INT64)
    # January and February, 10 and 11 here, belong to the next year.
    number = add(less(month, whole(9)), times(late, 12))
    year = add(add(year_of_era, times(era, 400)), less(whole(1), late))
    return {"year": year, "month": number, "day": add(less(of_year, first), whole(1))}


# From features to the matrix that the networks of a part read


def _matrix(graph: Graph, part: Part, values: list[str]) -> str:
    """Return the matrix, (n, columns) of float32; see `cnn_core.tables.encoder`."""
    columns = []
    for value, scale in zip(values, part.scales, strict=True):
        if isinstance(scale, int):
            columns.append(value)
            continue
        absent = graph.node("IsNaN", value)
        filled = _filled(graph, value, absent, scale)
        columns.append(graph.cast(_scaled(graph, filled, scale), FLOAT))
        if scale.marked:
            columns.append(graph.cast(absent, FLOAT))
        if len(scale.edges):
            columns.append(graph.cast(_place(graph, filled, scale), FLOAT))
    return graph.node("Concat", *columns, axis=1)


def _filled(graph: Graph, value: str, absent: str, scale: NumberInput) -> str:
    near = graph.node("Less", graph.node("Abs", value), _double(graph, scale.smallest))
    number = graph.node("Where", near, _double(graph, 0), value)
    return graph.node("Where", absent, _double(graph, scale.centre), number)


def _scaled(graph: Graph, filled: str, scale: NumberInput) -> str:
    half = graph.node("Mul", filled, _double(graph, 0.5))
    moved = graph.node("Sub", half, _double(graph, scale.centre / 2))
    z = graph.node("Div", moved, _double(graph, scale.spread))
    size = graph.node("Max", graph.node("Abs", z), _double(graph, scale.smallest))
    inverse = graph.node("Div", _double(graph, 1), size)
    square = graph.node("Mul", inverse, inverse)
    total = graph.node("Add", square, _double(graph, scale.limit**-2))
    return graph.node("Div", graph.node("Sign", z), graph.node("Sqrt", total))


def _place(graph: Graph, filled: str, scale: NumberInput) -> str:
    edges = scale.edges
    low = graph.node("Max", filled, _double(graph, edges[0]))
    value = graph.node("Min", low, _double(graph, edges[-1]))
    # The index of a bin is the number of inner edges that a value has reached.
    below = graph.node("Less", value, _double(graph, edges[1:-1].reshape(1, -1)))
    reached = graph.cast(graph.node("Not", below), INT64)
    bins = graph.node("ReduceSum", reached, graph.constant([1], np.int64))
    start = graph.node("Gather", _double(graph, edges[:-1] / 2), bins, axis=0)
    end = graph.node("Gather", _double(graph, edges[1:] / 2), bins, axis=0)
    half = graph.node("Mul", value, _double(graph, 0.5))
    share = graph.node("Div", graph.node("Sub", half, start), graph.node("Sub", end, start))
    least = graph.node("Max", share, _double(graph, 0))
    clipped = graph.node("Min", least, _double(graph, 1))
    return graph.node("Add", clipped, graph.cast(bins, DOUBLE))


# From outputs to predictions


def _mean_of(graph: Graph, program: Program, part: Part, matrix: str) -> str:
    """Return the mean over the networks of a part, in float64."""
    assert program.blend is not None
    nodes = NetworkNodes(graph, program.dtype)
    total = None
    for network in part.networks:
        outputs = nodes.flat(nodes.through(network, Flow(matrix)))
        value = _addend(graph, program, outputs)
        total = value if total is None else graph.node("Add", total, value)
    assert total is not None
    return graph.node("Div", total, _double(graph, len(part.networks)))


def _addend(graph: Graph, program: Program, outputs: str) -> str:
    classes = program.answer.classes
    assert program.blend is not None
    if classes is None:
        return graph.cast(outputs, DOUBLE)
    if len(classes) < 3:
        # One output: the probability of the second class, if there is one.
        rest = graph.node("Sub", graph.constant(1, program.dtype), outputs)
        outputs = graph.node("Concat", *[rest, outputs][: len(classes)], axis=1)
    least = _double(graph, program.blend.least_probability)
    return graph.node("Log", graph.node("Max", graph.cast(outputs, DOUBLE), least))


def _probabilities(graph: Graph, logarithms: str, blend: Blend) -> str:
    scaled = graph.node("Div", logarithms, _double(graph, blend.temperature))
    return graph.cast(graph.node("Softmax", scaled, axis=1), FLOAT)


def _numbers(graph: Graph, means: str, blend: Blend) -> str:
    spread = graph.node("Mul", means, _double(graph, blend.spread))
    moved = graph.node("Add", spread, _double(graph, blend.centre))
    value = graph.node("Mul", moved, _double(graph, blend.unit))
    least = graph.node("Max", value, _double(graph, blend.least))
    return graph.node("Min", least, _double(graph, blend.most))
