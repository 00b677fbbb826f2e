"""One table in several files: `cnn-core train --data 'part-*.csv'`, with workers and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cnn_core import load
from cnn_core.cli import main
from cnn_core.standardization import Moments, offset_and_scale
from command_line import refused, succeed

TABLES = ["--max-steps", "150", "--members", "2", "--seed", "0", "--quiet", "--no-plots"]
NETWORK = ["--epochs", "8", "--batch-size", "20", "--seed", "0", "--quiet", "--no-plots"]


def table(n: int = 900) -> pd.DataFrame:
    """Columns far from 0, of different size, one with gaps and one of names."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "large": random.normal(5_000, 300, n),
            "small": random.normal(0, 1e-3, n),
            "kind": random.choice(list("uvw"), n),
            "gaps": np.where(random.random(n) < 0.1, np.nan, random.normal(size=n)),
        }
    )
    frame["y"] = np.where((frame["large"] - 5_000) / 300 + 1e3 * frame["small"] > 0, "up", "down")
    return frame


def write(folder: Path, frame: pd.DataFrame, n_parts: int = 3) -> None:
    frame.to_csv(folder / "whole.csv", index=False)
    for number, rows in enumerate(np.array_split(np.arange(len(frame)), n_parts)):
        part = frame.iloc[rows]
        part.to_csv(folder / f"part-{number}.csv", index=False)
        part.to_parquet(folder / f"part-{number}.parquet")


def test_a_table_in_files_is_learned_as_the_same_table_in_one(tmp_path: Path) -> None:
    write(tmp_path, table())
    seen: list[tuple[float, bytes]] = []
    for pattern, more in {
        "whole.csv": [],
        "part-*.csv": [],
        "part-*.parquet": ["--workers", "2"],
    }.items():
        run = tmp_path / f"run-{len(seen)}"
        words = ["train", "--data", str(tmp_path / pattern), "--target", "y", "--out", str(run)]
        assert main([*words, *more, *TABLES]) == 0
        record = json.loads((run / "run.json").read_text())
        weights = load(run / "model.safetensors")._ensemble.bags[0].models[0].parameters
        seen.append((record["result"]["test_accuracy"], weights.tobytes()))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0] > 0.85
    assert sorted(record["data"]["sha256"]) == [f"part-{number}.parquet" for number in range(3)]


def test_a_run_on_files_is_evaluated_predicted_with_and_verified(tmp_path: Path) -> None:
    write(tmp_path, table())
    run = tmp_path / "run"
    words = ["--data", str(tmp_path / "part-*.csv"), "--target", "y", "--workers", "2"]
    assert main(["train", *words, "--out", str(run), *TABLES]) == 0
    accuracy = json.loads((run / "run.json").read_text())["result"]["test_accuracy"]
    measured = json.loads(succeed("evaluate", run, "--json"))
    assert measured["accuracy"] == accuracy
    predicted = json.loads(succeed("predict", run, tmp_path / "part-*.csv", "--json"))
    assert len(predicted["predictions"]) == 900
    succeed("verify", run)
    succeed("report", run)


def test_files_with_other_columns_are_refused_by_name(tmp_path: Path, capsys: Any) -> None:
    frame = table(60)
    write(tmp_path, frame)
    frame.rename(columns={"small": "tiny"}).to_csv(tmp_path / "part-1.csv", index=False)
    text = refused(capsys, "train", "--data", str(tmp_path / "part-*.csv"), "--target", "y")
    assert "part-1.csv: expected the columns of" in text
    assert "tiny" in text
    assert "no such file" in refused(capsys, "train", "--data", str(tmp_path / "other-*.csv"))


@pytest.mark.slow
def test_columns_of_files_are_standardized_for_a_network(tmp_path: Path, capsys: Any) -> None:
    frame = table().drop(columns=["kind", "gaps"])
    write(tmp_path, frame)
    run = tmp_path / "run"
    words = ["train", "--data", str(tmp_path / "part-*.parquet"), "--target", "y"]
    assert main([*words, "--workers", "2", *NETWORK, "--out", str(run)]) == 0
    record = json.loads((run / "run.json").read_text())
    assert record["accuracy"] > 0.9
    # The last file is the test part.
    rows = frame.iloc[:600][["large", "small"]].to_numpy()
    offset, scale = offset_and_scale(rows)
    assert record["preprocessing"]["offset"] == pytest.approx(offset.tolist(), rel=1e-12)
    assert record["preprocessing"]["scale"] == pytest.approx(scale.tolist(), rel=1e-12)
    assert json.loads(succeed("evaluate", run, "--json"))["accuracy"] == record["accuracy"]
    last = tmp_path / "part-2.parquet"
    predicted = json.loads(succeed("predict", run, last, "--json"))["predictions"]
    right = [one["predicted"] for one in predicted] == frame["y"].iloc[600:]
    assert float(np.mean(right)) == record["accuracy"]
    assert "agrees on 300 rows (yours)" in succeed("export", run, "--c", tmp_path / "m.h")


def test_a_network_refuses_cells_of_files_that_are_missing(tmp_path: Path, capsys: Any) -> None:
    write(tmp_path, table(60)[["large", "gaps", "y"]])
    words = ["train", "--data", str(tmp_path / "part-*.parquet"), "--target", "y", *NETWORK]
    text = refused(capsys, *words, "--workers", "2")
    assert "part-0.parquet" in text
    assert "the column 'gaps'" in text
    assert "--model tables" in text


def test_files_without_rows_are_refused_by_a_network(tmp_path: Path, capsys: Any) -> None:
    write(tmp_path, table(60)[["large", "y"]].iloc[:0])
    words = ["train", "--data", str(tmp_path / "part-*.parquet"), "--target", "y", *NETWORK]
    assert "expected at least one row, found none" in refused(capsys, *words, "--workers", "1")


@pytest.mark.parametrize("size", [1.0, 1e200])
def test_moments_of_parts_are_those_of_the_whole(size: float) -> None:
    rows = np.random.default_rng(0).normal(3, 2, (500, 3)) * [size, 1e-3, 0]
    parts = [Moments.of(part) for part in np.array_split(rows, [7, 8, 300])]
    joined = parts[0].joined(parts[1]).joined(parts[2].joined(parts[3]))
    offset, scale = offset_and_scale(rows)
    found = joined.offset_and_scale()
    assert found[0] == pytest.approx(offset, rel=1e-12)
    assert found[1][1:] == pytest.approx(scale[1:], rel=1e-12)
    assert 0.1 * scale[0] < found[1][0] < 10 * scale[0]
