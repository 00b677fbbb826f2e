"""`cnn-core train --workers`: on samples of any kind, and on files of tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cnn_core import load
from cnn_core.cli import main
from command_line import refused, succeed

QUICK = ["--epochs", "2", "--seed", "0", "--quiet", "--no-plots"]


def test_the_number_of_workers_changes_no_bit_of_a_run(tmp_path: Path) -> None:
    bits = []
    for workers in ("1", "2"):
        out = tmp_path / workers
        words = ["train", "--data", "digits", "--workers", workers, "--shards", "2", *QUICK]
        assert main([*words, "--out", str(out)]) == 0
        bits.append(load(out / "model.safetensors").model_.parameters.tobytes())
    assert bits[0] == bits[1]


def write_tables(folder: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(3):
        frame = pd.DataFrame(random.normal(size=(300, 4)), columns=list("abcd"))
        frame["kind"] = np.where(frame["a"] > 0, "above", "below")
        frame.to_parquet(folder / f"part-{number}.parquet")


def test_tables_in_files_are_trained_on_and_the_last_one_is_the_test(
    tmp_path: Path, capsys: Any
) -> None:
    write_tables(tmp_path)
    words = ["train", "--data", str(tmp_path / "part-*.parquet"), "--target", "kind"]
    more = ["--workers", "2", "--epochs", "8", "--seed", "0", "--batch-size", "20", "--quiet"]
    assert main([*words, *more, "--out", str(tmp_path / "run")]) == 0
    assert "test accuracy 0.9" in capsys.readouterr().out
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [Path(path).name for path in record["data"]["train"]] == [
        "part-0.parquet",
        "part-1.parquet",
    ]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "2 files of part" in page
    assert "Class by class" in page
    assert "<polyline" in page
    model = load(tmp_path / "run" / "model.safetensors")
    assert model.classes_.tolist() == ["above", "below"]
    run, last = tmp_path / "run", tmp_path / "part-2.parquet"
    measured = json.loads(succeed("evaluate", run, "--json"))
    assert measured["accuracy"] == record["accuracy"]
    assert measured["samples"] == 300
    predicted = json.loads(succeed("predict", run, last, "--json"))["predictions"]
    scaling = record["preprocessing"]
    columns = pd.read_parquet(last).drop(columns="kind")
    scaled = ((columns - scaling["offset"]) / scaling["scale"]).astype(np.float32)
    assert [one["predicted"] for one in predicted] == model.predict(scaled).tolist()
    assert "agrees on 300 rows (yours)" in succeed("export", run, "--c", tmp_path / "m.h")
    before = (run / "report.html").read_text()
    succeed("report", run)
    assert (run / "report.html").read_text() == before
    assert "it was trained on files" in refused(capsys, "verify", run)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_what_is_missing_is_said(tmp_path: Path, capsys: Any) -> None:
    files = str(tmp_path / "part-*.parquet")
    words = ["train", "--data", files, "--workers", "2", "--epochs", "1"]
    assert "--target: expected the name of a column" in refused(capsys, *words)
    assert "no such file" in refused(capsys, *words, "--target", "kind")
