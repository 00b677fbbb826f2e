"""`cnn-core tune` on tables of any columns: what it names, and that it can be trained with."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from cnn_core.cli import main, tune

QUICK = ["--quality", "fast", "--members", "2", "--max-steps", "40"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same rows with a number and with a class to learn: numbers, text, dates, empty cells."""
    folder, random, n = tmp_path_factory.mktemp("tables"), np.random.RandomState(0), 120
    area, colour = random.normal(size=n).round(3), random.choice(["red", "green"], n)
    price = (area**2 + (colour == "red") + 0.1 * random.normal(size=n)).round(3)
    known = [None if place % 9 == 0 else one for place, one in enumerate(area.tolist())]
    sold = [f"2024-{1 + place % 12:02}-{1 + place % 28:02}" for place in range(n)]
    features = pl.DataFrame({"area": known, "colour": colour.tolist(), "sold": sold})
    features.with_columns(price=price).write_csv(folder / "regression.csv")
    kind = np.where(price > 1, "dear", "cheap").tolist()
    features.with_columns(kind=pl.Series(kind)).write_parquet(folder / "classification.parquet")
    return {one.stem: str(one) for one in folder.iterdir()}


def tuned(capsys: Any, *words: str) -> dict[str, Any]:
    assert main(["tune", *words, "--quiet", "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.parametrize(
    ("task", "measure"), [("regression", "r2"), ("classification", "accuracy")]
)
def test_the_command_that_is_printed_trains_what_was_best(
    task: str, measure: str, tables: dict[str, str], tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "tuned"
    found = tuned(capsys, "--data", tables[task], *QUICK, "--trials", "3", "--out", str(out))
    assert found["measure"] == measure
    scores = [one[measure] for one in found["tried"]]
    assert scores == sorted(scores, reverse=True)
    assert found["best"] == found["tried"][0]
    rows = list(csv.reader((out / "trials.csv").read_text().splitlines()))
    assert rows[0] == [measure, "units", "layers", "bins"]
    assert len(rows) == 4
    program, *command = shlex.split(found["command"])
    assert program == "cnn-core"
    run = tmp_path / "run"
    assert main([*command, "--no-plots", "--quiet", "--out", str(run)]) == 0
    result = json.loads((run / "run.json").read_text())["result"]
    assert result["oof_score"] == found["best"][measure]
    assert main(["verify", str(run)]) == 0


def test_the_usual_settings_are_among_those_that_are_tried(
    tables: dict[str, str], tmp_path: Path, capsys: Any
) -> None:
    words = ["--data", tables["regression"], *QUICK, "--trials", "1"]
    found = tuned(capsys, *words, "--out", str(tmp_path / "tuned"))
    assert found["best"].keys() == {"r2"}
    assert shlex.split(found["command"])[2:] == [*words[:-2], "--model", "tables"]


def test_what_is_typed_is_not_tried_otherwise(
    tables: dict[str, str], tmp_path: Path, capsys: Any
) -> None:
    words = ["--data", tables["regression"], *QUICK, "--model", "tables", "--hidden", "9"]
    found = tuned(capsys, *words, "--trials", "2", "--out", str(tmp_path / "tuned"))
    assert found["tried"][0].keys() | found["tried"][1].keys() == {"r2", "bins"}
    assert main(["tune", *words, "--bins", "4"]) == 2
    assert "all settings that could be tried are typed" in capsys.readouterr().err


def test_too_few_rows_are_refused(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "few.csv").write_text("a,b\n" + "".join(f"{n * n % 7},{n}.5\n" for n in range(10)))
    assert main(["tune", "--data", str(tmp_path / "few.csv")]) == 2
    assert "expected at least 10 rows to train on" in capsys.readouterr().err


def test_what_was_tried_before_ctrl_c_is_kept(
    tables: dict[str, str], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def show(line: str) -> None:
        shown.append(line)
        if len(shown) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(tune, "show_progress", show)
    words = ["--data", tables["regression"], *QUICK, "--trials", "9", "--workers", "1", "--json"]
    assert main(["tune", *words, "--out", str(tmp_path / "tuned")]) == 130
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["interrupted"]
    assert len(found["tried"]) == 2
    assert "interrupted after 2 of 9 settings" in said.err
    assert shown[0].startswith("1/9 tried: R2 ")
    assert (tmp_path / "tuned" / "trials.csv").exists()


@pytest.mark.slow
def test_the_result_is_the_same_for_any_number_of_workers(
    tables: dict[str, str], tmp_path: Path, capsys: Any
) -> None:
    words = ["--data", tables["classification"], *QUICK, "--trials", "10"]
    one, two = (
        tuned(capsys, *words, "--workers", workers, "--out", str(tmp_path / workers))
        for workers in ("1", "2")
    )
    assert one["tried"] == two["tried"]
    assert one["command"] == two["command"]


def test_one_network_is_tuned_where_the_model_says_so(tmp_path: Path, capsys: Any) -> None:
    words = ["--data", "digits", "--epochs", "1", "--weight-decay", "0.01"]
    found = tuned(capsys, *words, "--trials", "2", "--out", str(tmp_path / "tuned"))
    assert found["tried"][0].keys() | found["tried"][1].keys() == {
        "accuracy",
        "learning_rate_init",
        "units",
        "layers",
        "dropout",
    }
    assert shlex.split(found["command"])[:8] == ["cnn-core", "train", *words]
