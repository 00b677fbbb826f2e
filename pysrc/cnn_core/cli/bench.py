"""``cnn-core bench``: a short benchmark of all installed libraries on this machine.

The drivers of other libraries are not installed. They are in ``bench/contenders`` of the sources,
where the command has to be run.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from cnn_core.cli.console import CommandError

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns
    -------
    int
        0, or 1 if a library computes another result, or cnn_core could not be measured.

    Raises
    ------
    CommandError
        If this is not a checkout of the sources.
    """
    if args.data_folder is not None and args.data != "fashion-mnist":
        raise CommandError("--data-folder belongs to --data fashion-mnist")
    folder = str(_folder_of_races())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    ended: int = importlib.import_module("short_race").run(args)
    return ended


def _folder_of_races() -> Path:
    """Return the folder ``bench`` of the sources: of the working directory, or of these modules."""
    for root in (Path.cwd(), Path(__file__).resolve().parents[3]):
        if (root / "bench" / "contenders" / "__init__.py").is_file():
            return root / "bench"
    raise CommandError(
        "the drivers of other libraries are not part of an installation: run cnn-core bench in the "
        "folder of the sources, which has bench/contenders"
    )
