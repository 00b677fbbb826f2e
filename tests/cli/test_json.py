"""With ``--json`` standard output is one JSON document, or nothing where the command fails."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import short_race
from cnn_core.cli import article, tune, watch
from cnn_core.cli.output import print_document
from cnn_core.cli.parser import COMMANDS
from command_line import refused, succeed
from contenders.process import Outcome

FEW = ("--epochs", "2", "--no-plots")
MEMBERS = ("--members", "2", "--max-steps", "10", "--no-plots")
PRINTS_A_RESULT = sorted(COMMANDS.keys() - {"completion"})


@dataclass(frozen=True)
class Folder:
    """Runs and files that the commands take."""

    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A network's run on digits, and runs on a table with a class and with a number."""
    path = tmp_path_factory.mktemp("json")
    rng = np.random.default_rng(0)
    rows = [
        f"{n % 7},{'ab'[n % 2]},{n % 2 + rng.normal() / 9:.3f},{['öd', 'red'][n % 2]}"
        for n in range(60)
    ]
    (path / "t.csv").write_text("\n".join(["size,kind,weight,colour", *rows]), "utf-8")
    quiet = ("--quiet", "--no-plots")
    succeed("train", "--data", "digits", *FEW, "--quiet", "--out", path / "net")
    for target in ("colour", "weight"):
        options = ("--data", path / "t.csv", "--target", target, *MEMBERS, "--quiet")
        succeed("train", *options, *quiet, "--out", path / target)
    return Folder(path)


def document(*arguments: object) -> Any:
    """Return the document that a command prints, in strict JSON."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(succeed(*arguments, "--json"), parse_constant=refuse)


def test_train_a_network(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document("train", "--data", "digits", *FEW, "--out", tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert found["run"] == str(tmp_path / "run")
    assert set(found["files"]) == {path.name for path in (tmp_path / "run").iterdir()}
    assert found["result"] == record["result"]
    assert found["settings"] == record["settings"]
    assert found["interrupted"] is False
    said = capsys.readouterr().err
    assert "training  preset fast" in said or "data      digits" in said
    assert "epoch 2/2" in said
    # It belongs to one run alone, not to what is learned.
    assert "json" not in (tmp_path / "run" / "run.toml").read_text()
    again = document("train", "--resume", tmp_path / "run")
    assert again["was_complete"] is True


@pytest.mark.parametrize(("target", "measure"), [("colour", "accuracy"), ("weight", "r2")])
def test_train_and_evaluate_on_a_table(
    folder: Folder, tmp_path: Path, target: str, measure: str
) -> None:
    data = ("--data", folder / "t.csv", "--target", target)
    found = document("train", *data, *MEMBERS, "--out", tmp_path / "run")
    evaluated = document("evaluate", tmp_path / "run")
    assert evaluated["samples"] == 12
    assert evaluated[measure] == found["result"][f"test_{measure}"]
    names = [one["name"] for one in evaluated.get("classes", [])]
    assert names == (["red", "öd"] if target == "colour" else [])


def test_evaluate_gives_the_measures_of_the_report(folder: Folder) -> None:
    found, text = document("evaluate", folder / "net"), succeed("evaluate", folder / "net")
    assert f"accuracy  {found['accuracy']:.4f}" in text
    for one in found["classes"]:
        numbers = (f"{one[name]:.4f}" for name in ("precision", "recall", "f1"))
        row = [one["name"], *numbers, str(one["samples"])]
        assert row in [line.split() for line in text.splitlines()]
    assert sum(map(sum, found["confusion"])) == found["samples"]


def test_predict(folder: Folder, tmp_path: Path) -> None:
    found = document("predict", folder / "colour", folder / "t.csv")["predictions"]
    assert len(found) == 60
    assert found[3]["row"]["kind"] == "b"
    assert math.isclose(sum(found[3]["outputs"].values()), 1, abs_tol=1e-6)
    assert found[3]["predicted"] == max(found[3]["outputs"], key=found[3]["outputs"].get)
    numbers = ("predict", folder / "weight", folder / "t.csv")
    first = document(*numbers)["predictions"][0]
    assert isinstance(first["predicted"], float)
    np.save(tmp_path / "x.npy", np.zeros((2, 8, 8), np.uint8))
    (zero, one) = document("predict", folder / "net", tmp_path / "x.npy")["predictions"]
    assert (zero["sample"], one["sample"]) == (0, 1)
    out = tmp_path / "p.csv"
    assert document(*numbers, "--out", out) == {"path": str(out), "count": 60}
    assert out.read_text("utf-8").startswith("size,kind,weight,colour,predicted")


def test_report_export_verify_data_and_find_lr(folder: Folder, tmp_path: Path) -> None:
    page, header = tmp_path / "page.html", tmp_path / "m.h"
    assert document("report", folder / "net", "--out", page) == {"path": str(page)}
    assert document("export", folder / "net", "--c", header)["c"]["path"] == str(header)
    same = document("verify", folder / "net", "--quiet")
    assert same["same"] is True
    assert same["weights_then"] == same["weights_now"]
    data = document("data", "digits")
    assert data["x_train"]["shape"][1:] == [8, 8]
    assert sum(one["training"] for one in data["classes"]) == data["x_train"]["shape"][0]
    rates = document("find-lr", "--data", "digits", "--no-plots", "--out", tmp_path / "rates")
    assert rates["suggestion"] in rates["rates"] or rates["suggestion"] > 0
    assert len(rates["losses"]) == len(rates["rates"])


def test_tune_and_article(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "learning_rate_init": 0.1,
        "units": 8,
        "layers": 1,
        "dropout": 0.0,
        "weight_decay": 0.1,
    }
    tried = [{**settings, "accuracy": 0.5}, {**settings, "accuracy": 0.75}]
    monkeypatch.setattr(tune, "_study", lambda *_: (tried, False))
    found = document("tune", "--data", "digits", "--out", tmp_path / "tuned")
    assert found["best"]["accuracy"] == 0.75
    assert len(found["tried"]) == 2
    monkeypatch.setattr(article, "IMAGES", 50)
    one = ("article", "--epochs", "1", "--backend", "numpy", "--out", tmp_path / "article")
    found = document(*one, "--quiet")
    assert [result["rule"] for result in found["results"]] == ["published rule", "exact gradient"]


def test_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(job: Any, cores: Any) -> Outcome:
        return Outcome(job.contender, job.work, None, [2.0], [])

    monkeypatch.setattr(short_race, "measure", measure)
    monkeypatch.setattr(short_race, "is_installed", lambda name: name in ("cython", "numpy"))
    found = document("bench", "--samples", "40", "--rounds", "1", "--batch-size", "16")
    (batch,) = found["batches"]
    assert [one["epochs"] for one in batch["contenders"]] == [[2.0], [2.0]]
    assert batch["contenders"][0]["row"] is None


def test_watch_gives_its_address(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "time", SimpleNamespace(sleep=interrupted))
    found = document("watch", folder / "colour")
    assert found["address"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("command", PRINTS_A_RESULT)
def test_errors_are_the_same_line_and_nothing_goes_to_standard_output(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = "--no-such-option"
    with_json = refused(capsys, command, "--json", wrong)
    assert with_json == refused(capsys, command, wrong)


def test_an_error_of_the_work_itself(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    missing = folder / "nothing.csv"
    assert "no such file" in refused(
        capsys, "evaluate", folder / "net", "--data", missing, "--json"
    )


def test_what_json_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    values = {
        "array": np.array([[1.5, np.nan], [np.inf, 2]]),
        "number": np.int64(3),
        "flag": np.True_,
        "path": Path("a/b"),
        "text": "\x1b[31m ü",
    }
    print_document(values)
    text = capsys.readouterr().out
    assert text.isascii()
    assert json.loads(text) == {
        "array": [[1.5, None], [None, 2.0]],
        "number": 3,
        "flag": True,
        "path": "a/b",
        "text": "\x1b[31m ü",
    }
