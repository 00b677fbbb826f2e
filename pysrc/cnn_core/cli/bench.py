"""``cnn-core bench``: a short race, on this machine, of everything that is installed.

The drivers of other libraries are no part of an installation: they stand in ``bench/contenders``
of the sources, from where the command has to be run.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from cnn_core.cli import arguments
from cnn_core.cli.console import CommandError

__all__ = ["add_parser", "run"]

BATCH_SIZES = (1, 32, 256)

DESCRIPTION = """\
Races whatever is installed of scikit-learn, PyTorch, JAX, onnxruntime and a plain NumPy loop
against cnn_core: training a 784-128-10 network in float32 (sigmoid, squared error, plain gradient
descent), and predicting one row. Everyone first has to give the same outputs and to reach the same
loss. It has to be run from a checkout of the sources, which hold the drivers.
"""


def add_parser(commands: arguments.Subcommands) -> None:
    """Add the command to the parser."""
    parser = arguments.add_command(
        commands,
        "bench",
        description=DESCRIPTION,
    )
    parser.add_argument(
        "--data",
        choices=("synthetic", "fashion-mnist"),
        default="synthetic",
        help="random samples (the default) or the first training images of Fashion-MNIST; the time "
        "hardly depends on it",
    )
    parser.add_argument(
        "--data-folder",
        metavar="DIR",
        type=arguments.path,
        help="where the files of Fashion-MNIST are",
    )
    parser.add_argument(
        "--samples",
        metavar="N",
        type=arguments.Whole(1, 60_000),
        default=6_000,
        help="samples of an epoch (default: 6000)",
    )
    parser.add_argument(
        "--batch-size",
        metavar="N",
        type=arguments.Whole(1),
        nargs="+",
        default=list(BATCH_SIZES),
        help=f"samples of a step (default: {' '.join(map(str, BATCH_SIZES))})",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=arguments.Whole(1),
        help="cores that everyone may use (default: all that this process may use)",
    )
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=arguments.Whole(1),
        default=2,
        help="turns that everyone takes, of which the best counts (default: 2)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry the command out.

    Returns
    -------
    int
        0, or 1 if someone does not compute the same, or cnn_core could not be measured.

    Raises
    ------
    CommandError
        If this is no checkout of the sources.
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
