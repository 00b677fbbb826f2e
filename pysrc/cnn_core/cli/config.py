"""``--config FILE``: options of a command by their long names, in a TOML file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnn_core.cli.commands import add_train
from cnn_core.cli.console import CommandError
from cnn_core.cli.image_options import toml_reader
from cnn_core.cli.parser import Parser
from cnn_core.cli.run_folder import CONFIG
from cnn_core.files import write_text

__all__ = ["as_toml", "expanded", "write"]

# Options that concern a single run, not its result.
_NOT_REPEATED = ("--out", "--resume", "--config", "--quiet", "--json", "--watch", "--port")
_BOOLEANS = {True: "true", False: "false"}


def expanded(argv: list[str], parser: Parser) -> list[str]:
    """Replace ``--config FILE`` by the options in the file.

    Options on the command line override the file.

    Parameters
    ----------
    argv : list of str
        The command and its arguments.
    parser : Parser
        That of the command.

    Raises
    ------
    CommandError
        If the file is not TOML, or has anything but options of the command.
    OSError
        If it cannot be read.
    """
    places = [at for at, text in enumerate(argv) if text.partition("=")[0] == "--config"]
    if not places:
        return argv
    if len(places) > 1:
        raise CommandError("--config: expected one file, found several")
    place = places[0]
    _, is_one, name = argv[place].partition("=")
    rest = argv[place + 1 :]
    if not is_one:
        if not rest:
            raise CommandError("--config: expected a file of TOML, found nothing")
        name, *rest = rest
    typed = [*argv[:place], *rest]
    command, *others = typed
    chosen = {id(parser.option(text)) for text in others if text.startswith("--")}
    options: list[str] = []
    for key, value in _read(name).items():
        option = f"--{key.replace('_', '-')}"
        action = parser.option(option)
        if action is None or option in ("--config", "--help"):
            likely = parser.likely(option)
            hint = f"; did you mean {likely.lstrip('-')}?" if likely else ""
            raise CommandError(f"{name}: {command} has no option {key!r}{hint}")
        if id(action) not in chosen:
            options += _words(f"{name}: {key}", option, action, value)
    return [command, *options, *others]


def _read(name: str) -> dict[str, Any]:
    reader = toml_reader("--config")
    try:
        values: dict[str, Any] = reader.loads(Path(name).read_text(encoding="utf-8"))
    except (reader.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{name}: expected TOML, found something else: {error}") from error
    return values


def _words(place: str, option: str, action: argparse.Action, value: Any) -> list[str]:
    """Return the command line words of a value."""
    if isinstance(value, bool) != (action.nargs == 0):
        expected = "true or false" if action.nargs == 0 else "a text or a number"
        raise CommandError(f"{place}: expected {expected}, found {value!r:.80}")
    if isinstance(value, bool):
        opposite = f"--no-{option[2:]}"
        return [option] if value else [opposite] * (opposite in action.option_strings)
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, (str, int, float)) for one in values):
        raise CommandError(f"{place}: expected a text, a number or a list, found {value!r:.80}")
    texts = [str(one) for one in values]
    if action.nargs != "+":
        texts = [",".join(texts)]
    return [f"{option}={text}" for text in texts]


def write(folder: Path, argv: list[str]) -> None:
    """Write the file that repeats a ``cnn-core train`` to its run folder."""
    parser = Parser(prog="cnn-core", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command")
    add_train(commands)
    write_text(folder / CONFIG, as_toml(argv, commands.choices["train"]))


def as_toml(argv: list[str], parser: Parser) -> str:
    """Return a file for ``--config`` that repeats a command; see `expanded`.

    Options for the output are left out.
    """
    found: dict[str, Any] = {}
    for option, words in _groups(argv[1:], parser):
        action = parser.option(option)
        assert action is not None
        name = action.option_strings[0]
        if name in _NOT_REPEATED:
            continue
        if action.nargs == 0:
            found[name] = _BOOLEANS[option == name]
        elif action.nargs == "+":
            found[name] = [*found.get(name, []), *map(_literal, words)]
        else:
            found[name] = _literal(words[0])
    lines = [
        f"{name[2:]} = {value if isinstance(value, str) else '[' + ', '.join(value) + ']'}\n"
        for name, value in found.items()
    ]
    return f"# cnn-core {argv[0]} --config run.toml\n{''.join(lines)}"


def _groups(words: list[str], parser: Parser) -> Iterator[tuple[str, list[str]]]:
    """Yield each option with the words that belong to it."""
    group: tuple[str, list[str]] | None = None
    for word in words:
        if parser.option(word) is not None:
            if group:
                yield group
            option, has_value, value = word.partition("=")
            group = (option, [value] if has_value else [])
        elif group:
            group[1].append(word)
    if group:
        yield group


def _literal(text: str) -> str:
    for kind in (int, float):
        try:
            if str(kind(text)) == text and text not in ("inf", "-inf", "nan"):
                return text
        except ValueError:
            continue
    quoted = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    # TOML cannot hold a file name that is not valid text; reading it fails.
    return quoted.encode("utf-8", "backslashreplace").decode()
