"""The arguments of commands on a run folder; their modules are imported when they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnn_core.cli import arguments
from cnn_core.cli.parser import add_command

if TYPE_CHECKING:
    from cnn_core.cli.parser import Subcommands


def add_evaluate(commands: Subcommands) -> None:
    """Add ``evaluate`` to the parser."""
    parser = add_command(
        commands,
        "evaluate",
        description="Evaluates the model of a run folder on the test part of the data that it was "
        "trained on, or of other data of the same classes; all of a file that has no test part.",
    )
    arguments.add_run(parser)
    arguments.add_data(
        parser,
        default=None,
        help="fashion-mnist, digits or a file as cnn-core train takes it (default: what was "
        "trained on)",
    )
    arguments.add_backend(parser)


def add_predict(commands: Subcommands) -> None:
    """Add ``predict`` to the parser."""
    parser = add_command(
        commands,
        "predict",
        description="Writes what is predicted for each sample of a file as comma-separated text: "
        "of a table all its columns, then the class or number, the probability of each class or "
        "the ends of an interval. A text that a spreadsheet would run as a formula gets an "
        "apostrophe before it.",
    )
    arguments.add_run(parser)
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        type=arguments.path,
        help="a table, with or without the target (its columns are found by name, and others are "
        "left out; - is standard input), an IDX file, .npz (its test part, if it has one) or "
        ".npy; or PNG and JPEG images, and folders of them",
    )
    arguments.add_size(parser)
    arguments.add_table_layout(parser)
    parser.add_argument(
        "--outputs",
        action="store_true",
        help="add the network's output for each class, as a table has it in any case: its "
        "probability; with the preset nn a number from 0 to 1, and they need not add up to 1",
    )
    parser.add_argument(
        "--intervals",
        metavar="X",
        type=arguments.inside_1,
        help="add an interval to each number that holds the true one with this probability "
        "(default: as in training)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=arguments.new_file,
        help="file to write, .csv or, for a table, .parquet (default: standard output)",
    )
    arguments.add_backend(parser)


_EXPORT = """\
Writes the model of a run folder for other programs, with the scaling of its samples and the names
of its classes. Each file has predicted the run's own test part before it is written, and the
agreement is printed; a file that would not give what the model itself gives is not written.
"""


def add_export(commands: Subcommands) -> None:
    """Add ``export`` to the parser."""
    parser = add_command(commands, "export", description=_EXPORT)
    arguments.add_run(parser)
    for option, kind in (
        ("onnx", "an ONNX model (m.onnx), for onnxruntime and browsers"),
        ("c", "a header of C99 (model.h), for microcontrollers"),
        ("python", "a Python file of the standard library alone (model.py)"),
        ("safetensors", "weights that PyTorch loads with two lines, which are printed"),
    ):
        parser.add_argument(f"--{option}", metavar="FILE", type=arguments.new_file, help=kind)
    parser.add_argument(
        "--int8", action="store_true", help="with --c: weights in 8 bits, a quarter of the flash"
    )
    parser.add_argument(
        "--tolerance",
        metavar="X",
        type=arguments.positive,
        help="how much an output may differ from the model's own (default: 1e-5)",
    )
    arguments.add_backend(parser)


_VERIFY = """\
Trains again by the settings and on the data that a run folder records, and says whether the final
weights are the same, bit for bit. Nothing is written.

The exit code is 0 if they are, 1 if they are not, and 2 if it cannot be told: the data have
changed, say, or the training ended by the clock or by Ctrl-C.
"""


def add_verify(commands: Subcommands) -> None:
    """Add ``verify`` to the parser."""
    parser = add_command(
        commands,
        "verify",
        description=_VERIFY,
    )
    arguments.add_run(parser)
    arguments.add_backend(parser)
    arguments.add_threads(parser)
    parser.set_defaults(backend=None)
    arguments.add_quiet(parser, "no progress, one line at the end")


def add_report(commands: Subcommands) -> None:
    """Add ``report`` to the parser."""
    parser = add_command(
        commands,
        "report",
        description="Writes report.html into a run folder again: one file with curves, confusions, "
        "mistakes, weights and settings that opens in any browser, without a network. The test "
        "part is read from the data that the run was trained on.",
    )
    arguments.add_run(parser)
    arguments.add_data(
        parser,
        default=None,
        help="where those data are now, if not where they were (default: what was trained on)",
    )
    arguments.add_backend(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=arguments.new_file,
        help="write this file instead of report.html in the run folder",
    )


def add_watch(commands: Subcommands) -> None:
    """Add ``watch`` to the parser."""
    parser = add_command(
        commands,
        "watch",
        description="Serves the page of a run to the browser of this machine, until Ctrl-C: live "
        "while another process trains it, complete with the confusions when it is. Images can be "
        "drawn there, to see what the network answers and which pixels decide. Nobody else can "
        "open it: it listens on this machine alone, and its address holds a secret.",
    )
    arguments.add_run(parser)
    arguments.add_data(
        parser,
        default=None,
        help="where those data are now, if not where they were (default: what was trained on)",
    )
    arguments.add_backend(parser)
    arguments.add_port(parser)
    parser.add_argument("--open", action="store_true", help="open the browser, too")
