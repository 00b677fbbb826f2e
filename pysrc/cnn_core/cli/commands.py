"""The arguments of each command; what a command does is imported when it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnn_core.backends import NAMES
from cnn_core.cli import arguments, options, workers
from cnn_core.cli.parser import add_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnn_core.cli.parser import Subcommands

__all__ = ["ADD", "ARTICLE_EPOCHS", "add_train"]

# Epochs of the published experiment.
ARTICLE_EPOCHS = 1_000
_BATCH_SIZES = (1, 32, 256)

_TRAIN = """\
Learns classes or numbers and writes a run folder: the model, the settings, the history, a report
and pictures.

A table with columns of any kind, and cells that are missing, is learned by the tables' learner;
images and arrays by a network, whose test part is measured after every epoch for the curve and
reported at the end. Nothing is selected on the test part. To choose the settings of a network, hold
a part of the training samples out with --validation-share.
"""


def add_train(commands: Subcommands) -> None:
    """Add ``train`` to the parser."""
    parser = add_command(
        commands,
        "train",
        description=_TRAIN,
        late_epilog=options.presets,
    )
    arguments.add_data(parser, default="fashion-mnist", help=arguments.TRAINING_DATA_HELP)
    arguments.add_columns(parser)
    options.add_tables(parser.add_argument_group("model"))
    options.add_network(parser.add_argument_group("network"))
    training = parser.add_argument_group("training")
    options.add_training(training)
    training.add_argument(
        "--validation-share",
        metavar="X",
        type=arguments.share,
        help="hold this share of the training samples out, and measure on them instead of on the "
        "test part after every epoch",
    )
    arguments.add_seed(training)
    arguments.add_arithmetic(parser.add_argument_group("arithmetic"))
    workers.add_workers(parser.add_argument_group("workers"))
    output = parser.add_argument_group("output")
    arguments.add_out(output, "DATA")
    output.add_argument(
        "--checkpoint-every",
        metavar="N",
        type=arguments.checkpoint_every,
        default={},
        help="write a checkpoint after every N epochs, or Ns seconds, or never (default: as often "
        "as takes 2%% of the time at most)",
    )
    output.add_argument(
        "--resume",
        metavar="RUN",
        type=arguments.path,
        help="go on with a training that was killed or interrupted, to the same weights as if it "
        "had not been; "
        "beside it only --quiet and --no-plots",
    )
    output.add_argument("--no-plots", action="store_true", help="draw no pictures")
    output.add_argument(
        "--watch",
        action="store_true",
        help="serve the page of the run while it is trained, to the browser of this machine",
    )
    _add_port(output)
    arguments.add_quiet(output, "no progress and no report, one line at the end")


_FIND_LR = """\
Tries learning rates, from a small one to a large one, each in one step of a network that begins to
learn, and suggests the one at which the loss falls fastest. Writes a folder with the losses as a
table and as a picture. The test part is not looked at.
"""


def add_find_lr(commands: Subcommands) -> None:
    """Add ``find-lr`` to the parser."""
    parser = add_command(
        commands,
        "find-lr",
        description=_FIND_LR,
        late_epilog=options.presets,
    )
    arguments.add_data(parser, default="fashion-mnist", help=arguments.TRAINING_DATA_HELP)
    network = parser.add_argument_group("network")
    options.add_network(network)
    arguments.add_seed(network)
    arguments.add_arithmetic(parser.add_argument_group("arithmetic"))
    output = parser.add_argument_group("output")
    arguments.add_out(output, "DATA-rates")
    output.add_argument("--no-plots", action="store_true", help="draw no picture")
    arguments.add_quiet(output, "one line with the suggestion")
    # This command has no arguments for the length of a training.
    nothing = ("epochs", "learning_rate", "schedule", "time_budget", "patience", "validation_share")
    parser.set_defaults(**dict.fromkeys((*nothing, *options.OF_TABLES)), model="mlp")


_TUNE = """\
Tries settings of the network, side by side, each trained on one thread, and names the best by its
accuracy on a part of the training samples that is held out. The test part is not looked at. The
result does not depend on the number of workers.
"""


def add_tune(commands: Subcommands) -> None:
    """Add ``tune`` to the parser."""
    parser = add_command(commands, "tune", description=_TUNE, late_epilog=options.presets)
    arguments.add_data(parser, default="fashion-mnist", help=arguments.TRAINING_DATA_HELP)
    options.add_network(parser.add_argument_group("network"))
    search = parser.add_argument_group("search")
    search.add_argument(
        "--trials",
        metavar="N",
        type=arguments.Whole(1),
        default=32,
        help="settings to try (default: 32)",
    )
    search.add_argument(
        "--epochs", metavar="N", type=arguments.Whole(1), help="of each (default: the preset's)"
    )
    search.add_argument(
        "--workers",
        metavar="N",
        type=arguments.Whole(1),
        help="trainings at a time (default: one for each core)",
    )
    arguments.add_seed(search)
    arguments.add_arithmetic(parser.add_argument_group("arithmetic"))
    output = parser.add_argument_group("output")
    arguments.add_out(output, "DATA-tuned")
    arguments.add_quiet(output, "one line with the best settings")
    nothing = ("learning_rate", "schedule", "time_budget", "patience")
    parser.set_defaults(**dict.fromkeys(nothing), validation_share=0.1, model="mlp")


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
        "file",
        metavar="FILE",
        type=arguments.path,
        help="a table, with or without the target (its columns are found by name, and others are "
        "left out; - is standard input), an IDX file, .npz (its test part, if it has one) or .npy",
    )
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
    parser.add_argument("--json", action="store_true", help="the agreement as JSON, for programs")
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


_ARTICLE = """\
Repeats a published experiment on the first 5,000 training and 5,000 test images of Fashion-MNIST:
with the rule as it was published, and with the exact gradient, on each backend. Its published
accuracy is 0.7644. Writes a run folder with the table, the reports, and the first eight test images
with their predicted classes.
"""


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
    _add_port(parser)
    parser.add_argument("--open", action="store_true", help="open the browser, too")


def _add_port(parser: Any) -> None:
    parser.add_argument(
        "--port",
        metavar="N",
        type=arguments.Whole(0, 65535),
        default=0,
        help="where to listen (default: any port that is free)",
    )


def add_article(commands: Subcommands) -> None:
    """Add ``article`` to the parser."""
    parser = add_command(
        commands,
        "article",
        description=_ARTICLE,
    )
    parser.add_argument(
        "--epochs",
        metavar="N",
        type=arguments.Whole(1),
        default=ARTICLE_EPOCHS,
        help=f"epochs of the published rule (default: {ARTICLE_EPOCHS}); the exact gradient gets "
        "three tenths of them",
    )
    parser.add_argument(
        "--backend",
        choices=("both", *NAMES),
        default="both",
        help="what computes (default: both backends, one after the other)",
    )
    arguments.add_seed(parser)
    parser.add_argument(
        "--data-folder",
        metavar="DIR",
        type=arguments.path,
        help="where the files of Fashion-MNIST are (default: wherever they are found)",
    )
    arguments.add_out(parser, "article")
    arguments.add_quiet(parser, "no progress and no explanation")


def add_data(commands: Subcommands) -> None:
    """Add ``data`` to the parser."""
    parser = add_command(
        commands,
        "data",
        description="Shows where a data set is, its shapes, SHA-256 and classes. Fashion-MNIST is "
        "fetched if it is nowhere on the machine; each place that was tried is named.",
    )
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        default="fashion-mnist",
        help="fashion-mnist (the default), digits, or a file as cnn-core train takes it",
    )
    parser.add_argument(
        "--labels", metavar="FILE", help="the .npy file of the targets of an .npy file"
    )
    arguments.add_target(parser)
    arguments.add_columns(parser)
    arguments.add_table_layout(parser)
    parser.add_argument("--data-folder", metavar="DIR", help="where the files of Fashion-MNIST are")


def add_info(commands: Subcommands) -> None:
    """Add ``info`` to the parser."""
    parser = add_command(
        commands,
        "info",
        description="Shows what computes on this machine, and which files it was loaded from. If "
        "it cannot be loaded, shows why; the exit code is 1 then.",
    )
    arguments.add_backend(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


_BENCH = """\
Races whatever is installed of scikit-learn, PyTorch, JAX, onnxruntime and a plain NumPy loop
against cnn_core: training a 784-128-10 network in float32 (sigmoid, squared error, plain gradient
descent), and predicting one row. Everyone first has to give the same outputs and to reach the same
loss. It has to be run from a checkout of the sources, which hold the drivers.
"""


def add_bench(commands: Subcommands) -> None:
    """Add ``bench`` to the parser."""
    parser = add_command(
        commands,
        "bench",
        description=_BENCH,
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
        default=list(_BATCH_SIZES),
        help=f"samples of a step (default: {' '.join(map(str, _BATCH_SIZES))})",
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


ADD: dict[str, Callable[[Subcommands], None]] = {
    "train": add_train,
    "find-lr": add_find_lr,
    "tune": add_tune,
    "evaluate": add_evaluate,
    "report": add_report,
    "watch": add_watch,
    "predict": add_predict,
    "export": add_export,
    "verify": add_verify,
    "article": add_article,
    "data": add_data,
    "info": add_info,
    "bench": add_bench,
}
