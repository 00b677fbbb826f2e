"""What a user sees and says about the columns of a table: `cnn-core data`, and its options."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, timedelta

import polars as pl
import pytest

from command_line import record_of, refused, succeed

TINY = ("--members", 1, "--max-steps", 10, "--quality", "fast", "--no-plots", "--quiet")


def write(path, header, *lines):
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def columns(path, *options):
    """Return how each column is read, and what it is used as."""
    found = json.loads(succeed("data", path, "--json", *options))
    return {row["column"]: (row["read as"], row["used as"]) for row in found["columns"]}


@pytest.fixture(scope="module")
def flats(tmp_path_factory):
    """A table with an id, and the folder of a run that has learned it."""
    path = tmp_path_factory.mktemp("flats") / "flats.csv"
    lines = (
        f"A{n:03d},{20 + n % 30},{('NA', 'flat', 'loft')[n % 3]},{n % 30 * 9.5}" for n in range(60)
    )
    write(path, "Nr,area,kind,price", *lines)
    options = ("--intervals", 0.8, "--missing", "NA", *TINY)
    succeed("train", "--data", path, "--out", path.parent / "run", *options)
    return path


@pytest.mark.parametrize(
    ("cells", "description"),
    [
        (["2024-03-25", "2024-04-05"], "date"),
        (["25 Mar 2024", "5 April 2024"], "date"),
        (["25.03.2024", "05.04.2024"], "date, day first"),
        (["3/25/2024", "4/5/2024"], "date, month first"),
    ],
)
def test_a_date_is_described_by_the_order_that_was_found(tmp_path, cells, description):
    lines = (f"{cells[n % 2]},{'ab'[n % 2]}" for n in range(20))
    assert columns(write(tmp_path / "t.csv", "due,y", *lines))["due"][0] == description


def test_dates_of_a_file_with_types_have_no_order(tmp_path):
    days = [date(2024, 3, 1) + timedelta(n) for n in range(20)]
    path = tmp_path / "t.parquet"
    pl.DataFrame({"due": days, "y": ["a", "b"] * 10}).write_parquet(path)
    assert columns(path)["due"][0] == "date"


def test_dates_that_can_be_read_either_way_are_told_and_can_be_settled(tmp_path, capsys):
    months = [f"{1 + n % 12}/1/{2020 + n // 12}" for n in range(40)]
    path = write(
        tmp_path / "t.csv", "month,y", *(f"{m},{'ab'[n % 2]}" for n, m in enumerate(months))
    )
    assert columns(path)["month"] == ("date, day first", "time, year, day, weekday")
    told = "dates of 'month' can be read either way, and are read with the day first"
    assert told in capsys.readouterr().err
    settled = columns(path, "--date-order", "month-first")["month"]
    assert settled == ("date, month first", "time, year, month, weekday")
    assert told not in capsys.readouterr().err
    other = (f"{m},4/{13 + n % 9}/2024,{'ab'[n % 2]}" for n, m in enumerate(months))
    found = columns(write(path, "month,due,y", *other))
    assert found["month"][0] == found["due"][0] == "date, month first"
    assert told not in capsys.readouterr().err


def test_cells_that_may_be_meant_for_missing_are_told_and_can_be_said(tmp_path, capsys):
    lines = (
        f"{n % 7 or -999},{('NA', 'x', 'z')[n % 3]},{('N/A', 'p', 'q')[n % 3]}" for n in range(40)
    )
    path = write(tmp_path / "t.csv", "a,k,y", *lines)
    found = json.loads(succeed("data", path, "--json"))
    assert [row["missing"] for row in found["columns"]] == ["0", "0", ""]
    assert "'N/A' in 'k', 'y' are text like any other; --missing N/A NA" in capsys.readouterr().err
    found = json.loads(succeed("data", path, "--json", "--missing", "NA", "N/A", "-999"))
    assert [name["name"] for name in found["classes"]] == ["p", "q"]
    assert found["columns"][0]["used as"] == "number, and whether it is missing"
    assert "text like any other" not in capsys.readouterr().err


def test_what_is_said_of_missing_cells_goes_with_the_run(flats, tmp_path):
    run = flats.parent / "run"
    assert record_of(run)["decisions"][2]["used as"] == "2 levels, one for missing"
    new = write(tmp_path / "new.csv", "area,kind", "30,NA", "30,")
    first, second = csv.DictReader(io.StringIO(succeed("predict", run, new)))
    assert first.pop("kind") == "NA"
    assert second.pop("kind") == ""
    assert first == second
    assert "the rows of" in succeed("evaluate", run)
    assert "80% hold" in succeed("evaluate", run, "--data", flats)
    succeed("train", "--config", run / "run.toml", "--out", tmp_path / "again")


def test_a_file_to_predict_needs_no_id_that_nothing_was_learned_from(flats, tmp_path, capsys):
    run = flats.parent / "run"
    with_id = write(tmp_path / "with.csv", "Nr,area,kind,price", "A1,30,flat,1")
    without = write(tmp_path / "without.csv", "kind,area", "flat,30")
    rows = [
        next(csv.DictReader(io.StringIO(succeed("predict", run, one))))
        for one in (with_id, without)
    ]
    assert len({(row["predicted"], row["low"], row["high"]) for row in rows}) == 1
    renamed = write(tmp_path / "renamed.csv", "aera,kind", "30,flat")
    error = refused(capsys, "predict", run, renamed)
    assert "expected the column 'area', on which the run was trained, found 'aera', 'kind'" in error
    assert "is 'area' called 'aera' there?" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--ignore a,k", "names of columns have spaces between them: a k"),
        ("--separator ;", "they seem to be separated by commas: leave --separator out"),
        ("--intervals 0.9", "--intervals belongs to numbers, found classes in the target column"),
        ("--task regression", "numbers in the target column 'y', found 'yes'"),
        ("--task classific", "found 'classific'; did you mean classification?"),
        ("--preset balancd", "or nn, found 'balancd'; did you mean balanced?"),
    ],
)
def test_a_slip_is_answered_with_what_to_do(tmp_path, capsys, options, message):
    lines = (f"{n % 7},x,{('yes', 'no')[n % 2]}" for n in range(40))
    path = write(tmp_path / "t.csv", "a,k,y", *lines)
    error = refused(capsys, "train", "--data", path, "--out", tmp_path / "run", *options.split())
    assert message in error


def test_a_file_of_an_unknown_kind_is_refused_before_options_are(tmp_path, capsys):
    error = refused(capsys, "train", "--data", tmp_path / "t.feather", "--members", 2)
    assert "or a file whose name ends in .npz" in error


def test_a_target_without_any_value_is_no_number(tmp_path, capsys):
    path = write(tmp_path / "t.csv", "a,y", "1,", "2,")
    error = refused(capsys, "train", "--data", path, "--task", "regression")
    assert "numbers in the target column 'y', found none" in error


def test_a_single_number_is_named_as_it_stands(tmp_path, capsys):
    path = write(tmp_path / "t.csv", "a,y", "1,2", "3,2")
    assert "found 2 throughout" in refused(capsys, "data", path).replace("2.0", "2")


def test_data_shows_the_numbers_that_are_learned(flats):
    assert "price from 0 to 275.5, median" in succeed("data", flats)


def test_int8_of_a_table_is_refused_by_what_it_takes(flats, tmp_path, capsys):
    error = refused(capsys, "export", flats.parent / "run", "--c", tmp_path / "m.h", "--int8")
    assert "--int8 takes one network on rows of numbers" in error


@pytest.mark.parametrize("option", [("--missing", "NA"), ("--date-order", "month-first")])
def test_what_belongs_to_tables_is_refused_with_one_network(flats, tmp_path, capsys, option):
    args = ("train", "--data", flats, "--model", "mlp", "--out", tmp_path / "run")
    assert f"{option[0]} has no effect on --model mlp" in refused(capsys, *args, *option)
