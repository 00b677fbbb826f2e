"""The commands and the argument parser; it does not import the library."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from cnn_core.cli.console import CommandError, show

if TYPE_CHECKING:
    Subcommands: TypeAlias = "argparse._SubParsersAction[Parser]"

__all__ = ["COMMANDS", "Parser", "Subcommands", "add_command", "no_choice"]

# A line of help for each.
COMMANDS = {
    "train": "train a network, by default on Fashion-MNIST",
    "find-lr": "try learning rates for a network, and suggest one",
    "tune": "try settings of a network side by side, and name the best",
    "evaluate": "evaluate the model of a run folder",
    "report": "write the page of a run folder again: report.html",
    "watch": "show a run in the browser, live while it is trained",
    "predict": "predict the class or the number of each row or image of a file",
    "export": "write the model of a run folder for other programs: ONNX, C, Python, PyTorch",
    "verify": "train a run again and say whether the bits are the same",
    "article": "repeat the published experiment on 5,000 images",
    "data": "find or fetch a data set, and show what is in it",
    "info": "show what computes: backend, ISA level, versions, paths",
    "bench": "race cnn_core and its peers on this machine",
    "completion": "print a script by which a shell completes what is typed",
}


def add_command(
    commands: Subcommands, name: str, *, has_result: bool = True, **options: Any
) -> Parser:
    """Add a command to the parser, and return the command's parser.

    Parameters
    ----------
    commands : action of argparse
    name : str
    has_result : bool
        Whether it prints a result, and so has ``--json``.
    **options
        Those of `Parser`.
    """
    parser = commands.add_parser(name, help=COMMANDS[name], allow_abbrev=False, **options)
    if has_result:
        parser.add_argument(
            "--json",
            action="store_true",
            help="the result as JSON on standard output, for programs",
        )
    return parser


class _Help(argparse.HelpFormatter):
    """Wraps paragraphs of text, but not indented ones, which are tables."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            paragraph if paragraph.startswith("  ") else textwrap.fill(paragraph, width)
            for paragraph in text.strip("\n").split("\n\n")
        )


class Parser(argparse.ArgumentParser):
    """A parser whose errors are exceptions of one line; see `cnn_core.cli.main`.

    Parameters
    ----------
    late_epilog : callable, optional
        Returns the text below the help; called only when the help is printed.
    **options
        Those of `argparse.ArgumentParser`.
    """

    def __init__(self, *, late_epilog: Callable[[], str] | None = None, **options: Any) -> None:
        super().__init__(formatter_class=_Help, **options)
        self._late_epilog = late_epilog

    def format_help(self) -> str:
        """Return the help."""
        if self._late_epilog is not None:
            self.epilog = self._late_epilog()
        return super().format_help()

    def _print_message(self, message: str, file: Any = None) -> None:
        # This prints the help or the version; argparse would ignore errors.
        show(message, end="")

    def error(self, message: str) -> NoReturn:
        """Raise an error about the arguments.

        Raises
        ------
        CommandError
            Always.
        """
        raise CommandError(f"{message} (see {self.prog} --help)")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is not among the choices, and suggest the likely one."""
        choices = [str(choice) for choice in action.choices or ()]
        if not choices or value in choices:
            return
        raise argparse.ArgumentError(action, no_choice(value, choices))

    def refuse(self, unknown: list[str]) -> NoReturn:
        """Raise an error about unknown arguments, with suggestions.

        Raises
        ------
        CommandError
            Always.
        """
        likely = self.likely(unknown[0])
        hint = f"; did you mean {likely}?" if likely else ""
        if likely == unknown[0].partition("=")[0]:
            # A known option was typed before the command.
            hint = f"; options follow the command: {self.prog} {unknown[0]}"
        self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")

    def option(self, text: str) -> argparse.Action | None:
        """Return the action of an option such as ``--name`` or ``--name=value``, if known."""
        return self._option_string_actions.get(text.partition("=")[0])

    def likely(self, text: str) -> str | None:
        """Return the likely option for an unknown one."""
        options = self._option_string_actions
        if text.startswith("-"):
            return _nearest(text.partition("=")[0], list(options))
        takes_data = "--data" in options and options["--data"].choices is None
        return f"--data {text}" if takes_data else None


def no_choice(value: str, choices: Sequence[str]) -> str:
    """Return the error text for a value that is not among the choices."""
    *others, last = choices
    expected = f"{', '.join(others)} or {last}" if others else last
    near = get_close_matches(str(value), choices, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"expected {expected}, found {value!r}{hint}"


def _nearest(typed: str, options: list[str]) -> str | None:
    """Return the likely option, by its start, its initials or its spelling."""
    words = {option.strip("-"): option for option in options if option.startswith("--")}
    text = typed.strip("-").lower()
    for name, option in words.items():
        initials = "".join(word[0] for word in name.split("-"))
        if text and (name.startswith(text) or (len(text) > 1 and text == initials)):
            return option
    alike = get_close_matches(text, list(words), n=1)
    return words[alike[0]] if alike else None
