"""What becomes of the columns of a table, in whatever container they come."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from cnn_core.tables.columns import ColumnPlan, TableReader, read_first
from cnn_core.tables.frames import as_frame

N = 40
NUMBERS = [None if row % 7 == 0 else row * 0.5 for row in range(N)]
WORDS = [("red", "green", None)[row % 3] for row in range(N)]
TRUTHS = [row % 4 == 0 for row in range(N)]
DATES = [datetime.datetime(2024, 1, 30) + datetime.timedelta(hours=9 * row) for row in range(N)]
TABLE = {"number": NUMBERS, "word": WORDS, "truth": TRUTHS, "date": DATES}
ROWS = [dict(zip(TABLE, row, strict=True)) for row in zip(*TABLE.values(), strict=True)]


def masked() -> Any:
    kinds = [("number", float), ("word", "U5"), ("truth", bool), ("date", "datetime64[s]")]
    rows = [
        (
            0.0 if row["number"] is None else row["number"],
            row["word"] or "",
            *list(row.values())[2:],
        )
        for row in ROWS
    ]
    array = np.ma.masked_array(np.array(rows, kinds))
    array["number"][[row["number"] is None for row in ROWS]] = np.ma.masked
    array["word"][[row["word"] is None for row in ROWS]] = np.ma.masked
    return array


CONTAINERS: dict[str, Callable[[], Any]] = {
    "dict of lists": lambda: TABLE,
    "list of dicts": lambda: ROWS,
    "list of rows": lambda: [list(row.values()) for row in ROWS],
    "objects": lambda: np.array([list(row.values()) for row in ROWS], object),
    "masked structured array": masked,
    "pandas": lambda: pd.DataFrame(TABLE),
    "pandas, nullable": lambda: pd.DataFrame(TABLE).convert_dtypes(),
    "pandas, categories": lambda: pd.DataFrame(TABLE).astype({"word": "category"}),
    "pandas, arrow": lambda: pd.DataFrame(TABLE).convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda: pl.DataFrame(TABLE),
    "polars, categories": lambda: pl.DataFrame(TABLE, schema_overrides={"word": pl.Categorical}),
    "pyarrow": lambda: pa.table(TABLE),
    "pyarrow, record batch": lambda: pa.RecordBatch.from_pydict(TABLE),
    "pyarrow, dictionary": lambda: pa.table({**TABLE, "word": pa.array(WORDS).dictionary_encode()}),
    "dict of columns": lambda: {
        "number": pl.Series(NUMBERS),
        "word": pd.Series(WORDS),
        "truth": np.array(TRUTHS),
        "date": pa.array(DATES),
    },
}


def first(values: Any, **settings: Any) -> tuple[TableReader, list[Any]]:
    return read_first(as_frame(values, "TabularClassifier"), **settings)


def kinds(values: Any, **settings: Any) -> list[str]:
    return [plan.kind for plan in first(values, **settings)[0].plans]


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_table_means_the_same_in_every_container(container: str) -> None:
    frame = as_frame(CONTAINERS[container](), "TabularClassifier")
    reader, features = read_first(frame)
    wanted_reader, wanted = first(TABLE)
    assert [plan.kind for plan in reader.plans] == ["number", "category", "boolean", "date"]
    assert [plan.missing for plan in reader.plans] == [6, 13, 0, 0]
    assert reader.plans[1].levels == wanted_reader.plans[1].levels == ("red", "green")
    for one, other in zip(features, wanted, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (np.arange(N), "number"),
        (np.arange(N).astype("timedelta64[h]"), "number"),
        (np.arange(N).astype("timedelta64[M]"), "number"),
        ([np.timedelta64(3, "Y"), np.timedelta64("NaT"), None] * 10, "number"),
        ([Decimal("1.5"), None] * 20, "number"),
        ([1, True] * 20, "number"),
        (["1.5", "?", " 2", "1e3"] * 10, "number"),
        ([datetime.time(3, 30), datetime.time(4)] * 20, "number"),
        ([True, None, np.True_, False] * 10, "boolean"),
        (["True", "false"] * 20, "boolean"),
        (["01234", "56789"] * 20, "category"),
        (["a", 1] * 20, "category"),
        ([b"a", b"b"] * 20, "category"),
        (["2024-01-31", "2024-02-29 12:30"] * 20, "date"),
        (["2024-02-30", "2024-02-29"] * 20, "category"),
        (["2024-01-31 09:00:00+01:00", "2024-07-31T09:00:00.123456789-0330"] * 20, "date"),
        (["2024-01-31+01:00", "2024-01-31-1234"] * 20, "category"),
        (["now", "today"] * 20, "category"),
        ([1, "2.5", "n/a", 3.5] * 10, "number"),
        ([1, "02"] * 20, "category"),
        ([True, "false"] * 20, "boolean"),
        ([datetime.date(2024, 1, 1), "2024-01-31"] * 20, "date"),
        ([datetime.date(2024, 1, 1), 5, "2024-01-31"] * 20, "category"),
        (np.arange(N).astype("datetime64[D]"), "date"),
        ([datetime.date(2024, 1, 1), None] * 20, "date"),
        (pd.Series(pd.period_range("2024-01", periods=N, freq="M")), "date"),
        (pd.Series(pd.date_range("2024-01-01", periods=N, tz="Asia/Tokyo")), "date"),
    ],
)
def test_the_kind_of_a_column_is_found(column: Any, kind: str) -> None:
    assert kinds({"x": column}) == [kind]


@pytest.mark.parametrize(
    "missing", [None, np.nan, pd.NA, pd.NaT, np.ma.masked, Decimal("NaN"), "", "nan"]
)
@pytest.mark.parametrize("present", [[1, 2.5], ["a", "b"], DATES[:2]])
def test_whatever_stands_for_a_missing_value_is_one(missing: Any, present: list[Any]) -> None:
    plan = first({"x": [*present, missing] * 10})[0].plans[0]
    assert plan.missing == 10
    assert plan.kind == kinds({"x": present * 15})[0]


def test_columns_that_tell_nothing_are_dropped_and_the_table_says_why() -> None:
    table = {
        "size": [1.0, 2.0, 3.0, 4.0] * 10,
        "again": [1, 2, 3, 4] * 10,
        "same": ["x"] * N,
        "none": [None] * N,
        "name": [f"person {row}" for row in range(N)],
        "colour": ["red", "blue", "blue", "green"] * 8 + [None] * 3 + list("vwxyz"),
    }
    assert first(table)[0].describe().split("\n") == [
        "column  kind      distinct  missing  used as",
        "size    number           4        0  number",
        "again   number           4        0  dropped: the same as 'size'",
        "same    category         1        0  dropped: constant",
        "none    number           0       40  dropped: all values are missing",
        "name    category        40        0  dropped: no level has two rows",
        "colour  category         8        3  3 levels, one for missing, 5 rare ones pooled",
    ]


def test_a_table_without_anything_to_learn_from_has_one_empty_feature() -> None:
    _, features = first({"same": [3] * N, "none": [None] * N})
    assert [feature.name for feature in features] == ["nothing"]
    assert not features[0].values.any()


def test_levels_that_come_later_are_unknown_and_known_ones_go_by_their_text() -> None:
    reader, _ = first({"x": [1, 2, 2, None] * 10}, categorical=["x"])
    assert reader.plans[0].levels == ("2", "1")
    later = as_frame({"x": ["1", 2.0, 3, None, "two"]}, "TabularClassifier")
    assert reader.read(later)[0].values.tolist() == [1, 0, -1, 2, -1]


def test_a_level_that_is_no_text_in_unicode_is_a_level_all_the_same() -> None:
    reader, features = first({"x": ["\ud800", "é"] * 20})
    assert reader.plans[0].levels == ("?", "é")
    assert features[0].values.tolist() == [0, 1] * 20


def test_kinds_can_be_said_by_name_and_by_number() -> None:
    table = {"code": [1, 2] * 20, "text": ["1", "x"] * 10 + ["2", ""] * 10}
    assert kinds(table) == ["number", "category"]
    assert kinds(table, categorical=["code"]) == ["category", "category"]
    assert kinds(table, categorical=[-2]) == ["category", "category"]
    with pytest.raises(ValueError, match=r"column 1 \('text'\), row 1: expected a number.*'x'"):
        first(table, numerical=["text"])
    with pytest.raises(ValueError, match=r"categorical: expected names among .* found 'colour'"):
        first(table, categorical=["colour"])
    with pytest.raises(ValueError, match=r"numerical: expected .*from 0 to 1, found 2"):
        first(table, numerical=[2])
    with pytest.raises(ValueError, match="found 0 in both"):
        first(table, numerical=[0], categorical=["code"])
    with pytest.raises(TypeError, match=r"expected None or a list .* found 'code'"):
        first(table, categorical="code")


def test_dates_are_split_into_the_parts_that_vary() -> None:
    dates = np.arange("2023-12-30", "2024-01-08", dtype="datetime64[D]")
    reader, features = first({"d": dates})
    assert reader.plans[0].parts == ("time", "year", "month", "day", "weekday")
    parts = {feature.name: feature.values.tolist() for feature in features}
    assert parts["d.year"] == [2023] * 2 + [2024] * 7
    assert parts["d.month"] == [12] * 2 + [1] * 7
    assert parts["d.day"] == [30, 31, 1, 2, 3, 4, 5, 6, 7]
    # 30 December 2023 was a Saturday.
    assert parts["d.weekday"] == [5, 6, 0, 1, 2, 3, 4, 5, 6]
    assert parts["d.time"] == list(range(19721, 19730))


def test_dates_in_text_are_those_of_the_clocks_there() -> None:
    local = pd.date_range("2024-03-30 23:30", periods=N, freq="7h", tz="Europe/Berlin")
    _, wanted = first({"d": local})
    texts = [local.astype(str), [date.isoformat() for date in local], local.strftime("%F %T%z")]
    for text in texts:
        reader, features = first({"d": np.asarray(text)})
        assert reader.plans[0].kind == "date"
        for one, other in zip(features, wanted, strict=True):
            np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize("extreme", [10**400, -(10**400), 1e308, np.inf])
def test_numbers_of_any_size_are_numbers(extreme: Any) -> None:
    _, features = first({"x": [extreme, 0] * 20})
    assert features[0].values[0] == (
        extreme if abs(extreme) < 10**309 else math.copysign(np.inf, -1 if extreme < 0 else 1)
    )


def test_integers_wider_than_those_of_numpy_are_numbers() -> None:
    column = pl.Series([1, None, 2**100] * 10, dtype=pl.Int128)
    reader, features = first(pl.DataFrame({"x": column}))
    assert (reader.plans[0].kind, reader.plans[0].missing) == ("number", 10)
    assert features[0].values[2] == 2.0**100


@pytest.mark.parametrize(
    ("column", "later", "kind"),
    [
        ([1, 2], "many", ValueError),
        ([1, 2], ["1"], TypeError),
        (DATES[:2], "soon", ValueError),
        (DATES[:2], "today", ValueError),
        (DATES[:2], 5, TypeError),
        (["a", "b"], ["a"], TypeError),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_place(
    column: list[Any], later: Any, kind: type[Exception]
) -> None:
    reader, _ = first({"x": column * 20})
    cells = np.empty(2, object)
    cells[:] = [column[0], None]
    cells[1] = later
    with pytest.raises(kind, match=r"X, column 0 \('x'\), row 1: expected a"):
        reader.read(as_frame({"x": cells}, "TabularClassifier"))


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ("table.csv", TypeError, "X: expected"),
        (None, TypeError, "X: expected"),
        ([1, 2, 3], ValueError, "Reshape your data"),
        (np.zeros((2, 2, 2)), ValueError, "flatten each sample"),
        (np.zeros((0, 3)), ValueError, r"0 sample\(s\)"),
        (np.zeros((3, 0)), ValueError, r"0 feature\(s\)"),
        (pd.DataFrame(index=range(3)), ValueError, r"0 feature\(s\)"),
        (np.zeros((2, 2), complex), ValueError, "Complex data not supported"),
        ([[1, 2], [3]], ValueError, "rows of equal length"),
        ({"a": [1, 2], "b": [1]}, ValueError, "columns of one length, found lengths from 1 to 2"),
        ({"a": 1}, TypeError, r"X\['a'\]: expected a column of values, found int"),
        ({"a": np.zeros((2, 2))}, ValueError, "X, column 0: expected one value in each row"),
        ([[{"a": 1}], [2]], TypeError, r"column 0, row 0: expected a number, text or a date"),
        (pl.LazyFrame({"a": [1]}), TypeError, r"pass X.collect\(\)"),
        (pl.DataFrame({"a": [{"x": 1, "y": 2}]}), ValueError, "one value in each row"),
        (pl.DataFrame({"a": [[1], [2, 3]]}), TypeError, "column 0 .*expected a number, text"),
        (pd.Series([1, 2]), ValueError, "Reshape your data"),
        ({"a": {"b": 1}}, TypeError, r"X\['a'\]: expected a column of values, found dict"),
    ],
)
def test_what_is_no_table_is_refused(values: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        first(values)


def test_sparse_matrices_are_refused_with_what_to_do() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"pass X.toarray\(\)"):
        first(sparse.csr_matrix(np.eye(3)))


def test_a_plan_in_json_is_the_same_plan() -> None:
    for plan in first(TABLE)[0].plans:
        assert ColumnPlan.from_json(json.loads(json.dumps(plan.to_json())), "x") == plan
