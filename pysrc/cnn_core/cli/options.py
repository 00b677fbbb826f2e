"""The arguments of the network and its training, and the presets.

The presets are those of `cnn_core.MLPClassifier.preset`, made for images like those of
Fashion-MNIST, and ``nn``: plain gradient descent on the squared error of sigmoid units, by
`cnn_core.NN`.
"""

from __future__ import annotations

import argparse
from typing import Any

from cnn_core.cli import arguments, image_options, workers
from cnn_core.cli.console import CommandError, note
from cnn_core.cli.parser import no_choice
from cnn_core.cli.source import Source
from cnn_core.network import HIDDEN_ACTIVATIONS, NORMALIZATIONS
from cnn_core.optimizers import SOLVERS, WITH_DECAY
from cnn_core.training.schedules import SCHEDULES

__all__ = [
    "NN_EPOCHS",
    "NN_HIDDEN",
    "NN_PRESET",
    "OF_TABLES",
    "OPTIMIZER_RATES",
    "add_intervals",
    "add_network",
    "add_tables",
    "add_training",
    "choose_model",
    "preset_names",
    "presets",
]

DEFAULT_PRESET = "fast"
NN_PRESET = "nn"
NN_HIDDEN = 128
NN_EPOCHS = 20

# Learning rate of each optimizer, relative to that of "adamw".
OPTIMIZER_RATES = {
    solver.name: solver.rate for solver in SOLVERS.values() if solver.rate is not None
}
_WITH_DECAY = tuple(name for name in WITH_DECAY if name in OPTIMIZER_RATES)
# Arguments that `NN` does not have.
_NOT_OF_NN = (
    "activation",
    "dropout",
    "normalization",
    "optimizer",
    "weight_decay",
    "clip_norm",
    "label_smoothing",
    "schedule",
    "time_budget",
    "patience",
)
MODELS = ("tables", "mlp")
# Arguments of only one of the models.
OF_TABLES = (
    "task",
    "quality",
    "intervals",
    "members",
    "max_steps",
    "bins",
    "missing",
    "date_order",
)
_OF_NETWORKS = (
    "preset",
    "hidden",
    "activation",
    "dropout",
    "normalization",
    "optimizer",
    "weight_decay",
    "clip_norm",
    "label_smoothing",
    "batch_size",
    "epochs",
    "learning_rate",
    "schedule",
    "patience",
    "validation_share",
    "dtype",
    "shards",
    *image_options.OWN,
)


def add_network(group: argparse._ActionsContainer) -> None:
    """Add the preset, and the arguments that replace its network and optimizer."""
    group.add_argument(
        "--preset",
        metavar="NAME",
        type=_preset,
        help=f"a network and its training, listed below (default: {DEFAULT_PRESET}); the other "
        "arguments replace parts of it",
    )
    group.add_argument(
        "--hidden",
        metavar="N,N,...",
        type=arguments.widths,
        help="units of each hidden layer, such as 512,256; beside --model tables of each of its "
        "networks",
    )
    group.add_argument(
        "--activation",
        choices=HIDDEN_ACTIVATIONS,
        metavar="NAME",
        help=f"of the hidden units: {', '.join(HIDDEN_ACTIVATIONS)}",
    )
    group.add_argument(
        "--dropout",
        metavar="X",
        type=arguments.below_1,
        help="share of the hidden units that each step leaves out",
    )
    group.add_argument(
        "--normalization",
        choices=("none", *NORMALIZATIONS),
        help="of the hidden layers, over the batch or over the layer",
    )
    group.add_argument(
        "--optimizer",
        choices=tuple(OPTIMIZER_RATES),
        metavar="NAME",
        help=f"what makes steps of gradients: {', '.join(OPTIMIZER_RATES)}",
    )
    group.add_argument(
        "--weight-decay",
        metavar="X",
        type=arguments.at_least_0,
        help="share of the weights, times the learning rate, that each step of "
        f"{' and '.join(_WITH_DECAY)} takes from them",
    )
    group.add_argument(
        "--clip-norm",
        metavar="X",
        type=arguments.positive,
        help="longest gradient; longer ones are shortened to it",
    )
    group.add_argument(
        "--label-smoothing",
        metavar="X",
        type=arguments.below_1,
        help="share of each label that is spread over all classes",
    )
    group.add_argument(
        "--batch-size", metavar="N", type=arguments.Whole(1), help="samples of one step"
    )
    image_options.add_images(group)


def add_training(group: argparse._ActionsContainer) -> None:
    """Add the arguments for the length of the training and the learning rate."""
    group.add_argument(
        "--epochs",
        metavar="N",
        type=arguments.Whole(1),
        help="passes over the data (default: the preset's, more for small data; with a time "
        "budget as many as fit)",
    )
    group.add_argument(
        "--learning-rate",
        metavar="X",
        type=arguments.positive,
        help="length of a step, of the longest one if it has a schedule (default: the preset's, "
        "adapted to the optimizer)",
    )
    group.add_argument(
        "--schedule",
        choices=tuple(SCHEDULES),
        metavar="NAME",
        help=f"what becomes of the learning rate: {', '.join(SCHEDULES)}",
    )
    group.add_argument(
        "--time-budget",
        metavar="SECONDS",
        type=arguments.positive,
        help="end after so many seconds, the measuring after each epoch included, and the schedule "
        "with them; what is learned then depends on the machine's speed",
    )
    group.add_argument(
        "--patience",
        metavar="N",
        type=arguments.Whole(1),
        help="end after more than N epochs without a better accuracy on validation samples, and "
        "keep the weights of the best epoch; holds a tenth of the training samples out, or "
        "--validation-share",
    )


def add_tables(group: argparse._ActionsContainer) -> None:
    """Add the choice of the model, and the settings of the learners of tables."""
    group.add_argument(
        "--model",
        choices=MODELS,
        help="what learns: the tables' learner, several small networks that take columns of any "
        "kind (tables, the default for tables), or one network that takes numbers (mlp, the "
        "default for all else, and if anything is said about its network or training)",
    )
    group.add_argument(
        "--task",
        choices=("classification", "regression"),
        help="what is learned from a table, classes or numbers (default: found from the target)",
    )
    group.add_argument(
        "--quality",
        choices=("fast", "balanced", "best"),
        help="how much time the tables' learner takes (default: balanced)",
    )
    group.add_argument(
        "--members",
        metavar="N",
        type=arguments.Whole(1),
        help="networks of the tables' learner (default: by the quality)",
    )
    group.add_argument(
        "--max-steps",
        metavar="N",
        type=arguments.Whole(1),
        help="steps of each of them (default: by the quality and the rows)",
    )
    group.add_argument(
        "--bins",
        metavar="N",
        type=arguments.Whole(0),
        help="pieces that the tables' learner cuts a column of numbers into (default: by the "
        "quality and the rows)",
    )


def add_intervals(group: argparse._ActionsContainer) -> None:
    """Add the coverage of prediction intervals."""
    group.add_argument(
        "--intervals",
        metavar="X",
        type=arguments.inside_1,
        help="give each predicted number an interval that holds the true one with this "
        "probability, such as 0.9",
    )


def choose_model(args: argparse.Namespace, source: Source) -> str:
    """Choose the model, refuse arguments without effect on it, and return its name.

    Parameters
    ----------
    args : argparse.Namespace
        With the arguments of `add_network`, `add_training` and `add_tables`.
    source : Source
        The data. By default a table gets a learner of tables, and the user's images an image
        network.

    Raises
    ------
    CommandError
        If an argument has no effect.
    """
    source.require_readable()
    of_tables = [name for name in OF_TABLES if getattr(args, name, None) not in (None, [])]
    of_networks = [name for name in _OF_NETWORKS if getattr(args, name, None) is not None]
    if getattr(args, "model", None) == "tables" and "hidden" in of_networks:
        # Learners of tables have this option of networks as well.
        of_networks.remove("hidden")
    is_table = source.is_table
    if getattr(args, "model", None) is None:
        args.model = "tables" if is_table and not of_networks else "mlp"
        if args.model == "tables" and workers.are_large(args):
            args.model = "mlp"
            note(
                f"{args.data} holds too much for the tables' learner, which has a table in memory, "
                "so that one network reads it block by block (--model mlp)"
            )
        if is_table and of_networks and not args.quiet:
            note(
                f"--{of_networks[0].replace('_', '-')} belongs to networks on rows of numbers, so "
                "that one of them is trained (--model mlp)"
            )
    if args.model == "tables" and not is_table:
        raise CommandError(f"--model tables learns tables, such as .csv, not {args.data}")
    others = of_networks if args.model == "tables" else of_tables
    if others:
        raise CommandError(_no_effect(others[0], args.model, of_networks, is_table=is_table))
    if args.model == "mlp":
        usual = image_options.DEFAULT_PRESET if source.images else DEFAULT_PRESET
        args.preset = args.preset or usual
        args.dtype = args.dtype or "float32"
        image_options.check(args, DEFAULT_PRESET)
        _check_network(args)
    elif args.intervals is not None and args.task == "classification":
        raise CommandError("--intervals belongs to numbers, not to --task classification")
    return str(args.model)


def _no_effect(name: str, model: str, of_networks: list[str], *, is_table: bool) -> str:
    text = f"--{name.replace('_', '-')} has no effect on --model {model}"
    if model == "mlp" and is_table and of_networks:
        return f"{text}, which --{of_networks[0].replace('_', '-')} asks for; leave one of them out"
    if model == "mlp":
        return f"{text}, which learns classes from numbers; --model tables takes tables"
    return f"{text}; leave it out, or choose --model mlp"


def _check_network(args: argparse.Namespace) -> None:
    if args.preset == NN_PRESET:
        _check_nn(args)
    elif args.weight_decay is not None and args.optimizer not in (None, *_WITH_DECAY):
        raise CommandError(
            f"--weight-decay has no effect on {args.optimizer}; leave it out, or choose the "
            f"--optimizer {' or '.join(_WITH_DECAY)}"
        )


def _check_nn(args: argparse.Namespace) -> None:
    for name in _NOT_OF_NN:
        if getattr(args, name) is not None:
            raise CommandError(
                f"--{name.replace('_', '-')} has no effect on the preset {NN_PRESET}, which is a "
                "network of sigmoid units and plain gradient descent; choose another --preset"
            )
    if args.hidden is not None and len(args.hidden) > 1:
        raise CommandError(
            f"--hidden: expected one number for the preset {NN_PRESET}, which has one hidden "
            f"layer, found {len(args.hidden)}; choose another --preset"
        )


def presets() -> str:
    """Return a table of the presets."""
    from cnn_core.estimators.presets import PRESETS

    rows = [(name, _line_of(settings)) for name, settings in PRESETS.items()]
    rows += [
        (name, _line_of_images(settings)) for name, settings in image_options.presets().items()
    ]
    rows.append((NN_PRESET, f"{NN_HIDDEN}, sigmoid; plain gradient descent, {NN_EPOCHS} epochs"))
    lines = (f"  {name:<11} {line}" for name, line in rows)
    return "\n".join(["  preset      hidden layers and training", *lines])


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets."""
    from cnn_core.estimators.presets import PRESETS

    return (*PRESETS, *image_options.presets(), NN_PRESET)


def _preset(text: str) -> str:
    """Parse the name of a preset."""
    names = preset_names()
    if text not in names:
        raise argparse.ArgumentTypeError(no_choice(text, names))
    return text


def _line_of(settings: dict[str, Any]) -> str:
    """Describe a preset of the library in a line."""
    widths = "-".join(str(units) for units in settings["hidden_layer_sizes"])
    words = [
        widths,
        settings.get("activation", "relu"),
        *([f"{settings['normalization']} normalization"] if settings.get("normalization") else []),
        *([f"dropout {settings['dropout']:g}"] if settings.get("dropout") else []),
    ]
    return f"{', '.join(words)}; {settings['solver']}, {settings['max_iter']} epochs"


def _line_of_images(settings: dict[str, Any]) -> str:
    """Describe a preset for images in a line."""
    from cnn_core.images.architectures import ARCHITECTURES

    named = ARCHITECTURES[settings["architecture"]]
    blocks = ["+".join(map(str, block)) for block in named.blocks]
    return (
        f"convolutions {'-'.join(blocks)} and {named.units}, dropout {settings['dropout']:g}; "
        f"{settings['solver']}, {settings['max_iter']} epochs; for images"
    )
