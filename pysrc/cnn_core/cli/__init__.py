"""The command line: ``cnn-core``, also ``python -m cnn_core``.

Each command is a module with a function ``run``; its arguments are defined in ``commands``. The
modules import only NumPy; packages of the extra ``cnn-core[app]`` are imported where they are used.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, TextIO

from cnn_core._version import __version__
from cnn_core.cli.console import CommandError, error_text, note, say
from cnn_core.cli.parser import COMMANDS, Parser, add_command

__all__ = ["main", "parsers"]

_EXPECTED = (ValueError, OSError, ImportError, FloatingPointError, MemoryError)

# Commands whose modules have another name.
_MODULES = {"report": "html_report"}

DESCRIPTION = """\
Dense neural networks on the CPU: train one on Fashion-MNIST or on your own data, look at what it
learned, and use it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit code: 0 if all went well, 1 if ``bench`` found the backends to disagree, ``verify``
        other bits or ``info`` a backend that cannot be loaded, 2 for wrong use or bad input, 130
        after Ctrl-C, 141 if the reader of the output went away.
    """
    _replace_closed_streams()
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        except SystemExit as end:
            return int(end.code or 0)
        except KeyboardInterrupt as interruption:
            say("interrupted", str(interruption) or "the command did not come to its end")
            return 130
        except BrokenPipeError:
            return 141
        except _EXPECTED as error:
            say("error", error_text(error))
            return 2
        finally:
            for stream in (sys.stdout, sys.stderr):
                if not _can_be_flushed(stream):
                    _forget(stream)


def _run(argv: list[str]) -> int:
    argv = _as_options(argv)
    # An unknown command is refused here, not by argparse, to suggest the likely one.
    command = next((text for text in argv if not text.startswith("-")), None)
    if command is not None and command not in COMMANDS:
        raise CommandError(_unknown_command(command, list(COMMANDS)))
    parser, commands = parsers(() if command is None else (command,))
    has_config = any(text.startswith("--config") for text in argv)
    if has_config and command is not None and commands[command].option("--config"):
        from cnn_core.cli.config import expanded

        argv = expanded(argv, commands[command])
    arguments, unknown = parser.parse_known_args(argv, argparse.Namespace(argv=argv))
    if unknown:
        commands.get(arguments.command, parser).refuse(unknown)
    if arguments.command is None:
        parser.print_help()
        return 0
    name = _MODULES.get(arguments.command, arguments.command.replace("-", "_"))
    module = importlib.import_module(f"cnn_core.cli.{name}")
    code: int = module.run(arguments)
    return code


def _as_options(argv: list[str]) -> list[str]:
    """Convert ``help``, ``help COMMAND`` and ``version`` to the corresponding options."""
    if argv[:1] == ["help"]:
        return [*argv[1:2], "--help"]
    return ["--version"] if argv == ["version"] else argv


def parsers(with_arguments: Collection[str]) -> tuple[Parser, dict[str, Parser]]:
    """Return the parser and those of the commands, by their names.

    Parameters
    ----------
    with_arguments : collection of str
        Commands whose parsers get their arguments; if empty, not even NumPy is imported.
    """
    parser = Parser(prog="cnn-core", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"cnn-core {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name in COMMANDS:
        if name in with_arguments:
            from cnn_core.cli.commands import ADD

            ADD[name](commands)
        else:
            add_command(commands, name)
    return parser, dict(commands.choices)


def _unknown_command(command: str, names: list[str]) -> str:
    from difflib import get_close_matches

    likely = get_close_matches(command, names, n=1)
    hint = f"did you mean {likely[0]!r}?" if likely else f"the commands are {', '.join(names)}"
    return f"there is no command {command!r}; {hint}"


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    note(str(message))


# Streams that are closed, full, or read by nobody


def _replace_closed_streams() -> None:
    """Replace streams that were closed before this process began.

    Standard output carries the result, so writing to it must fail as in any program. Standard error
    may get lost.
    """
    if sys.stdout is None:
        sys.stdout = _null_stream(1, os.O_RDONLY)
    if sys.stderr is None:
        sys.stderr = _null_stream(2, os.O_WRONLY)


def _null_stream(descriptor: int, mode: int) -> TextIO:
    """Open the null device under the descriptor of the stream, unless that is in use."""
    opened = os.open(os.devnull, mode)
    try:
        os.fstat(descriptor)
    except OSError:
        os.dup2(opened, descriptor)
    return open(opened, "w", encoding="utf-8")


def _can_be_flushed(stream: TextIO) -> bool:
    try:
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def _forget(stream: TextIO) -> None:
    """Prevent an error of Python when it flushes the stream at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
