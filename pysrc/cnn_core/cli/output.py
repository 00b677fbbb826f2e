"""Print the result of a command to standard output: text, or with ``--json`` a document.

With ``--json`` standard output holds one JSON document, or nothing if the command fails. Everything
else goes to standard error, as errors always do.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from cnn_core.cli.console import CommandError, error_text, short_path, show, show_progress

__all__ = ["introduce", "print_document", "print_result", "run_values"]


def introduce(args: argparse.Namespace, text: str) -> None:
    """Print an introduction: to standard output, or with ``--json`` to standard error.

    Raises
    ------
    OSError
        If it cannot be printed to standard output.
    """
    (show_progress if args.json else show)(text)


def print_result(
    args: argparse.Namespace,
    text: str,
    values: dict[str, Any],
    folder: Path | None = None,
    end: str = "\n",
) -> None:
    """Print the result of a command to standard output.

    Parameters
    ----------
    args : argparse.Namespace
    text : str
        The result as text.
    values : dict
        The result as JSON values, printed instead with ``--json``; see `print_document`.
    folder : pathlib.Path, optional
        The complete run folder.
    end : str
        Printed after the text.

    Raises
    ------
    CommandError
        If it cannot be printed and there is a run folder; the message says where.
    OSError
        If it cannot be printed; BrokenPipeError if the reader went away.
    """
    try:
        if args.json:
            print_document(values)
        else:
            show(text, end=end)
    except BrokenPipeError:
        raise
    except OSError as error:
        if folder is None:
            raise
        raise CommandError(
            f"{error_text(error)}; the run folder is complete: {short_path(folder)}"
        ) from error


def print_document(values: dict[str, Any]) -> None:
    """Print a JSON document to standard output.

    Parameters
    ----------
    values : dict
        Arrays become lists, NaN and infinity null, and other types text.

    Raises
    ------
    OSError
        If it cannot be printed.
    """
    show(json.dumps(_plain(values), indent=2, allow_nan=False))


def run_values(folder: Path, files: list[str]) -> dict[str, Any]:
    """Return the JSON values about the run folder."""
    return {"run": str(folder), "files": files}


def _plain(value: Any) -> Any:
    """Convert a value to JSON types."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
