"""``cnn-core completion``: what a shell offers when Tab is pressed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cnn_core.cli.parser import COMMANDS
from command_line import refused, succeed

# Completes the lines that are read, the last word of each, and prints the words that are offered.
_COMPLETE = """\
while IFS= read -r line; do
  read -r -a COMP_WORDS <<< "$line"
  [[ $line == *" " ]] && COMP_WORDS+=("")
  COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
  $(complete -p cnn-core | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
  echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture(scope="module")
def script() -> str:
    return succeed("completion", "bash")


def offered(script: str, folder: Path, *lines: str) -> list[set[str]]:
    """Return the words that bash offers for the last word of each line."""
    ended = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\n{_COMPLETE}"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=60,
        check=True,
    )
    # Outside of a line that is typed, bash says that it cannot change how words are shown.
    assert [line for line in ended.stderr.splitlines() if "compopt" not in line] == []
    return [set(line.split()) for line in ended.stdout.splitlines()]


def test_bash_completes_commands_options_choices_and_files(script: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").touch()
    (tmp_path / "run").mkdir()
    found = offered(
        script,
        tmp_path,
        "cnn-core ",
        "cnn-core ex",
        "cnn-core train --pat",
        "cnn-core train --preset b",
        "cnn-core train --data ",
        "cnn-core train --data m",
        "cnn-core train --quiet --model ",
        "cnn-core evaluate ",
        "cnn-core predict run m",
        "cnn-core export run --onnx m",
        "cnn-core completion f",
    )
    assert set(COMMANDS) <= found[0]
    assert found[1:] == [
        {"export"},
        {"--patience"},
        {"balanced", "best"},
        {"fashion-mnist", "digits", "mine.csv", "run"},
        {"mine.csv"},
        {"tables", "mlp"},
        {"run"},
        {"mine.csv"},
        {"mine.csv"},
        {"fish"},
    ]


def test_every_option_of_every_command_is_offered(script: str, tmp_path: Path) -> None:
    lines = [f"cnn-core {name} --" for name in COMMANDS]
    for name, words in zip(COMMANDS, offered(script, tmp_path, *lines), strict=True):
        assert "--help" in words
        assert ("--json" in words) == (name != "completion")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_have_a_script_of_their_own(shell: str) -> None:
    script = succeed("completion", shell)
    assert "fashion-mnist digits" in script
    assert all(name in script for name in COMMANDS)


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "found 'tcsh'" in refused(capsys, "completion", "tcsh")
