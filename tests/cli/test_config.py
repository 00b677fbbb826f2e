"""``cnn-core train --config FILE``: options in a file, and the file that each run folder holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnn_core.cli.commands import add_train
from cnn_core.cli.config import as_toml, expanded
from cnn_core.cli.parser import Parser
from command_line import record_of, refused, succeed

TINY = ("--members", "2", "--max-steps", "20", "--quiet", "--no-plots")


def parser() -> Parser:
    """Return that of ``cnn-core train``."""
    commands = Parser(prog="cnn-core").add_subparsers()
    add_train(commands)
    return commands.choices["train"]


def saved(tmp_path: Path, text: str) -> str:
    path = tmp_path / "given.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "a table.csv"
    rows = "".join(f"{k % 2 + k / 100},{k},{'ab'[k % 2]}\n" for k in range(60))
    path.write_text("size,number,kind\n" + rows)
    return path


@pytest.mark.parametrize("model", ["tables", "mlp"])
def test_the_file_of_a_run_repeats_it(table: Path, tmp_path: Path, model: str) -> None:
    own = {"tables": TINY, "mlp": ("--hidden", "3,2", "--epochs", "2", "--quiet", "--no-plots")}
    first, again = tmp_path / "first", tmp_path / "again"
    options = ("--data", table, "--ignore", "number", "--seed", "7", *own[model])
    succeed("train", *options, "--out", first)
    succeed("train", "--config", first / "run.toml", "--out", again, "--quiet")
    assert record_of(first)["settings"] == record_of(again)["settings"]
    assert (first / "run.toml").read_text() == (again / "run.toml").read_text()
    weights = [record_of(run)["result"]["weights_sha256"] for run in (first, again)]
    assert weights[0] == weights[1]


def test_options_by_their_names_become_what_would_be_typed(tmp_path: Path) -> None:
    text = (
        'data = "x.csv"\nhidden = [512, 256]\nlearning_rate = 1e-3\nignore = ["a b", "-c"]\n'
        'header = false\nno-plots = true\nquiet = false\ntarget = "ä"\n'
    )
    typed = ["train", "--epochs", "3", "--config", saved(tmp_path, text), "--ignore", "d"]
    found = expanded(typed, parser())
    assert found == [
        *("train", "--data=x.csv", "--hidden=512,256", "--learning-rate=0.001", "--no-header"),
        *("--no-plots", "--target=ä", "--epochs", "3", "--ignore", "d"),
    ]
    assert parser().parse_args(found[1:]).ignore == ["d"]


@pytest.mark.parametrize(
    "words",
    [
        ["--data", 'a "b"\\\n\x7fé😀.csv', "--no-header", "--seed=7", "--learning-rate", "1e-3"],
        ["--ignore", "a", "b", "--ignore=-c", "--header", "--target=-1", "--dropout", "0.25"],
        ["--target", "007", "--separator", ";", "--no-plots", "--checkpoint-every", "30s"],
    ],
)
def test_what_is_written_is_read_as_the_same_options(tmp_path: Path, words: list[str]) -> None:
    text = as_toml(["train", *words, "--out", "there", "--quiet"], parser())
    found = expanded(["train", "--config=" + saved(tmp_path, text)], parser())
    assert parser().parse_args(found[1:]) == parser().parse_args(words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3\n", "train has no option 'epoch'; did you mean epochs?"),
        ("[train]\nepochs = 3\n", "train has no option 'train'"),
        ("config = 'other.toml'\n", "train has no option 'config'"),
        ("epochs = true\n", "epochs: expected a text or a number, found True"),
        ("quiet = 1\n", "quiet: expected true or false, found 1"),
        ("seed = 2024-01-31\n", "seed: expected a text, a number or a list, found"),
        ("epochs = 2.5\n", "--epochs: expected a whole number of at least 1, found '2.5'"),
        ("epochs = \n", "given.toml: expected TOML, found something else"),
    ],
)
def test_what_is_no_option_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    assert message in refused(capsys, "train", "--config", saved(tmp_path, text))


def test_a_missing_or_second_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "none.toml" in refused(capsys, "train", "--config", tmp_path / "none.toml")
    assert "expected a file of TOML" in refused(capsys, "train", "--config")
    assert "found several" in refused(capsys, "train", "--config", "a", "--config=b")
