"""``cnn-core export``: files that give the classes of the run, from samples as they were read."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from command_line import refused, succeed

COLORS = ("blue", "red")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with columns far from 0, which the run standardizes."""
    path = tmp_path_factory.mktemp("export") / "flowers.csv"
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    rows = [
        f"{1000 + 3 * label + rng.normal():.3f},{0.001 * rng.normal():.6f},{COLORS[label]}"
        for label in y
    ]
    path.write_text("\n".join(["length,width,colour", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def run(table: Path) -> Path:
    out = table.parent / "run"
    options = ["--epochs", "30", "--seed", "0", "--no-plots", "--quiet"]
    succeed("train", "--data", str(table), "--out", str(out), *options)
    return out


def test_each_format_takes_samples_as_they_were_read(run: Path, tmp_path: Path) -> None:
    names = {"onnx": "m.onnx", "c": "m.h", "python": "m.py", "safetensors": "m.safetensors"}
    options = [part for name, file in names.items() for part in (f"--{name}", str(tmp_path / file))]
    said = succeed("export", str(run), *options)
    assert said.count("agrees on 16 rows (yours)") == 4
    assert said.count("the same label in 100.00% of them") == 4
    assert "RAM, work and sample" in said
    assert "net.load_state_dict(" in said
    row = np.array([[1003.0, 0.0], [1000.0, 0.0]])
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    labels, probabilities = session.run(None, {"X": row})
    assert list(labels) == ["red", "blue"]
    spec = importlib.util.spec_from_file_location("m", tmp_path / "m.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert [module.predict(one) for one in row.tolist()] == ["red", "blue"]
    np.testing.assert_allclose(module.predict_proba([1003.0, 0.0]), probabilities[0], atol=1e-6)
    assert '"blue"' in (tmp_path / "m.h").read_text()


def test_json_and_int8(run: Path, tmp_path: Path) -> None:
    said = succeed("export", str(run), "--c", str(tmp_path / "m.h"), "--int8", "--json")
    found = json.loads(said)["c"]
    assert found["path"] == str(tmp_path / "m.h")
    assert found["same_labels"] == 1
    assert 1e-6 < found["difference"] < 0.1


@pytest.mark.parametrize("ending", ["numbers", "classes"])
def test_a_run_on_a_table_of_any_columns(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    run, target = tmp_path / "run", {"numbers": "length", "classes": "colour"}[ending]
    options = ["--members", "2", "--max-steps", "20", "--no-plots", "--quiet"]
    succeed("train", "--data", table, "--target", target, "--out", run, *options)
    onnx, torch = ("--onnx", tmp_path / "m.onnx"), ("--safetensors", tmp_path / "m.safetensors")
    said = refused(capsys, "export", run, *onnx, *torch)
    assert "is a run of --model tables; write it by --onnx, --c or --python" in said
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    said = succeed("export", run, *onnx, "--python", tmp_path / "m.py", "--c", tmp_path / "m.h")
    assert said.count("agrees on 16 rows (yours)") == 3


def test_an_nn_and_bytes_of_images(tmp_path: Path) -> None:
    options = ["--data", "digits", "--preset", "nn", "--epochs", "2", "--no-plots", "--quiet"]
    succeed("train", *options, "--out", str(tmp_path / "run"))
    said = succeed("export", str(tmp_path / "run"), "--onnx", str(tmp_path / "m.onnx"))
    assert "the same label in 100.00% of them" in said


def test_wrong_use(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--onnx, --c, --python, --safetensors" in refused(capsys, "export", run)
    said = refused(capsys, "export", run, "--python", tmp_path / "m.py", "--int8")
    assert "--int8 belongs to --c" in said
    said = refused(capsys, "export", run, "--onnx", tmp_path / "m.onnx", "--tolerance", "1e-30")
    assert "no file was written" in said
    assert not list(tmp_path.iterdir())


def test_rows_are_generated_where_those_of_the_run_are_gone(
    run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = table.rename(table.with_name("hidden.csv"))
    try:
        said = succeed("export", str(run), "--python", str(tmp_path / "m.py"))
    finally:
        hidden.rename(table)
    assert "agrees on 100 rows (generated)" in said
    assert "compared on generated rows, since" in capsys.readouterr().err
