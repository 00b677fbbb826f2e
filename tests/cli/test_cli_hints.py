"""What is often mistyped is refused with what was likely meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnn_core.cli import main
from command_line import refused, succeed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table and a run on it."""
    path = tmp_path_factory.mktemp("hints")
    rows = [f"{n % 7},{n * n % 11},{'ab'[n % 2]},{'xy'[n % 2]}" for n in range(60)]
    (path / "t.csv").write_text("\n".join(["size,weight,kind,colour", *rows]))
    (path / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    options = ("--members", 2, "--max-steps", 10, "--no-plots", "--quiet")
    succeed("train", "--data", path / "t.csv", *options, "--out", path / "run")
    return path


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("--json info", "options follow the command: cnn-core info --json"),
        ("info --JSON", "did you mean --json?"),
        ("predict t.csv run", "first and then the file: cnn-core predict run t.csv"),
        ("evaluate run/run.json", "found a file; did you mean run?"),
        ("train --data t.csv --target 99", "as numbers they go from 1 to 4"),
        ("train --data t.csv --target colur", "did you mean 'colour'?"),
        ("evaluate run --target kind", "--target: the run predicts 'colour', found 'kind'"),
        ("train --data old.xls", "expected a spreadsheet, found one that cannot be read"),
    ],
)
def test_each_says_what_to_do(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    expected: str,
) -> None:
    monkeypatch.chdir(folder)
    error = refused(capsys, *typed.split())
    assert expected in error
    assert "\\n" not in error


def test_the_target_of_a_run_may_be_named_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert "measured" in succeed("evaluate", "run", "--target", "colour")
    assert "measured" in succeed("evaluate", "run", "--target", "4")


def test_an_option_of_networks_says_that_it_chooses_one(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert main(["train", "--data", "t.csv", "--epochs", "5"]) == 2
    said = capsys.readouterr().err
    assert "--epochs belongs to networks on rows of numbers, so that one of them is trained" in said
