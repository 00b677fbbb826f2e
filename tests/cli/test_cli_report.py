"""``report.html`` of a run folder, and ``cnn-core report``, which writes it again."""

from __future__ import annotations

import csv
import itertools
import shutil
from datetime import datetime, timedelta

import numpy as np
import pytest

import chromium
from cnn_core.cli import records
from command_line import record_of, refused, succeed
from hostile_names import NAMES


def train(folder, *arguments):
    succeed("train", *arguments, "--out", folder, "--quiet", "--no-plots")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on images, never to be changed."""
    folder = tmp_path_factory.mktemp("images") / "run"
    return train(folder, "--data", "digits", "--epochs", 3)


# How a table is trained on: by the learners of tables, or by one network.
MODELS = {
    "tables": ("--quality", "fast", "--max-steps", 40),
    "mlp": ("--model", "mlp", "--epochs", 3),
}


@pytest.fixture(scope="module", params=MODELS)
def hostile_run(request, tmp_path_factory):
    """A run on a table whose names are full of markup, never to be changed."""
    folder = tmp_path_factory.mktemp("table")
    random = np.random.default_rng(0)
    y = random.integers(0, 4, 240)
    x = random.normal(size=(240, len(NAMES) - 2))
    x[:, 0] += y
    with open(folder / "data.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        # A name of two lines is refused by tables.
        writer.writerow([*(name for name in NAMES if "\n" not in name)])
        writer.writerows([*row, NAMES[number]] for row, number in zip(x.round(3), y, strict=True))
    return train(folder / "run", "--data", folder / "data.csv", *MODELS[request.param])


def page_of(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def copied(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def test_the_page_shows_what_the_record_holds(run):
    page, record = page_of(run), record_of(run)
    # An element keeps each word of a command together.
    page = page.replace("<samp>", "").replace("</samp>", "")
    for text in (
        f"{record['result']['test_accuracy']:.4f}",
        record["result"]["weights_sha256"],
        record["data"]["sha256"]["x_test"],
        "cnn-core train --data digits",
        "64-128-10",
    ):
        assert text in page


def test_the_page_of_a_table_shows_which_columns_matter(hostile_run):
    page = page_of(hostile_run)
    assert "Which columns matter" in page
    assert "alert(1)" in page
    assert "<script" not in page


def test_the_page_of_a_regression_shows_truth_residuals_and_intervals(tmp_path):
    random = np.random.default_rng(0)
    with open(tmp_path / "data.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["size", "town", "rent"])
        for size, town in zip(
            random.normal(80, 20, 200), random.choice(["a", "b"], 200), strict=True
        ):
            writer.writerow([round(size, 2), town, round(9 * size + 100 * (town == "a"), 2)])
    options = ("--intervals", 0.9, *MODELS["tables"])
    folder = train(tmp_path / "run", "--data", tmp_path / "data.csv", *options)
    page = page_of(folder)
    for text in ("Residuals", "true rent", "which were made for 90", "The largest errors"):
        assert text in page
    assert page.index(">size</span>") < page.index(">town</span>")
    succeed("report", folder, "--out", tmp_path / "again.html")
    assert "Residuals" in (tmp_path / "again.html").read_text(encoding="utf-8")


def test_it_is_written_again_from_the_run_folder(run, tmp_path, capsys):
    folder = copied(run, tmp_path)
    (folder / "report.html").unlink()
    succeed("report", folder)
    assert page_of(folder).replace(str(folder), str(run)) == page_of(run)


@pytest.mark.parametrize("model", ["tables", "mlp"])
def test_it_has_the_date_of_the_record_however_long_writing_takes(
    flowers, tmp_path, monkeypatch, model
):
    minutes = itertools.count()

    class Clock:
        @staticmethod
        def now():
            return datetime(2026, 1, 1) + timedelta(minutes=next(minutes))

    monkeypatch.setattr(records, "datetime", Clock)
    data = ("--data", flowers, "--target", "kind")
    folder = train(tmp_path / "run", *data, *MODELS[model])
    assert record_of(folder)["date"] in page_of(folder)


def test_it_can_be_written_elsewhere(run, tmp_path):
    before = page_of(run)
    printed = succeed("report", run, "--out", tmp_path / "page.html")
    assert "page.html" in printed
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == before
    assert page_of(run) == before


def test_data_that_moved_can_be_named(hostile_run, tmp_path):
    shutil.copytree(hostile_run.parent, tmp_path / "moved")
    there = tmp_path / "moved"
    (there / "data.csv").rename(tmp_path / "elsewhere.csv")
    out = tmp_path / "page.html"
    succeed("report", there / "run", "--data", tmp_path / "elsewhere.csv", "--out", out)
    assert "Which columns matter" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"training_seconds"', '"other"'),
        ('"versions": {', '"versions": 3, "x": {'),
        ('"test_samples": ', '"test_samples": "many", "x": '),
        ('"settings": {', '"settings": [], "x": {'),
    ],
)
def test_a_damaged_record_is_refused_and_the_page_stays(run, tmp_path, capsys, old, new):
    folder = copied(run, tmp_path)
    text = (folder / "run.json").read_text(encoding="utf-8")
    assert old in text
    (folder / "run.json").write_text(text.replace(old, new), encoding="utf-8")
    assert "run.json" in refused(capsys, "report", folder)
    assert page_of(folder) == page_of(run)


@pytest.mark.parametrize("history", ["", "epoch,loss\n1\n", "epoch,loss\n1,x\n", "\x00"])
def test_a_damaged_history_is_refused(run, tmp_path, capsys, history):
    folder = copied(run, tmp_path)
    (folder / "history.csv").write_text(history, encoding="utf-8")
    assert "history.csv" in refused(capsys, "report", folder)


def test_a_link_is_not_written_through(run, tmp_path, capsys):
    folder = copied(run, tmp_path)
    (tmp_path / "precious").write_bytes(b"precious")
    (folder / "report.html").unlink()
    (folder / "report.html").symlink_to(tmp_path / "precious")
    assert "symbolic link" in refused(capsys, "report", folder)
    assert (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.slow
@pytest.mark.skipif(chromium.PATH is None, reason="Chromium is not installed")
def test_a_browser_shows_it_without_an_error_a_request_or_a_script(run, hostile_run):
    with chromium.page() as page:
        for folder in (run, hostile_run):
            for width in (1280, 390):
                page.open((folder / "report.html").as_uri(), width)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert page.evaluate("document.scripts.length") == 0
            page.evaluate("document.querySelector('button.cell').click()")
            opened = page.evaluate("document.querySelector(':popover-open').innerText")
            assert "test samples" in opened
            assert page.evaluate(
                "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
            )
            assert page.call("Page.printToPDF")["data"]
        assert page.problems == []
        assert page.asked_for() == []
