"""The commands, and the parser of what is typed; it imports nothing that computes."""

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
    """Add a command to the parser, and return its own one.

    Parameters
    ----------
    commands : action of argparse
    name : str
    has_result : bool
        Whether what it prints is a result, which programs can have as JSON.
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
    """Fills paragraphs of text, and leaves those alone that are indented: they are tables."""

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
        Gives the text below the help, when it is asked for and not before.
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
        # What is printed is the help or the version; argparse would ignore that it cannot be.
        show(message, end="")

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the arguments.

        Raises
        ------
        CommandError
            Always.
        """
        raise CommandError(f"{message} (see {self.prog} --help)")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is not among the choices, and say which was likely meant."""
        choices = [str(choice) for choice in action.choices or ()]
        if not choices or value in choices:
            return
        raise argparse.ArgumentError(action, no_choice(value, choices))

    def refuse(self, unknown: list[str]) -> NoReturn:
        """Raise what is wrong with arguments that it does not know, and what was likely meant.

        Raises
        ------
        CommandError
            Always.
        """
        likely = self.likely(unknown[0])
        hint = f"; did you mean {likely}?" if likely else ""
        if likely == unknown[0].partition("=")[0]:
            # It is known, and so it was typed before the command.
            hint = f"; options follow the command: {self.prog} {unknown[0]}"
        self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")

    def option(self, text: str) -> argparse.Action | None:
        """Return what belongs to an option such as ``--name`` or ``--name=value``, if known."""
        return self._option_string_actions.get(text.partition("=")[0])

    def likely(self, text: str) -> str | None:
        """Return what was likely meant by an option that is unknown."""
        options = self._option_string_actions
        if text.startswith("-"):
            return _nearest(text.partition("=")[0], list(options))
        takes_data = "--data" in options and options["--data"].choices is None
        return f"--data {text}" if takes_data else None


def no_choice(value: str, choices: Sequence[str]) -> str:
    """Return what is wrong with a value that is not among the choices."""
    *others, last = choices
    expected = f"{', '.join(others)} or {last}" if others else last
    near = get_close_matches(str(value), choices, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"expected {expected}, found {value!r}{hint}"


def _nearest(typed: str, options: list[str]) -> str | None:
    """Return the option that was likely meant: by its start, its initials or its spelling."""
    words = {option.strip("-"): option for option in options if option.startswith("--")}
    text = typed.strip("-").lower()
    for name, option in words.items():
        initials = "".join(word[0] for word in name.split("-"))
        if text and (name.startswith(text) or (len(text) > 1 and text == initials)):
            return option
    alike = get_close_matches(text, list(words), n=1)
    return words[alike[0]] if alike else None
