"""The command line: ``cnn-core``, also ``python -m cnn_core``.

Each command is a module with ``add_parser`` and ``run``. Importing them imports nothing beyond
NumPy: the packages of the extra ``cnn-core[app]`` are imported by what uses them.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cnn_core._version import __version__
from cnn_core.cli.arguments import Parser
from cnn_core.cli.console import CommandError, error_text, note, say

__all__ = ["main"]

_EXPECTED = (ValueError, OSError, ImportError, FloatingPointError, MemoryError)

DESCRIPTION = """\
Dense neural networks on the CPU: train one on Fashion-MNIST or on your own data, look at what it
learned, and use it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit code: 0 if all went well, 1 if ``bench`` found the backends to disagree, 2 for
        wrong use or bad input, 130 after Ctrl-C, 141 if the reader of the output went away.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = _run(list(sys.argv[1:] if argv is None else argv))
            sys.stdout.flush()
        except SystemExit as end:
            return int(end.code or 0)
        except KeyboardInterrupt:
            say("interrupted", "nothing was written")
            return 130
        except BrokenPipeError:
            _forget_stdout()
            return 141
        except _EXPECTED as error:
            say("error", error_text(error))
            return 2
        return code


def _run(argv: list[str]) -> int:
    parser, names = _parser()
    # An unknown command is refused here and not by argparse, so that the likely one can be named.
    command = next((text for text in argv if not text.startswith("-")), None)
    if command is not None and command not in names:
        raise CommandError(_unknown_command(command, names))
    arguments = parser.parse_args(argv, argparse.Namespace(argv=argv))
    if arguments.command is None:
        parser.print_help()
        return 0
    code: int = arguments.run(arguments)
    return code


def _parser() -> tuple[Parser, list[str]]:
    """Return the parser and the names of the commands."""
    from cnn_core.cli import article, bench, data, evaluate, info, train

    parser = Parser(prog="cnn-core", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"cnn-core {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for module in (train, article, evaluate, data, info, bench):
        module.add_parser(commands)
    return parser, list(commands.choices)


def _unknown_command(command: str, names: list[str]) -> str:
    from difflib import get_close_matches

    likely = get_close_matches(command, names, n=1)
    hint = f"did you mean {likely[0]!r}?" if likely else f"the commands are {', '.join(names)}"
    return f"there is no command {command!r}; {hint}"


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    note(str(message))


def _forget_stdout() -> None:
    """Keep Python from complaining when it flushes standard output at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
