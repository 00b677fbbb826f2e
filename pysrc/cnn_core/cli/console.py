"""Messages of the command line: errors, notes and missing packages.

Results go to standard output, messages to standard error. Both may hold names from files, so
control characters are replaced if they go to a terminal.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

__all__ = [
    "INSTALL_HINT",
    "CommandError",
    "error_text",
    "note",
    "one_line",
    "require",
    "say",
    "short_path",
    "show",
    "show_progress",
]

INSTALL_HINT = 'pip install "cnn-core[app]"'

# Control characters except line feed, and characters that change the text direction.
_OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_LINE_BREAKS = re.compile(r"[\n\u2028\u2029]")

_PACKAGES = {
    "rich": "rich",
    "jinja2": "jinja2",
    "markupsafe": "jinja2",
    "matplotlib": "matplotlib",
    "sklearn": "scikit-learn",
    "polars": "polars",
    "shtab": "shtab",
}


class CommandError(ValueError):
    """A command cannot run with its arguments; the message says why."""


def say(kind: str, text: str) -> None:
    """Print ``cnn-core: kind: text`` to standard error."""
    show_progress(f"cnn-core: {kind}: {text}")


def note(text: str) -> None:
    """Print a note for the user to standard error."""
    say("note", text)


def show_progress(line: str) -> None:
    """Print a line to standard error; ignore a closed stream."""
    with suppress(OSError):
        print(_shown_by(sys.stderr, line), file=sys.stderr, flush=True)


def show(text: str, end: str = "\n") -> None:
    """Print something to standard output, at once.

    Parameters
    ----------
    text : str
    end : str
        Text printed after it.

    Raises
    ------
    OSError
        If it cannot be printed; standard output is named as the file.
    """
    try:
        print(_shown_by(sys.stdout, text), end=end, flush=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


def one_line(name: object) -> str:
    """Return a name from a file for a report, without line ends and control characters."""
    return _LINE_BREAKS.sub(_code, _OBEYED.sub(_code, str(name)))


def _shown_by(stream: TextIO, text: str) -> str:
    """Return a text unchanged for a file or a pipe, else with control characters escaped."""
    return _OBEYED.sub(_code, text) if stream.isatty() else text


def _code(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]


def error_text(error: BaseException) -> str:
    """Return the message of an exception, without Python's numbers and quotes."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    if isinstance(error, ModuleNotFoundError) and error.name in _PACKAGES:
        return f"cnn-core needs {_PACKAGES[error.name]}, which is not installed: {INSTALL_HINT}"
    return str(error) or type(error).__name__


def require(command: str, *modules: str) -> None:
    """Check that packages of the extra ``cnn-core[app]`` are installed before work begins.

    Parameters
    ----------
    command : str
        The command that needs them, for the message.
    *modules : {"rich", "jinja2", "matplotlib", "sklearn", "shtab"}
        Names of the modules.

    Raises
    ------
    CommandError
        If one of them is missing.
    """
    missing = [_PACKAGES[name] for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise CommandError(
            f"cnn-core {command} needs {_enumerated(missing)}, which {_are(missing)} not "
            f"installed: {INSTALL_HINT}"
        )


def short_path(path: str | Path) -> str:
    """Return a path relative to the current folder, if it is below it."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except (ValueError, OSError, RuntimeError):
        # A RuntimeError comes from a link to itself.
        return str(path)


def _enumerated(things: list[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    *first, last = things
    return f"{', '.join(first)} and {last}" if first else last


def _are(things: list[str]) -> str:
    return "is" if len(things) == 1 else "are"
