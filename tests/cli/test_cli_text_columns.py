"""Columns of text of Parquet files that a network reads block by block."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cnn_core import load
from cnn_core.cli import main, scale, scale_columns
from cnn_core.cli.encoding import Encoding
from cnn_core.io.fields import Fields
from command_line import record_of, refused, succeed

CITIES = ["Bern", "Oslo", "Rome"]
MORE = ["--target", "y", "--workers", "2", "--epochs", "6", "--seed", "0", "--batch-size", "20"]


def write(folder: Path, number: int, rows: int = 300, **columns: Any) -> Path:
    """Write a part whose classes depend on numbers and texts alike."""
    random = np.random.default_rng(number)
    frame = pd.DataFrame({"size": random.normal(5, 3, rows)})
    # The first part has no Oslo: what has an input is known from all of them.
    frame["city"] = random.choice(CITIES if number else ["Bern", "Rome", None], rows)
    frame["zip"] = random.choice([8001, 3000], rows)
    frame["y"] = np.where((frame["size"] > 5) ^ (frame["city"] == "Rome"), "dear", "cheap")
    path = folder / f"part-{number}.parquet"
    frame.assign(**columns).to_parquet(path, row_group_size=100)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: Any) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    for number in range(3):
        write(folder, number)
    words = ["train", "--data", folder / "part-*.parquet", *MORE, "--categorical", "zip", "--quiet"]
    succeed(*words, "--out", folder / "run")
    return folder / "run"


def test_texts_of_all_files_become_inputs(run: Path) -> None:
    record = record_of(run)
    assert record["inputs"] == {
        "size": None,
        "city": ["", *CITIES],
        "zip": ["3000", "8001"],
    }
    assert record["accuracy"] > 0.9
    inputs = ["size", "city=", *(f"city={one}" for one in CITIES), "zip=3000", "zip=8001"]
    assert load(run / "model.safetensors").feature_names_in_.tolist() == inputs
    scaling = record["preprocessing"]
    assert scaling["offset"][1:] == [0] * 6
    assert scaling["scale"][1:] == [1] * 6


def test_the_commands_of_a_run_take_tables_as_they_are(run: Path, tmp_path: Path) -> None:
    measured = json.loads(succeed("evaluate", run, "--json"))
    assert measured["accuracy"] == record_of(run)["accuracy"]
    frame = pd.read_parquet(run.parent / "part-2.parquet")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    from_text = json.loads(succeed("predict", run, tmp_path / "rows.csv", "--json"))
    from_parquet = json.loads(succeed("predict", run, run.parent / "part-2.parquet", "--json"))
    answers = [[one["predicted"] for one in of["predictions"]] for of in (from_text, from_parquet)]
    assert answers[0] == answers[1]
    assert np.mean(np.array(answers[0]) == frame["y"]) == measured["accuracy"]
    assert "agrees on 300 rows (yours)" in succeed("export", run, "--python", tmp_path / "m.py")
    before = (run / "report.html").read_text()
    assert "Oslo" in before
    succeed("report", run)
    assert (run / "report.html").read_text() == before


def test_how_files_are_cut_changes_no_input(tmp_path: Path, run: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(scale_columns, "block_rows_for", lambda *_: 70)
    words = ["train", "--data", run.parent / "part-*.parquet", *MORE, "--categorical", "zip"]
    succeed(*words, "--quiet", "--out", tmp_path / "run")
    assert record_of(tmp_path / "run")["inputs"] == record_of(run)["inputs"]


def test_a_column_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, 0)
    words = ["train", "--data", tmp_path / "part-0.parquet", *MORE, "--model", "mlp", "--quiet"]
    succeed(*words, "--ignore", "zip", "city", "--out", tmp_path / "run")
    assert list(record_of(tmp_path / "run")["inputs"]) == ["size"]


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        ({"zip": "town"}, [], "part-1.parquet: expected numbers in the column 'zip', as in file"),
        ({"size": np.nan}, [], "a finite number in the column 'size', found nan in row 0"),
        ({"size": pd.Timestamp("2024-01-01")}, [], "numbers or text in the column 'size'"),
        ({}, ["--ignore", "town"], "a column 'town'"),
        ({"city": [f"{n}" for n in range(300)]}, [], "at most 200 different texts in the column"),
    ],
)
def test_what_cannot_be_an_input_is_refused_by_its_name(
    columns: dict[str, Any],
    more: list[str],
    message: str,
    tmp_path: Path,
    capsys: Any,
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(scale_columns, "_MOST_TEXTS", 200)
    write(tmp_path, 0)
    write(tmp_path, 1, **columns)
    write(tmp_path, 2)
    words = ["train", "--data", tmp_path / "part-*.parquet", *MORE, *more]
    assert message in refused(capsys, *words, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_most_frequent_texts_have_an_input_each() -> None:
    counts = Counter({f"{number:03d}": 1 + number // 120 for number in range(240)})
    (levels,) = Encoding.of(["a"], {"a": counts}).levels.values()
    assert levels is not None
    assert len(levels) == 100
    assert (levels[0], levels[-1]) == ("120", "219")
    encoding = Encoding({"a": None, "b": ("x", "y"), "c": None})
    found = encoding.inputs(np.array([[1.0, 2.0], [3.0, 4.0]]), {"b": np.array([1, -1])})
    np.testing.assert_array_equal(found, [[1, 0, 1, 2], [3, 0, 0, 4]])
    assert Encoding.from_json(Fields(json.loads(json.dumps(encoding.to_json())))) == encoding


def test_a_training_on_files_that_was_interrupted_goes_on_to_the_same_bits(
    tmp_path: Path, run: Path, monkeypatch: Any, capsys: Any
) -> None:
    words = ["train", "--data", run.parent / "part-*.parquet", *MORE, "--categorical", "zip"]
    words = [*map(str, words), "--quiet", "--checkpoint-every", "1", "--out", str(tmp_path / "run")]

    @contextlib.contextmanager
    def interrupting(*_: Any, **__: Any) -> Any:
        def on_epoch(record: Any) -> None:
            if record.epoch == 3:
                raise KeyboardInterrupt

        yield on_epoch

    with monkeypatch.context() as patched:
        patched.setattr(scale, "epochs_shown", interrupting)
        assert main(words) == 130
    assert "the same command goes on from" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main(words) == 0
    models = [one / "model.safetensors" for one in (tmp_path / "run", run)]
    bits = [load(path).model_.parameters.tobytes() for path in models]
    assert bits[0] == bits[1]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("option", [("--watch",), ("--patience", "2")])
def test_what_a_training_on_files_cannot_do_is_said(
    option: tuple[str, ...], run: Path, capsys: Any
) -> None:
    words = ["train", "--data", run.parent / "part-*.parquet", *MORE, *option]
    error = refused(capsys, *words)
    assert f"{option[0]} needs" in error
    assert "files that are read block by block" in error


def test_a_time_budget_ends_a_training_on_files(run: Path, tmp_path: Path) -> None:
    words = ["train", "--data", run.parent / "part-*.parquet", *MORE, "--categorical", "zip"]
    succeed(*words, "--time-budget", "0.2", "--quiet", "--out", tmp_path / "run")
    assert "accuracy" in record_of(tmp_path / "run")
