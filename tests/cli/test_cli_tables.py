"""Tables with columns of any kind are learned, evaluated and predicted by the tables' learner."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import shutil

import numpy as np
import polars as pl
import pytest

import cnn_core
from cnn_core.cli import main
from cnn_core.tables.classifier import TabularClassifier
from cnn_core.training.callbacks import Callback
from command_line import record_of, refused, rows_of, succeed

TINY = ("--quality", "fast", "--members", 2, "--max-steps", 30)
QUIET = (*TINY, "--quiet", "--no-plots")


def guests(count=80):
    """Return the lines of a table as a spreadsheet in Germany writes it."""
    rng = np.random.default_rng(3)
    lines = ["Nr;Gast;Zimmer;Preis;Ankunft;Frühstück;Bemerkung;bleibt"]
    for number in range(count):
        price = 50 + 1000 * rng.random()
        cells = [
            str(number + 1),
            f"G{number:04d}",
            ("Süd", "Nord", "")[number % 3],
            f"{price:,.2f}".replace(",", " ").replace(".", ",").replace(" ", "."),
            f"{1 + number % 28:02d}.03.2024" if number % 2 else f"2024-03-{1 + number % 28:02d}",
            "yes" if number % 4 else "no",
            '"zwei\nZeilen; eine Zelle"' if number % 5 == 0 else "",
            "ja" if price > 500 else "nein",
        ]
        lines.append(";".join(cells))
    return "\r\n".join(lines).encode("cp1252")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("guests") / "guests.csv"
    path.write_bytes(guests())
    return path


@pytest.fixture(scope="module")
def run(table):
    """A run that has learned the classes in the last column."""
    folder = table.parent / "run"
    succeed("train", "--data", table, "--out", folder, *TINY, "--quiet")
    return folder


@pytest.fixture(scope="module")
def prices(table):
    """A run that has learned the numbers of a column, with intervals."""
    folder = table.parent / "prices"
    options = ("--target", "Preis", "--ignore", "bleibt", "--intervals", 0.8)
    succeed("train", "--data", table, "--out", folder, *options, *TINY, "--quiet")
    return folder


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_what_was_decided_about_each_column_is_shown_and_kept(table, run, tmp_path, capsys):
    printed = succeed("train", "--data", table, "--out", tmp_path / "run", *TINY, "--no-plots")
    assert "separated by semicolons" in capsys.readouterr().err
    wanted = {
        "Nr": ("", "left out: numbers the rows (--numerical)"),
        "Gast": ("text", "dropped: no level has two rows"),
        "Zimmer": ("text", "2 levels, one for missing"),
        "Preis": ("number, decimal comma, '.' between thousands", "number"),
        "Ankunft": ("date, day first", "time, day, weekday"),
        "Frühstück": ("boolean", "number"),
        "Bemerkung": ("text", "1 level, one for missing"),
        "bleibt": ("", "target"),
    }
    kept = {row["column"]: (row["read as"], row["used as"]) for row in record_of(run)["decisions"]}
    assert kept == wanted
    for column in wanted:
        assert re.search(rf"^ *{column} ", printed, re.MULTILINE)
        assert re.search(rf"^ *{column} ", (run / "report.txt").read_text("utf-8"), re.MULTILINE)
    assert "classification: it is text" in printed
    assert "--model mlp trains one network" in printed


def test_a_run_of_classes_holds_model_record_report_and_picture(run):
    names = {
        "model.safetensors",
        "run.json",
        "run.toml",
        "report.txt",
        "report.html",
        "history.csv",
        "confusion.png",
    }
    assert {path.name for path in run.iterdir()} == names
    result = record_of(run)["result"]
    assert result["test_accuracy"] > 0.8
    assert result["test_log_loss"] < 0.6
    learner = cnn_core.load(run / "model.safetensors")
    assert learner.classes_.tolist() == ["ja", "nein"]


def test_numbers_are_found_to_be_a_regression_and_drawn(prices):
    result = record_of(prices)["result"]
    assert {"test_r2", "test_rmse", "test_mae", "test_covered"} <= set(result)
    assert record_of(prices)["settings"]["task"] == "regression"
    for name in ("predicted.png", "residuals.png"):
        assert (prices / name).read_bytes().startswith(b"\x89PNG")
    report = (prices / "report.txt").read_text("utf-8")
    assert all(word in report for word in ("R2", "RMSE", "MAE", "intervals of 80% hold"))


def test_predict_writes_the_columns_of_the_table_then_the_class_and_the_probabilities(run, table):
    found = read(succeed("predict", run, table))
    text = table.read_bytes().decode("cp1252")
    names = text.split("\r\n", 1)[0].split(";")
    added = ["predicted", "probability of ja", "probability of nein"]
    assert list(found[0]) == [*names, *added]
    assert len(found) == 80
    assert found[1]["Preis"] in text
    for row in found:
        shares = {name: float(row[f"probability of {name}"]) for name in ("ja", "nein")}
        assert sum(shares.values()) == pytest.approx(1)
        assert row["predicted"] == max(shares, key=shares.get)


def test_predict_takes_other_layouts_of_the_same_columns(run, table, tmp_path, capsys):
    expected = [row["predicted"] for row in read(succeed("predict", run, table))]
    kept = ("Zimmer", "Preis", "Ankunft", "Frühstück", "Bemerkung", "Gast")
    frame = pl.DataFrame(
        {name: [row[name] for row in read(succeed("predict", run, table))] for name in kept}
    )
    typed = frame.with_columns(
        pl.col("Preis").str.replace_all(".", "", literal=True).str.replace(",", ".").cast(float)
    )
    typed.write_parquet(tmp_path / "typed.parquet")
    typed.with_columns(id=pl.lit("x")).write_csv(tmp_path / "points.csv.tsv", separator="\t")
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(table.read_bytes()))
    for name in ("typed.parquet", "points.csv.tsv", "packed.csv.gz"):
        capsys.readouterr()
        found = read(succeed("predict", run, tmp_path / name))
        assert [row["predicted"] for row in found] == expected, name
    out = tmp_path / "out.parquet"
    succeed("predict", run, table, "--out", out)
    assert pl.read_parquet(out)["predicted"].to_list() == expected


def test_intervals_have_the_coverage_of_the_run_or_another_one(prices, run, table, capsys):
    row = read(succeed("predict", prices, table))[0]
    low, middle, high = (float(row[name]) for name in ("low", "predicted", "high"))
    assert low < middle < high
    narrow = read(succeed("predict", prices, table, "--intervals", 0.3))[0]
    assert float(narrow["high"]) - float(narrow["low"]) < high - low
    error = refused(capsys, "predict", run, table, "--intervals", 0.5)
    assert "--intervals belongs to numbers" in error


@pytest.mark.parametrize("name", ["run", "prices"])
def test_evaluate_repeats_the_result_and_measures_other_tables(
    name, table, tmp_path, request, capsys
):
    folder = request.getfixturevalue(name)
    printed = succeed("evaluate", folder)
    assert "16 rows: the rows of" in printed
    measured, recorded = (
        re.search(rf"{word} +\S+ ([\d.-]+)", printed)[1] for word in ("measured", "recorded")
    )
    assert float(measured) == pytest.approx(float(recorded), abs=1e-3)
    other = tmp_path / "other.csv"
    other.write_bytes(guests(30))
    assert "30 rows: all rows of" in succeed("evaluate", folder, "--data", other)
    other.write_bytes(guests(30).replace(b"bleibt", b"x").replace(b"Preis", b"y"))
    assert "expected a" in refused(capsys, "evaluate", folder, "--data", other)


def test_verify_finds_the_same_bits_and_a_changed_table(run, tmp_path, capsys):
    assert succeed("verify", run, "--quiet").startswith("the same ")
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    moved = tmp_path / "guests.csv"
    moved.write_bytes(guests(81))
    record = record_of(run)
    record["data"]["asked_for"]["data"] = str(moved)
    (copy / "run.json").write_text(json.dumps(record))
    error = refused(capsys, "verify", copy)
    assert "have changed since the training: SHA-256 of guests.csv" in error


def test_a_training_that_was_interrupted_resumes_to_the_same_bits(
    run, table, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "run"
    command = ("train", "--data", table, "--out", folder, *QUIET, "--checkpoint-every", 1)
    whole = TabularClassifier.fit

    def fit(self, *arguments, **options):
        # The first network is trained as a whole, the second one for its first epochs.
        seen = []

        class Interrupting(Callback):
            def on_epoch_end(self, state):
                seen.append(state)
                if len(seen) == 20:
                    raise KeyboardInterrupt

        self.callbacks = [Interrupting()]
        return whole(self, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(TabularClassifier, "fit", fit)
        assert main([str(word) for word in command]) == 130
    assert f"--resume {folder} goes on" in capsys.readouterr().err
    unfinished = tmp_path / "run.unfinished"
    assert len(list((unfinished / "checkpoints").iterdir())) >= 1
    succeed("train", "--resume", folder, "--quiet")
    assert not (folder / "checkpoints").exists()
    digests = [record_of(one)["result"]["weights_sha256"] for one in (run, folder)]
    assert digests[0] == digests[1]


def test_a_table_from_standard_input_is_verified_from_there(table, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"

    def piped(contents):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(contents)))

    piped(table.read_bytes())
    succeed("train", "--data", "-", "--out", folder, *QUIET)
    piped(gzip.compress(table.read_bytes()))
    assert "have changed since the training" in refused(capsys, "verify", folder)
    piped(table.read_bytes())
    assert succeed("verify", folder, "--quiet").startswith("the same ")
    piped(table.read_bytes())
    assert len(read(succeed("predict", folder, "-"))) == 80


def test_rows_without_a_target_and_odd_cells_are_told(table, tmp_path, capsys):
    text = table.read_bytes().decode("cp1252").replace("Süd", "").replace(";nein\r", ";\r", 2)
    path = tmp_path / "table.csv"
    path.write_text(
        re.sub(r"(;[\d.,]+,\d\d;)", ";about 5;", text, count=1), encoding="utf-8", newline=""
    )
    succeed("train", "--data", path, "--out", tmp_path / "run", *TINY, "--no-plots")
    err = capsys.readouterr().err
    assert "2 rows without a value in the target column bleibt are left out" in err
    assert "Preis: 1 of 80 cells are no number and count as missing: 'about 5' on line 2" in err


@pytest.mark.parametrize(
    ("target", "task"),
    [
        ([1, 2, 3] * 20, "classification"),
        ([1.5, 2, 3] * 20, "regression"),
        (list(range(0, 120, 2)), "regression"),
        ([str(n % 2) for n in range(60)], "classification"),
        (["a", "b", "c"] * 20, "classification"),
        ([True, False] * 30, "classification"),
    ],
)
def test_the_task_is_found_from_the_target(tmp_path, target, task):
    path = tmp_path / "table.parquet"
    pl.DataFrame({"x": np.random.default_rng(0).normal(size=60), "y": target}).write_parquet(path)
    succeed("train", "--data", path, "--out", tmp_path / "run", *QUIET)
    assert record_of(tmp_path / "run")["settings"]["task"] == task


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--target blebt", "a column named 'blebt', found .*; did you mean 'bleibt'"),
        ("--ignore Zimer", "did you mean 'Zimmer'"),
        ("--ignore bleibt", "another column to ignore, found the target 'bleibt'"),
        ("--task regression", "numbers in the target column 'bleibt', found '(ja|nein)'"),
        ("--target Gast", "classes in the target column 'Gast', found 80 different values in 80"),
        (
            "--quality fast --hidden 5",
            "--quality has no effect on --model mlp, which --hidden asks",
        ),
        ("--model tables --epochs 5", "--epochs has no effect on --model tables"),
        ("--model mlp --intervals 0.9", "--intervals has no effect on --model mlp"),
        ("--task classification --intervals 0.9", "--intervals belongs to numbers"),
        ("--intervals 1", "expected a number above 0 and below 1"),
        ("--separator ;;", "--separator: expected one character"),
        ("--quality good", "expected fast, balanced or best, found 'good'"),
    ],
)
def test_what_people_mistype_is_told(table, tmp_path, capsys, typed, message):
    error = refused(capsys, "train", "--data", table, "--out", tmp_path / "run", *typed.split())
    assert re.search(message, error), error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found an empty file"),
        ("a,b\n", "found a header alone"),
        ("a\nx\n", "at least one feature and a target in each row, found one column"),
        ("a,b\n1,x\n", "at least two values in the target column 'b', found 'x' in the only row"),
        (
            "a,b\n1,0.5\n2,1.5\n3,2.5\n",
            "at least 5 rows, of which one is held out to tes",
        ),
        ("a,b\n1,\n2,\n", "values in the target column 'b', found none"),
        ("a,b,a\n1,2,3\n", ""),
    ],
)
def test_tables_that_cannot_be_learned_are_refused(tmp_path, capsys, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    assert message in refused(capsys, "train", "--data", path, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_record_that_does_not_go_with_its_model_is_refused(run, prices, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    (folder / "run.json").write_bytes((prices / "run.json").read_bytes())
    assert "do not belong together" in refused(capsys, "evaluate", folder)
    for damage in ({"columns": {}}, {"settings": {}}, {"result": 5}):
        (folder / "run.json").write_text(json.dumps({**record_of(run), **damage}))
        assert "run.json: not the record of a run, or damaged" in refused(
            capsys, "evaluate", folder
        )


@pytest.mark.slow
def test_wide_tables_show_the_first_columns_and_keep_all(tmp_path):
    path = tmp_path / "wide.csv"
    names = [f"x{number}" for number in range(300)]
    rows = [[str((row * 7 + number) % 5) for number in range(300)] for row in range(12)]
    lines = [
        ",".join([*names, "y"]),
        *(",".join([*row, "ab"[at % 2]]) for at, row in enumerate(rows)),
    ]
    path.write_text("\n".join(lines))
    printed = succeed("train", "--data", path, "--out", tmp_path / "run", *TINY, "--no-plots")
    assert "and 241 more columns, all of them in run.json and by data --json" in printed
    assert len(record_of(tmp_path / "run")["decisions"]) == 301
    assert len(rows_of(path)) == 12
