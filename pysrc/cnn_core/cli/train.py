"""``cnn-core train``: learn a data set and leave a run folder behind."""

from __future__ import annotations

import argparse
from contextlib import suppress

from cnn_core.cli import arguments as args
from cnn_core.cli import options, run_folder, telling
from cnn_core.cli.console import note, require, short_path, show_result
from cnn_core.cli.sources import Source, read_samples
from cnn_core.cli.training import Training

__all__ = ["add_parser", "run"]

DESCRIPTION = """\
Trains a network and writes a run folder: the model, the settings, the history, a classification
report and pictures.

The test part is measured after every epoch for the curve and reported at the end; nothing is
selected on it. To choose settings, hold a part of the training samples out with
--validation-share.
"""


def add_parser(commands: args.Subcommands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a network, by default on Fashion-MNIST",
        description=DESCRIPTION,
        late_epilog=options.presets,
        allow_abbrev=False,
    )
    args.add_data(parser, default="fashion-mnist", help=args.TRAINING_DATA_HELP)
    options.add_network(parser.add_argument_group("network"))
    training = parser.add_argument_group("training")
    options.add_training(training)
    training.add_argument(
        "--validation-share",
        metavar="X",
        type=args.share,
        help="hold this share of the training samples out, and measure on them instead of on the "
        "test part after every epoch",
    )
    args.add_seed(training)
    args.add_arithmetic(parser.add_argument_group("arithmetic"))
    output = parser.add_argument_group("output")
    args.add_out(output, "DATA")
    output.add_argument("--no-plots", action="store_true", help="draw no pictures")
    args.add_quiet(output, "no progress and no report, one line at the end")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out.

    Returns
    -------
    int
        0, or 130 if training was interrupted after its first epoch; the run folder is written in
        both cases.
    """
    require("train", "rich", "sklearn", *(() if arguments.no_plots else ("matplotlib",)))
    options.check(arguments)
    source = Source.from_arguments(arguments)
    samples = read_samples(source, None if arguments.quiet else note)
    training = Training(arguments, source, samples)
    with run_folder.new_folder(arguments.out, samples.name) as folder:
        if not arguments.quiet:
            # Whoever does not listen to the introduction still gets the run folder.
            with suppress(OSError):
                print(telling.introduction(training), flush=True)
        training.learn()
        files = telling.write(training, folder.path, plots=not arguments.no_plots)
    if arguments.quiet:
        text = f"test accuracy {training.result.accuracy:.4f}  {short_path(folder.final)}"
    else:
        told = telling.summary(training, folder.final, files)
        text = f"\n{training.result.report}\n{told}"
    show_result(text, folder.final)
    if training.has_learned_nothing:
        note(telling.nothing_learned(training))
    return 130 if training.interrupted else 0
