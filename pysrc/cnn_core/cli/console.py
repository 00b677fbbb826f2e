"""What the command line says beside its results: errors, notes, and which package is missing.

Results go to standard output; all this goes to standard error.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

__all__ = ["INSTALL_HINT", "CommandError", "error_text", "note", "require", "say", "short_path"]

INSTALL_HINT = 'pip install "cnn-core[app]"'

_PACKAGES = {"rich": "rich", "matplotlib": "matplotlib", "sklearn": "scikit-learn"}


class CommandError(ValueError):
    """A command that cannot be carried out as it was typed; the message says why."""


def say(kind: str, text: str) -> None:
    """Print ``cnn-core: kind: text`` to standard error."""
    print(f"cnn-core: {kind}: {text}", file=sys.stderr, flush=True)


def note(text: str) -> None:
    """Print something that the user should know, to standard error."""
    say("note", text)


def error_text(error: BaseException) -> str:
    """Return what an exception has to say, without Python's numbers and quotes."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    return str(error) or type(error).__name__


def require(command: str, *modules: str) -> None:
    """Make sure that packages of the extra ``cnn-core[app]`` are there before work begins.

    Parameters
    ----------
    command : str
        The command that needs them, for the message.
    *modules : {"rich", "matplotlib", "sklearn"}
        Names by which they are imported.

    Raises
    ------
    CommandError
        If one of them is missing.
    """
    missing = [_PACKAGES[name] for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise CommandError(
            f"cnn-core {command} needs {' and '.join(missing)}, which {_are(missing)} not "
            f"installed: {INSTALL_HINT}"
        )


def short_path(path: str | Path) -> str:
    """Return a path as a user would type it from the current folder, if it lies below it."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _are(things: list[str]) -> str:
    return "is" if len(things) == 1 else "are"
