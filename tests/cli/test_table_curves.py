"""The page of a run on a table has a curve for each network, and history.csv its numbers."""

from __future__ import annotations

import csv
import re

import pytest

from command_line import refused, succeed

TINY = ("--members", 3, "--max-steps", 30, "--quality", "fast", "--no-plots", "--quiet")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("curves") / "t.csv"
    path.write_text("a,y\n" + "".join(f"{n % 9},{n % 9 * 20000.5}\n" for n in range(90)))
    succeed("train", "--data", path, "--out", path.parent / "run", *TINY)
    return path.parent / "run"


def test_each_epoch_of_each_network_is_in_the_history(run):
    head, *rows = csv.reader((run / "history.csv").read_text().splitlines())
    assert head == ["network", "epoch", "validation_loss"]
    assert {row[0] for row in rows} == {"1", "2", "3"}
    assert all(float(row[2]) > 0 for row in rows)


def test_the_page_shows_them_and_is_written_again_with_them(run):
    def curves():
        page = (run / "report.html").read_text(encoding="utf-8")
        assert "a line for each network" in page
        assert re.search(r"miss by [\d,]+ in the mean", page)
        return re.search(r"Loss on the rows held out.*?</svg>", page, re.DOTALL)[0]

    before = curves()
    succeed("report", run)
    assert curves() == before
    (run / "history.csv").rename(run / "kept.csv")
    succeed("report", run)
    assert "a line for each network" not in (run / "report.html").read_text(encoding="utf-8")
    (run / "kept.csv").rename(run / "history.csv")


def test_the_curves_are_the_same_whoever_was_done_first(run, tmp_path):
    succeed("train", "--config", run / "run.toml", "--threads", 1, "--out", tmp_path / "run")
    again = (tmp_path / "run" / "history.csv").read_bytes()
    assert again == (run / "history.csv").read_bytes()


@pytest.mark.parametrize(
    "text", ["", "network,epoch,loss\n1,1,x\n", "network,epoch,other\n1,1,2\n"]
)
def test_a_damaged_history_is_refused_by_name(run, capsys, text):
    file, before = run / "history.csv", (run / "history.csv").read_bytes()
    file.write_text(text)
    assert "history.csv: expected a loss for each epoch" in refused(capsys, "report", run)
    file.write_bytes(before)
