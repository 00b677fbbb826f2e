"""Columns are found by what they are called, and a message names the one that it is about."""

from __future__ import annotations

import csv
import io

import pytest

from command_line import record_of, refused, succeed

QUIET = ("--epochs", 1, "--quiet", "--no-plots")
ROWS = [(k % 2 + 0.01 * k, -(k % 2), "no" if k % 2 else "yes") for k in range(40)]


def table(path, header, line, rows=ROWS):
    path.write_text(header + "\n" + "".join(line.format(*row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a table whose last column is its target."""
    folder = tmp_path_factory.mktemp("columns")
    data = table(folder / "train.csv", "a,b,kind", "{0},{1},{2}")
    succeed("train", "--data", data, "--out", folder / "run", *QUIET)
    return folder / "run"


def test_the_name_of_the_target_is_recorded(run):
    assert record_of(run)["data"]["target_name"] == "kind"


@pytest.mark.parametrize(
    ("header", "line", "left_out"),
    [
        ("a,b", "{0},{1}", None),
        ("b,a", "{1},{0}", None),
        ("a,b,kind", "{0},{1},{2}", None),
        ("a,b,kind", "{0},{1},", None),
        ("id,a,b,kind", "x-7,{0},{1},?", "'id'"),
        (",a,b,kind,note", "0,{0},{1},{2},none", "'column 1', 'note'"),
        ("id,when,b,a,id", "1,2024-01-31,{1},{0},2", "'id', 'when', 'id (2)'"),
    ],
)
def test_predict_finds_the_features_among_other_columns(
    run, tmp_path, capsys, header, line, left_out
):
    expected = predicted(succeed("predict", run, run.parent / "train.csv"))
    capsys.readouterr()
    found = succeed("predict", run, table(tmp_path / "new.csv", header, line))
    assert predicted(found) == expected
    err = capsys.readouterr().err
    assert (f"does not know are left out: {left_out}\n" in err) if left_out else not err


def predicted(text):
    """Return the predicted classes and their probabilities."""
    rows = csv.DictReader(io.StringIO(text))
    return [[cell for name, cell in row.items() if name.startswith("p")] for row in rows]


@pytest.mark.parametrize("header", ["a,b,kind", "kind,x,b,a", "b,kind,a"])
def test_evaluate_finds_features_and_target_by_name(run, tmp_path, header):
    places = {"a": "{0}", "b": "{1}", "kind": "{2}", "x": "?"}
    line = ",".join(places[name] for name in header.split(","))
    other = table(tmp_path / "other.csv", header, line, ROWS[2:])
    assert "38 samples: all samples of" in succeed("evaluate", run, "--data", other)


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        ("a,b", "{0},{1}", "expected a column with the target 'kind', found none; without the tr"),
        ("a,b,x", "{0},{1},{2}", "expected a column with the target 'kind', found 'x'; without"),
        ("a,kind", "{0},{2}", "the column 'b', on which the run was trained, found 'a', 'kind'"),
        ("a,B,kind", "{0},{1},{2}", "found 'a', 'B', 'kind'; is 'b' called 'B' there?"),
        ("1.5,2", "{0},{1}", "a column beside the 2 features, found none; without the true clas"),
    ],
)
def test_evaluate_says_which_column_is_missing(run, tmp_path, capsys, header, line, message):
    other = table(tmp_path / "other.csv", header, line)
    assert message in refused(capsys, "evaluate", run, "--data", other)


def test_another_target_can_be_named(run, tmp_path):
    other = table(tmp_path / "other.csv", "truth,a,b,kind", "{2},{0},{1},?")
    succeed("evaluate", run, "--data", other, "--target", "truth")


def test_a_run_of_an_earlier_version_knows_no_name_of_its_target(run, tmp_path, capsys):
    import json
    import shutil

    old = tmp_path / "run"
    shutil.copytree(run, old)
    record = record_of(run)
    del record["data"]["target_name"]
    (old / "run.json").write_text(json.dumps(record))
    other = tmp_path / "other.csv"
    for header, line in (("a,truth,b", "{0},{2},{1}"), ("id,a,b,truth", "1,{0},{1},{2}")):
        succeed("evaluate", old, "--data", table(other, header, line))
    table(other, "id,x,a,b", "1,2,{0},{1}")
    error = refused(capsys, "evaluate", old, "--data", other)
    assert "expected one column beside the features, found 'id', 'x'; use --target" in error


@pytest.mark.parametrize("cell", ["NA", "?", "2024-01-31", "rose", ""])
def test_a_network_is_told_the_first_cell_that_is_no_number(tmp_path, capsys, cell):
    data = table(tmp_path / "table.csv", "a,b,kind", "{0},{1},{2}")
    data.write_text(data.read_text().replace("0.05,", f"{cell},").replace("1.05,", f"{cell},"))
    error = refused(capsys, "train", "--data", data, "--model", "mlp")
    assert "a finite number in column 'a'" in error
    assert "on line 7" in error
    assert "--model tables also takes text, dates and missing cells" in error
    assert "target: 'kind', the last column (--target)" in error


@pytest.mark.parametrize("cell", ["True", '"1,234.5"', "$4.5", "45%", "(5)"])
def test_a_network_reads_the_usual_spellings_of_numbers(tmp_path, cell):
    rows = "".join(
        f"{cell if k % 2 else 'False' if cell == 'True' else 3},{k % 2}\n" for k in range(20)
    )
    data = tmp_path / "table.csv"
    data.write_text("a,kind\n" + rows)
    options = ("--target", "kind", "--model", "mlp", "--epochs", 1, "--no-plots", "--quiet")
    succeed("train", "--data", data, *options, "--out", tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("2019,2020,2021\n0.5,0.25,1\n0.1,0.7,0\n", "say so: header=True or header=False (--hea"),
        ("a,b,kind\n1,2,x\n3,4,y\n5,6,\n", "an empty cell on line 4"),
        ("kind,a\n0,1.5\n1,2\n", "in the target column 'a'; other numbers cannot be learned"),
        ("kind,a\n0,1e200\n1,2\n", "found 1e+200 for sample 0 in the target column 'a'"),
        ("a,b\n0,1\n1,1\n", "found '1'; another column is chosen by --target"),
        ("a,b\n0,1,2\n1,1\n", "expected 2 cells on line 2, found 3"),
    ],
)
def test_the_advice_is_that_for_the_file(tmp_path, capsys, text, advice):
    data = tmp_path / "table.csv"
    data.write_bytes(text.encode())
    assert advice in refused(capsys, "train", "--data", data, "--model", "mlp")


@pytest.mark.parametrize("count", [1, 2])
def test_a_sample_of_each_class_or_of_one_can_be_evaluated(run, tmp_path, count):
    other = table(tmp_path / "other.csv", "a,b,kind", "{0},{1},{2}", ROWS[:count])
    assert f"{count} samples: all samples of" in succeed("evaluate", run, "--data", other)


@pytest.mark.slow
def test_many_columns_are_put_into_the_order_of_training(tmp_path):
    # Work that grew with the square of the columns would take minutes.
    count = 20_000
    names = [f"column number {i}" for i in range(count)]
    data, folder = tmp_path / "wide.csv", tmp_path / "run"
    rows = [",".join([*[str(k % 2)] * count, "ab"[k % 2]]) for k in range(10)]
    data.write_text(",".join([*names, "kind"]) + "\n" + "\n".join(rows) + "\n")
    succeed("train", "--data", data, "--out", folder, *QUIET, "--hidden", 2)
    new = tmp_path / "new.csv"
    new.write_text(",".join(reversed(names)) + "\n" + ",".join(["1"] * count) + "\n")
    assert succeed("predict", folder, new).count("\n") == 2
    new.write_text(",".join(names[::-1]) + ",truth\n" + "1," * count + "a\n")
    assert "1 samples: all samples of" in succeed(
        "evaluate", folder, "--data", new, "--target", "truth"
    )
