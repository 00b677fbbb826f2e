"""Names from files end no line of a report, run in no spreadsheet and draw no formula."""

from __future__ import annotations

import csv
import io

import pytest

from cnn_core.files import table_text
from command_line import PICTURES, record_of, rows_of, succeed

FORMULAS = ('=HYPERLINK("http://x","y")', "+1-555", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1")
NUMBERS = ("-30", "+5", "-1e-3", "-inf")
OTHERS = ("a=b", "", " =1", "rose, red", 'a "b"', "a\nb", "a\rb", "Ähre", "'=1")


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_gets_an_apostrophe(name):
    ((cell, number),) = csv.reader(io.StringIO(table_text([[name, -0.5]]), newline=""))
    assert cell == f"'{name}"
    assert number == "-0.5"


@pytest.mark.parametrize("name", NUMBERS + OTHERS)
def test_all_else_is_read_back_as_it_was_written(name):
    rows = [["head", "x"], [name, name], ["end", "y"]]
    assert list(csv.reader(io.StringIO(table_text(rows), newline=""), strict=True)) == rows


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    names = ('=HYPERLINK("x")', "rose\ncnn-core: error: forged\x1b[31m", "$\\frac{$", "a$b$")
    rows = [[k % 4, k % 3, names[k % 4]] for k in range(48)]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([["a", "=b", "kind\n"], *rows])
    (folder / "table $x$.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    succeed("train", "--data", folder / "table $x$.csv", "--out", folder / "run", "--epochs", 2)
    return folder / "run"


def test_predictions_hold_what_no_spreadsheet_runs_in_rows_and_header(run, tmp_path):
    out = tmp_path / "out.csv"
    data = run.parent / "table $x$.csv"
    printed = succeed("predict", run, data, "--outputs")
    succeed("predict", run, data, "--outputs", "--out", out)
    assert out.read_text(encoding="utf-8") == printed
    header, *rows = csv.reader(io.StringIO(printed, newline=""), strict=True)
    classes = [f"'{n}" if n.startswith("=") else n for n in record_of(run)["class_names"]]
    names = [f"probability of {name}" for name in record_of(run)["class_names"]]
    assert header == ["a", "'=b", "kind", "predicted", *names]
    assert {row[3] for row in rows} <= set(classes)
    assert len(rows) == 48


def test_no_line_of_a_report_is_forged(run):
    forged = "cnn-core: error: forged"
    data = run.parent / "table $x$.csv"
    for text in (
        (run / "report.txt").read_text(encoding="utf-8"),
        succeed("evaluate", run),
        succeed("data", data),
        succeed("train", "--data", data, "--epochs", 1, "--no-plots", "--out", run.parent / "2"),
    ):
        assert rf"rose\n{forged}\x1b[31m" in text
        assert not any(line.startswith(forged) for line in text.splitlines())
        assert "\x1b" not in text


def test_pictures_and_history_are_made_of_any_names(run):
    assert PICTURES - {"gallery.png"} <= {path.name for path in run.iterdir()}
    assert len(rows_of(run / "history.csv")) == 2
