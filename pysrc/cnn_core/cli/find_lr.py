"""``cnn-core find-lr``: try learning rates, each in one step, and suggest one."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnn_core.cli import options, run_folder
from cnn_core.cli.console import note, require, short_path
from cnn_core.cli.output import print_result, run_values
from cnn_core.cli.source import Source
from cnn_core.cli.sources import read_samples
from cnn_core.cli.trained_model import describe_network
from cnn_core.cli.training import plan_and_parts
from cnn_core.files import write_table
from cnn_core.training.lr_finder import LearningRates, find_learning_rate

__all__ = ["run"]

STEPS = 200


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code is 0."""
    require("find-lr", *(() if args.no_plots else ("matplotlib",)))
    source = Source.from_arguments(args)
    options.choose_model(args, source)
    samples = read_samples(source, None if args.quiet else note)
    plan, parts = plan_and_parts(args, samples)
    with run_folder.new_folder(args.out, f"{samples.name}-rates") as folder:
        found = find_learning_rate(
            plan.face,
            *parts.train,
            least=plan.least_rate,
            most=plan.largest_rate,
            steps=STEPS,
            batch_size=plan.batch_size,
        )
        _write_table(folder.path / "rates.csv", found)
        if not args.no_plots:
            found.plot(folder.path / "rates.png")
        files = sorted(path.name for path in folder.path.iterdir())
    if args.quiet:
        text = f"learning rate {found.suggestion:.2g}  {short_path(folder.final)}"
    else:
        text = (
            f"network     {describe_network(plan.network)} (preset {plan.preset})\n"
            f"tried       {len(found.rates)} learning rates from {found.rates[0]:.2g} to "
            f"{found.rates[-1]:.2g} on {samples.name}, in batches of {plan.batch_size}\n"
            f"suggestion  --learning-rate {found.suggestion:.2g}, where the loss falls fastest; a "
            "schedule may rise to several times that\n"
            f"preset      {plan.learning_rate:g}\n"
            f"folder      {short_path(folder.final)}\n"
            f"            {'  '.join(files)}"
        )
    values = {
        **run_values(folder.final, files),
        "suggestion": found.suggestion,
        "preset": {"name": plan.preset, "learning_rate": plan.learning_rate},
        "batch_size": plan.batch_size,
        "rates": found.rates,
        "losses": found.losses,
    }
    print_result(args, text, values, folder.final)
    return 0


def _write_table(path: Path, found: LearningRates) -> None:
    rows = zip(found.rates, found.losses, found.smoothed, strict=True)
    write_table(path, [["learning_rate", "loss", "smoothed"], *rows])
