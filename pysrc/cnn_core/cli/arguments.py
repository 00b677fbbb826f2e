"""The parser, and the arguments that several commands share."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_core.backends import NAMES
from cnn_core.backends.threads import MOST_THREADS
from cnn_core.cli.parser import COMMANDS, Parser, add_command
from cnn_core.files import checked_path, checked_target

if TYPE_CHECKING:
    from cnn_core.cli.parser import Subcommands

__all__ = [
    "COMMANDS",
    "TRAINING_DATA_HELP",
    "Parser",
    "Subcommands",
    "Whole",
    "add_arithmetic",
    "add_backend",
    "add_columns",
    "add_command",
    "add_data",
    "add_out",
    "add_port",
    "add_quiet",
    "add_run",
    "add_seed",
    "add_size",
    "add_table_layout",
    "add_target",
    "add_threads",
    "at_least_0",
    "below_1",
    "checkpoint_every",
    "inside_1",
    "new_file",
    "path",
    "positive",
    "separator",
    "share",
    "widths",
]

TRAINING_DATA_HELP = """\
fashion-mnist (the default), digits (8 x 8 images, part of scikit-learn), or a file of your own: a
table (.csv, .tsv, .csv.gz, .parquet, .xlsx, .ods, or - for standard input), a pattern of the files
of one table, such as 'part-*.csv', arrays: .npz (X and y, or x_train, y_train, x_test, y_test),
.npy or IDX (with --labels), or a folder with the IDX files of MNIST, KMNIST or EMNIST by their
names. Data without a test part of their own have a random 20%% of their samples held out"""


class Whole:
    """The type of an argument that is a whole number.

    Parameters
    ----------
    least : int
    most : int, optional
    """

    def __init__(self, least: int, most: int | None = None) -> None:
        self._least = least
        self._most = most

    def __call__(self, text: str) -> int:
        """Return the number.

        Raises
        ------
        argparse.ArgumentTypeError
            If `text` is not a whole number, or outside the limits.
        """
        try:
            value = int(text)
        except ValueError:
            value = self._least - 1
        if value < self._least or (self._most is not None and value > self._most):
            limits = (
                f"of at least {self._least}"
                if self._most is None
                else f"from {self._least} to {self._most}"
            )
            raise argparse.ArgumentTypeError(f"expected a whole number {limits}, found {text!r}")
        return value


def positive(text: str) -> float:
    """Parse a finite number above 0.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    value = _number(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return value


def share(text: str) -> float:
    """Parse a share above 0 and at most 0.5.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    value = _number(text)
    if not 0 < value <= 0.5:
        raise argparse.ArgumentTypeError(
            f"expected a share above 0 and at most 0.5, found {text!r}"
        )
    return value


def at_least_0(text: str) -> float:
    """Parse a finite number of at least 0.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    value = _number(text)
    if not (value >= 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, found {text!r}")
    return value


def below_1(text: str) -> float:
    """Parse a number from 0 to below 1.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to below 1, found {text!r}")
    return value


def inside_1(text: str) -> float:
    """Parse a number above 0 and below 1.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and below 1, found {text!r}")
    return value


def path(text: str) -> Path:
    """Parse a path.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    try:
        return Path(checked_path(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(_without_name(error)) from error


def new_file(text: str) -> Path:
    """Parse the path of a file to write.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is not a path, or ends like that of a folder.
    """
    try:
        return Path(checked_target(text))
    except (ValueError, IsADirectoryError) as error:
        raise argparse.ArgumentTypeError(_without_name(error)) from error


def checkpoint_every(text: str) -> dict[str, Any] | None:
    """Parse the interval of checkpoints into arguments of `cnn_core.Checkpoint`.

    ``N`` means epochs, ``Ns`` seconds; None for ``never``.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is neither.
    """
    if text == "never":
        return None
    try:
        if text.endswith("s"):
            return {"every_seconds": positive(text[:-1])}
        return {"every_epochs": Whole(1)(text)}
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected a number of epochs such as 5, of seconds such as 30s, or never, "
            f"found {text!r}"
        ) from None


def separator(text: str) -> str:
    """Return the character that was typed, a tab for ``tab`` and a backslash with a t.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is not a single character.
    """
    character = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(character) != 1 or not character.isascii() or character in '"\r\n':
        raise argparse.ArgumentTypeError(f"expected one character such as ; or tab, found {text!r}")
    return character


def widths(text: str) -> tuple[int, ...]:
    """Parse numbers of units with commas between them, at least one.

    Raises
    ------
    argparse.ArgumentTypeError
        If one of them is not a whole number above 0.
    """
    try:
        return tuple(Whole(1)(part) for part in text.split(","))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            "expected the units of each hidden layer, whole numbers of at least 1 with commas "
            f"between them such as 512,256, found {text!r}"
        ) from None


class _Images(argparse.Action):
    """Takes a folder of images as the data."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the folder as the data, and that it holds images."""
        namespace.data = values
        namespace.images = True


def add_data(parser: Parser, *, default: str | None, help: str, with_columns: bool = False) -> None:
    """Add the arguments that select the data."""
    group = parser.add_argument_group("data")
    one = group.add_mutually_exclusive_group()
    one.add_argument("--data", metavar="DATA", default=default, help=help)
    one.add_argument(
        "--images",
        metavar="DIR",
        action=_Images,
        help="a folder of PNG and JPEG images, in a folder for each class, and these in train and "
        "test if there is a test part",
    )
    add_size(group)
    group.add_argument(
        "--labels", metavar="FILE", help="the file of the targets of an .npy or IDX file"
    )
    group.add_argument(
        "--data-folder",
        metavar="DIR",
        type=path,
        help="where the files of Fashion-MNIST are (default: wherever they are found)",
    )
    table = parser.add_argument_group("tables", "what is not said is found out, and told")
    add_target(table)
    if with_columns:
        add_columns(table)
    add_table_layout(table)


def add_size(group: argparse._ActionsContainer) -> None:
    """Add the size to which images are resized."""
    group.add_argument(
        "--size",
        metavar="WxH",
        help="resize images in files to so many pixels, such as 32x32",
    )


def add_target(group: argparse._ActionsContainer) -> None:
    """Add the choice of the target column."""
    group.add_argument(
        "--target",
        metavar="NAME",
        help="target column of a table: its name, or its number from 1 (default: the last one)",
    )


def add_columns(group: argparse._ActionsContainer) -> None:
    """Add settings for the columns of a training table."""
    for name, help in (
        ("ignore", "columns of a table that are left out"),
        ("categorical", "columns that are categories, whatever they look like"),
        ("numerical", "columns that are numbers; cells that are none count as missing"),
        ("missing", "cells that stand for a missing value, such as NA or -999, beside empty ones"),
    ):
        metavar = "CELL" if name == "missing" else "NAME"
        group.add_argument(
            f"--{name}", metavar=metavar, nargs="+", action="extend", default=[], help=help
        )
    group.add_argument(
        "--date-order",
        choices=("day-first", "month-first"),
        help="of dates that can be read either way (default: as the table's other dates, else the "
        "day first)",
    )


def add_table_layout(group: argparse._ActionsContainer) -> None:
    """Add the arguments for the format of a table."""
    group.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first row of a table holds the names of its columns",
    )
    group.add_argument(
        "--separator", metavar="C", type=separator, help="what stands between the cells of a text"
    )
    group.add_argument("--encoding", metavar="NAME", help="encoding of a text, such as cp1252")
    group.add_argument("--decimal", choices=(".", ","), help="decimal mark of the numbers")
    group.add_argument("--sheet", metavar="NAME", help="sheet of a spreadsheet: name or number")


def add_backend(group: argparse._ActionsContainer) -> None:
    """Add the choice of the backend."""
    group.add_argument(
        "--backend",
        choices=("auto", *NAMES),
        default="auto",
        help="what computes: the compiled backend (cython), the NumPy reference (numpy), "
        "or CNN_CORE_BACKEND, else the compiled one (auto, the default)",
    )


def add_threads(group: argparse._ActionsContainer) -> None:
    """Add the number of threads."""
    group.add_argument(
        "--threads",
        metavar="N",
        type=Whole(1, MOST_THREADS),
        help="at most so many threads compute; they change no digit of the results (default: "
        "CNN_CORE_NUM_THREADS, else as many as this process may use cores)",
    )


def add_arithmetic(group: argparse._ActionsContainer) -> None:
    """Add the arguments for the computation: precision, backend, threads."""
    group.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        help="precision of the arithmetic (default: float32)",
    )
    add_backend(group)
    add_threads(group)


def add_seed(group: argparse._ActionsContainer) -> None:
    """Add the random seed."""
    group.add_argument(
        "--seed",
        metavar="N",
        type=Whole(0, 2**32 - 1),
        default=0,
        help="fixes the first weights, the order of the samples and the dropout (default: 0)",
    )


def add_out(group: argparse._ActionsContainer, kind: str) -> None:
    """Add the place of a run folder."""
    group.add_argument(
        "--out",
        metavar="DIR",
        type=path,
        help=f"run folder to write, new or empty (default: runs/DATE-TIME-{kind})",
    )


def add_run(parser: Parser) -> None:
    """Add the run folder that a command reads."""
    parser.add_argument("folder", metavar="RUN", type=path, help="run folder of cnn-core train")


def add_quiet(group: argparse._ActionsContainer, help: str) -> None:
    """Add the option for less output."""
    group.add_argument("--quiet", action="store_true", help=help)


def _without_name(error: Exception) -> str:
    """Return the text of an error without the argument's name, which argparse adds."""
    return str(error).partition(": ")[2]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def add_port(parser: argparse._ActionsContainer) -> None:
    """Add ``--port`` to the parser."""
    parser.add_argument(
        "--port",
        metavar="N",
        type=Whole(0, 65535),
        default=0,
        help="where to listen (default: any port that is free)",
    )
