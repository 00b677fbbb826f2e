"""``cnn-core completion``: a shell script that completes commands, options and files."""

from __future__ import annotations

import argparse
from typing import Any

from cnn_core.cli import parsers
from cnn_core.cli.console import require, show
from cnn_core.cli.options import preset_names
from cnn_core.cli.parser import COMMANDS, Parser

__all__ = ["run"]

# Names of data sets, in addition to files; the function's name tells the shell that words may be
# files.
_DATA_SETS = "fashion-mnist digits"
_DATA: dict[str, Any] = {
    "bash": "_cnn_core_data_file",
    "zsh": "_cnn_core_data_file",
    "fish": "(_cnn_core_data_file)",
    "preamble": {
        "bash": "_cnn_core_data_file() {\n"
        f'  compgen -W "{_DATA_SETS}" -- "$1"\n  compgen -f -- "$1"\n}}',
        "zsh": "_cnn_core_data_file() {\n"
        f"  _alternative 'sets:data set:({_DATA_SETS})' 'files:file:_files'\n}}",
        "fish": "function _cnn_core_data_file\n"
        f"  printf '%s\\n' {_DATA_SETS}\n  __fish_complete_path (commandline -ct)\nend",
    },
}


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code is 0."""
    require("completion", "shtab")
    import shtab

    parser, commands = parsers(COMMANDS)
    kinds = {
        "FILE": shtab.FILE,
        "FILE.toml": shtab.FILE,
        "DIR": shtab.DIRECTORY,
        "RUN": shtab.DIRECTORY,
        "DATA": _DATA,
    }
    for name, command in commands.items():
        # A shell shows one line for each.
        command.description = COMMANDS[name]
        _describe_values(command, kinds)
    show(shtab.complete(parser, args.shell))
    return 0


def _describe_values(parser: Parser, kinds: dict[str, Any]) -> None:
    """Set the kind of values of arguments that the parser does not know."""
    for action in parser._actions:
        if action.metavar in kinds and not action.choices:
            action.complete = kinds[str(action.metavar)]  # type: ignore[attr-defined]
        elif action.dest == "preset":
            action.choices = preset_names()
