"""``cnn-core tune``: try settings side by side on a validation part, and name the best."""

from __future__ import annotations

import argparse
import importlib.util
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cnn_core.cli import options, run_folder
from cnn_core.cli.console import CommandError, note, require, short_path, show_progress
from cnn_core.cli.image_options import is_for_images
from cnn_core.cli.output import print_result, run_values
from cnn_core.cli.source import Source
from cnn_core.cli.sources import read_samples
from cnn_core.cli.training import plan_and_parts
from cnn_core.files import write_table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["AT_ONCE", "TRIALS", "run"]

TRIALS = 32
# Trials that are chosen before the results of any of them are known: the same ones, and with them
# the same result, for any number of workers.
AT_ONCE = 8
_SETTINGS = ("learning_rate_init", "units", "layers", "dropout", "weight_decay")


def run(args: argparse.Namespace) -> int:
    """Carry the command out; the exit code is 0."""
    require("tune", "sklearn")
    for package in ("optuna", "distributed"):
        if importlib.util.find_spec(package) is None:
            raise CommandError(
                f"cnn-core tune needs {package}, which is not installed: "
                'pip install "cnn-core[app,dask,tune]"'
            )
    source = Source.from_arguments(args)
    options.choose_model(args, source)
    if args.preset == options.NN_PRESET or is_for_images(args):
        raise CommandError(
            f"--preset {args.preset} has no settings to tune; take fast, balanced or best"
        )
    samples = read_samples(source, None if args.quiet else note)
    plan, parts = plan_and_parts(args, samples)
    with run_folder.new_folder(args.out, f"{samples.name}-tuned") as folder:
        tried = _study(args, plan.face, parts)
        tried.sort(key=lambda one: -one["accuracy"])
        names = ["accuracy", *_SETTINGS]
        write_table(
            folder.path / "trials.csv", [names, *([one[name] for name in names] for one in tried)]
        )
    best = tried[0]
    arguments = (
        f"--learning-rate {best['learning_rate_init']:.2g} --hidden "
        f"{','.join([str(best['units'])] * best['layers'])} --dropout {best['dropout']:.2g} "
        f"--weight-decay {best['weight_decay']:.2g}"
    )
    text = (
        f"tried       {len(tried)} settings on {samples.name}; validation accuracy "
        f"{tried[-1]['accuracy']:.4f} to {best['accuracy']:.4f}\n"
        f"best        {arguments}\n"
        f"folder      {short_path(folder.final)}\n            trials.csv"
    )
    values = {**run_values(folder.final, ["trials.csv"]), "best": best, "tried": tried}
    print_result(args, arguments if args.quiet else text, values, folder.final)
    return 0


def _study(args: argparse.Namespace, face: Any, parts: Any) -> list[dict[str, Any]]:
    """Return what was tried, each with its accuracy on the validation part."""
    import optuna

    from cnn_core.dask import train_each

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=args.seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    tried: list[dict[str, Any]] = []
    with _client(args.trainings_at_a_time) as client:
        while len(tried) < args.trials:
            trials = [study.ask() for _ in range(min(AT_ONCE, args.trials - len(tried)))]
            settings = [_suggested(trial, face) for trial in trials]
            estimators = [_with(face, one) for one in settings]
            fitted = train_each(estimators, *parts.train, client=client)
            for trial, one, estimator in zip(trials, settings, fitted, strict=True):
                accuracy = float(estimator.score(*parts.watched))
                study.tell(trial, accuracy)
                tried.append({**one, "accuracy": accuracy})
            if not args.quiet:
                best = max(one["accuracy"] for one in tried)
                show_progress(f"{len(tried)}/{args.trials} tried, best {best:.4f}")
    return tried


def _suggested(trial: Any, face: Any) -> dict[str, Any]:
    """Return settings to try, around those of the preset."""
    rate = face.learning_rate_init
    return {
        "learning_rate_init": trial.suggest_float("rate", rate / 8, rate * 4, log=True),
        "units": trial.suggest_categorical("units", [64, 128, 256]),
        "layers": trial.suggest_int("layers", 1, 2),
        "dropout": trial.suggest_float("dropout", 0.0, 0.4),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.1, log=True),
    }


def _with(face: Any, settings: dict[str, Any]) -> Any:
    from sklearn.base import clone

    own = {name: settings[name] for name in ("learning_rate_init", "dropout", "weight_decay")}
    sizes = (settings["units"],) * settings["layers"]
    return clone(face).set_params(**own, hidden_layer_sizes=sizes)


@contextmanager
def _client(workers: int | None) -> Iterator[Any]:
    """Yield the client of so many workers of a thread each, in this process."""
    from distributed import Client

    from cnn_core.dask.client import local_cluster

    count = workers or len(os.sched_getaffinity(0))
    with local_cluster(count) as cluster, Client(cluster) as client:
        yield client
