"""The arguments of each command; its module is imported only when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnn_core.backends import NAMES
from cnn_core.cli import arguments, options, workers
from cnn_core.cli.parser import add_command
from cnn_core.cli.run_commands import (
    add_evaluate,
    add_export,
    add_predict,
    add_report,
    add_verify,
    add_watch,
)

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
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="read these options from a file of TOML, by their names; options that are typed "
        "replace those of the file, and each run folder holds such a file, run.toml",
    )
    arguments.add_data(
        parser, default="fashion-mnist", help=arguments.TRAINING_DATA_HELP, with_columns=True
    )
    model = parser.add_argument_group("model")
    options.add_tables(model)
    options.add_intervals(model)
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
        "beside it only --quiet, --json and --no-plots",
    )
    output.add_argument("--no-plots", action="store_true", help="draw no pictures")
    output.add_argument(
        "--watch",
        action="store_true",
        help="serve the page of the run while it is trained, to the browser of this machine",
    )
    arguments.add_port(output)
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
    parser.set_defaults(
        **dict.fromkeys((*nothing, *options.OF_TABLES, *workers.OPTIONS)), model="mlp"
    )


_TUNE = """\
Tries settings, side by side, each trained on one thread, and names the best, with the command that
trains with them. A table is learned by what cnn-core train takes for it: settings of the tables'
learner are told by their score on rows that its networks have held out, those of one network by its
accuracy on a part of the training samples. What is typed is not tried otherwise. The test part is
not looked at. The result does not depend on the number of workers. Ctrl-C names the best so far.
"""


def add_tune(commands: Subcommands) -> None:
    """Add ``tune`` to the parser."""
    parser = add_command(commands, "tune", description=_TUNE, late_epilog=options.presets)
    help = arguments.TRAINING_DATA_HELP
    arguments.add_data(parser, default="fashion-mnist", help=help, with_columns=True)
    options.add_tables(parser.add_argument_group("model"))
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
        dest="trainings_at_a_time",
        metavar="N",
        type=arguments.Whole(1),
        help="trainings at a time (default: one for each core)",
    )
    arguments.add_seed(search)
    arguments.add_arithmetic(parser.add_argument_group("arithmetic"))
    output = parser.add_argument_group("output")
    arguments.add_out(output, "DATA-tuned")
    arguments.add_quiet(output, "one line with the best settings")
    nothing = ("learning_rate", "schedule", "time_budget", "patience", "intervals")
    parser.set_defaults(**dict.fromkeys((*nothing, "validation_share", *workers.OPTIONS)))


_ARTICLE = """\
Repeats a published experiment on the first 5,000 training and 5,000 test images of Fashion-MNIST:
with the rule as it was published, and with the exact gradient, on each backend. Its published
accuracy is 0.7644. Writes a run folder with the table, the reports, and the first eight test images
with their predicted classes.
"""


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
        description="Shows where a data set is, its shapes, SHA-256 and classes; of a table how "
        "each column is read and used. Fashion-MNIST is fetched if it is nowhere on the machine; "
        "each place that was tried is named.",
    )
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        default="fashion-mnist",
        help="fashion-mnist (the default), digits, or a file or folder as cnn-core train takes it",
    )
    arguments.add_size(parser)
    parser.add_argument(
        "--labels", metavar="FILE", help="the file of the targets of an .npy or IDX file"
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


_COMPLETION = """\
Prints a script by which a shell completes commands, options, their choices and names of files when
Tab is pressed. Write it where the shell looks for such scripts, and open a new shell:

  bash  cnn-core completion bash > ~/.local/share/bash-completion/completions/cnn-core
  zsh   cnn-core completion zsh > a folder of $fpath/_cnn-core
  fish  cnn-core completion fish > ~/.config/fish/completions/cnn-core.fish
"""


def add_completion(commands: Subcommands) -> None:
    """Add ``completion`` to the parser."""
    parser = add_command(commands, "completion", description=_COMPLETION, has_result=False)
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="of these shells")


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
    "completion": add_completion,
}
