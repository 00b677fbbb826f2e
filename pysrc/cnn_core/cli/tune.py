"""``cnn-core tune``: try settings side by side, and name the best and how to train with them."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cnn_core.cli import options, run_folder
from cnn_core.cli.console import CommandError, note, require, short_path, show_progress
from cnn_core.cli.image_options import is_for_images
from cnn_core.cli.output import print_result, run_values
from cnn_core.cli.parser import Parser
from cnn_core.cli.search import Search, Settings, search_of
from cnn_core.cli.source import Source
from cnn_core.files import write_table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["AT_ONCE", "run"]

# Trials that are chosen before the results of any of them are known: the same ones, and with them
# the same result, for any number of workers.
AT_ONCE = 8
_WORDS = {"accuracy": "accuracy", "r2": "R2"}


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns
    -------
    int
        0, or 130 if it was interrupted after its first trial; the best so far is named then.
    """
    require("tune", "sklearn")
    for package in ("optuna", "distributed"):
        if importlib.util.find_spec(package) is None:
            raise CommandError(
                f"cnn-core tune needs {package}, which is not installed: "
                'pip install "cnn-core[app,dask,tune]"'
            )
    source = Source.from_arguments(args)
    options.choose_model(args, source)
    if args.model == "mlp" and (args.preset == options.NN_PRESET or is_for_images(args)):
        raise CommandError(
            f"--preset {args.preset} has no settings to tune; take fast, balanced or best"
        )
    search = search_of(args, source)
    with run_folder.new_folder(args.out, f"{search.name}-tuned") as folder:
        tried, interrupted = _study(args, search)
        if interrupted:
            note(f"interrupted after {len(tried)} of {args.trials} settings; the best is named")
        ranked = sorted(tried, key=lambda one: -one[search.measure])
        names = [search.measure, *search.names]
        rows = [[str(one.get(name, "")) for name in names] for one in ranked]
        write_table(folder.path / "trials.csv", [names, *rows])
    best = ranked[0]
    words = search.options(best)
    command = shlex.join(["cnn-core", "train", *_words_of_data(args.argv), *words])
    values = {
        **run_values(folder.final, ["trials.csv"]),
        "measure": search.measure,
        "best": best,
        "command": command,
        "interrupted": interrupted,
        "tried": ranked,
    }
    text = _text(search, tried, ranked, command)
    text += f"\nfolder      {short_path(folder.final)}\n            trials.csv"
    print_result(args, shlex.join(words) if args.quiet else text, values, folder.final)
    return 130 if interrupted else 0


def _text(search: Search, tried: list[Settings], ranked: list[Settings], command: str) -> str:
    """Return the result for people; the settings that are tried first are the usual ones."""
    measure, best = search.measure, ranked[0]
    range_ = f"{ranked[-1][measure]:.4f} to {best[measure]:.4f}"
    is_usual = len(best) == 1
    words = shlex.join(search.options(best)) + (", the usual ones" if is_usual else "")
    return (
        f"tried       {len(tried)} settings on {search.name}; {search.measured_on} "
        f"{_WORDS[measure]} {range_}\n"
        + (f"usual       {tried[0][measure]:.4f} ({search.usual})\n" if len(tried[0]) == 1 else "")
        + f"best        {words}\n"
        f"train by    {command}"
    )


def _words_of_data(argv: list[str]) -> list[str]:
    """Return what was typed, but for what belongs to the search alone."""
    parser = Parser(prog="cnn-core tune", allow_abbrev=False, add_help=False)
    parser.add_argument("command")
    for name in ("--trials", "--workers", "--out"):
        parser.add_argument(name)
    for name in ("--quiet", "--json"):
        parser.add_argument(name, action="store_true")
    return parser.parse_known_args(argv)[1]


def _study(args: argparse.Namespace, search: Search) -> tuple[list[Settings], bool]:
    """Return what was tried, each with its score, in their order, and whether Ctrl-C ended it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=args.seed)
    )
    tried: list[Settings] = []
    with _client(args.trainings_at_a_time) as client:
        while len(tried) < args.trials:
            # The usual settings stand outside of what is searched, and are tried before.
            usual: list[Any] = [] if tried else [None]
            number = min(AT_ONCE, args.trials - len(tried)) - len(usual)
            trials = usual + [study.ask() for _ in range(number)]
            settings = [{} if one is None else search.suggested(one) for one in trials]
            scores, interrupted = _scores(args, search, settings, tried, client)
            tried += [
                {search.measure: scores[place], **one}
                for place, one in enumerate(settings)
                if place in scores
            ]
            if interrupted:
                if not tried:
                    raise KeyboardInterrupt
                return tried, True
            for place, trial in enumerate(trials):
                if trial is not None:
                    study.tell(trial, max(scores[place], -1e300))
    return tried, False


def _scores(
    args: argparse.Namespace,
    search: Search,
    settings: list[Settings],
    tried: list[Settings],
    client: Any,
) -> tuple[dict[int, float], bool]:
    """Train with several settings; return the score of each place, and whether Ctrl-C came."""
    from cnn_core.dask import train_each

    scores: dict[int, float] = {}
    so_far = [one[search.measure] for one in tried]

    def keep(place: int, fitted: Any) -> None:
        scores[place] = search.score(fitted)
        if not args.quiet:
            best = max(*so_far, *scores.values(), scores[place])
            done = len(tried) + len(scores)
            found = f"{_WORDS[search.measure]} {scores[place]:.4f}, best {best:.4f}"
            show_progress(f"{done}/{args.trials} tried: {found}")

    estimators = [search.estimator(one) for one in settings]
    try:
        train_each(estimators, *search.rows(), client=client, on_trained=keep)
    except KeyboardInterrupt:
        return scores, True
    return scores, False


@contextmanager
def _client(workers: int | None) -> Iterator[Any]:
    """Yield the client of this many workers of a thread each, in this process."""
    from distributed import Client

    from cnn_core.dask.client import local_cluster

    count = workers or len(os.sched_getaffinity(0))
    # What is still being sent when Ctrl-C closes the cluster needs no word.
    logging.getLogger("distributed.batched").setLevel(logging.CRITICAL)
    with local_cluster(count) as cluster, Client(cluster) as client:
        yield client
