"""What cells stand for is found from how all of a column are written."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from cnn_core.data.cell_formats import ColumnFormat, find_format, prefers_comma, read_column


def read(cells, *, comma=False, kind=None):
    column = pl.Series("c", cells)
    format = find_format(column, comma=comma, kind=kind)
    return format, read_column(column, format)


@pytest.mark.parametrize(
    ("cells", "comma", "values"),
    [
        (["1,234.5", "2", "-3", "", "n/a"], False, [1234.5, 2, -3, None, None]),
        (["1.234,5", "2", "3,5"], True, [1234.5, 2, 3.5]),
        (["1.234", "2.345"], False, [1.234, 2.345]),
        (["1.234", "2.345"], True, [1234, 2345]),
        (["1 234", "1\u202f234,5", "1'234"], False, [1234, 1234.5, 1234]),
        (["$4.50", "-$3", "(1,234.50)", "45%", "12 \u20ac"], False, [4.5, -3, -1234.5, 45, 12]),
        (["\u22125", "+5", "1e3", "#DIV/0!", "-", "?"], False, [-5, 5, 1000, None, None, None]),
        (["1", None, " 2 "], False, [1, None, 2]),
        (["0", "0.5", "-0.5"], False, [0, 0.5, -0.5]),
    ],
)
def test_numbers_are_read_as_they_are_written(cells, comma, values):
    format, found = read(cells, comma=comma)
    assert format.kind == "number"
    assert found.values.to_list() == values
    assert not found.odd.any()


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["007", "012"], "text"),
        (["a", "b"], "text"),
        (["12:30", "13:40"], "text"),
        (["-", "?"], "text"),
        (["", None], "text"),
        (["yes", "No", ""], "boolean"),
        (["TRUE", "false"], "boolean"),
        (["yes", "true"], "text"),
        (["yes"], "text"),
        (["192.168.0.1", "10.0.0.1"], "text"),
    ],
)
def test_other_cells_are_text_or_truths(cells, kind):
    assert read(cells)[0].kind == kind


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["2024-01-31", "31.12.2024", "1.2.24"], [(2024, 1, 31), (2024, 12, 31), (2024, 2, 1)]),
        (
            ["1/31/2024 2:05 PM", "12/1/2023 12:10 am"],
            [(2024, 1, 31, 14, 5), (2023, 12, 1, 0, 10)],
        ),
        (["3 Mar 2024", "31 December 2023"], [(2024, 3, 3), (2023, 12, 31)]),
        (["Jan 3, 2024", "February 10, 2024"], [(2024, 1, 3), (2024, 2, 10)]),
        (["2024-01-31T10:00:00.5+02:00", ""], [(2024, 1, 31, 8, 0, 0, 500_000), None]),
    ],
)
def test_dates_are_read_in_the_usual_orders(cells, values):
    format, found = read(cells)
    assert format.kind == "date"
    assert found.values.to_list() == [value and datetime(*value) for value in values]


def test_a_few_cells_of_another_kind_count_as_missing_and_are_known():
    cells = [str(number) for number in range(40)] + ["about 5"]
    format, found = read(cells)
    assert format.kind == "number"
    assert found.odd.arg_true().to_list() == [40]
    assert read([*cells[:5], "about 5"])[0].kind == "text"
    assert read([*cells[:5], "about 5"], kind="number")[1].values.to_list() == [0, 1, 2, 3, 4, None]


def test_cells_of_another_program_are_read_as_they_are_written():
    trained = ColumnFormat("number")
    found = read_column(pl.Series(["1.234,5", "3,25"]), trained)
    assert found.values.to_list() == [1234.5, 3.25]
    # What fits is read as in training.
    assert read_column(pl.Series(["1.234"]), trained).values.to_list() == [1.234]


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        (pl.Series([1, 2], dtype=pl.Int8), "number", ["1", "2"]),
        (pl.Series([1.0, float("nan")]), "number", None),
        (pl.Series([True, None]), "boolean", ["true", None]),
        (pl.Series([datetime(2024, 1, 1)]), "date", None),
        (pl.Series(["a", "b"], dtype=pl.Categorical), "text", ["a", "b"]),
    ],
)
def test_columns_with_types_keep_their_kinds(values, kind, text):
    format = find_format(values, comma=False)
    assert format.kind == kind
    if text is not None:
        assert read_column(values, ColumnFormat("text")).values.to_list() == text


def test_a_table_prefers_decimal_commas_if_more_numbers_have_them():
    assert prefers_comma(pl.DataFrame({"a": ["1,5", "2"], "b": ["x", "y"]}))
    assert not prefers_comma(pl.DataFrame({"a": ["1.5", "2"], "b": ["1,234", "2,345"]}))


def test_a_format_survives_json():
    format = ColumnFormat("number", ",", ".")
    assert ColumnFormat.from_json(format.to_json(), "x") == format
    for broken in ({}, {**format.to_json(), "kind": "list"}, {**format.to_json(), "decimal": "x"}):
        with pytest.raises((TypeError, ValueError), match="x"):
            ColumnFormat.from_json(broken, "x")
