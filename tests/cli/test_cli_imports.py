"""Nobody waits for what a command does not use."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cnn_core.cli.parser import COMMANDS

HEAVY = ("sklearn", "scipy", "matplotlib", "rich", "pandas", "pooch", "cnn_core.estimators.base")


def imported_by(*commands: list[str]) -> set[str]:
    """Return the modules that a process has imported after these commands."""
    code = (
        "import contextlib, io, sys\n"
        "from cnn_core.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    assert not any(map(main, {list(commands)!r}))\n"
        "print(*sys.modules)"
    )
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_what_is_said_of_the_program_needs_not_even_numpy(option):
    assert imported_by([option]).isdisjoint({"numpy", "cnn_core.model", *HEAVY})


def test_the_help_of_the_commands_needs_nothing_that_a_command_does():
    doing = {f"cnn_core.cli.{name.replace('-', '_')}" for name in COMMANDS}
    unused = {"cnn_core.model", "cnn_core.nn", "cnn_core.io.container", "cnn_core.cli.run_folder"}
    needed = imported_by(*([command, "--help"] for command in COMMANDS))
    assert needed & {*doing, *unused, *HEAVY} == set()


@pytest.mark.slow
def test_names_of_the_package_are_imported_when_they_are_asked_for():
    code = (
        "import sys, cnn_core\n"
        "assert 'numpy' not in sys.modules\n"
        "assert cnn_core.network.Dense is cnn_core.Dense\n"
        "assert not hasattr(cnn_core, 'nothing')\n"
        "assert set(cnn_core.__all__) <= set(dir(cnn_core))\n"
        "for name in cnn_core.__all__: getattr(cnn_core, name)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
