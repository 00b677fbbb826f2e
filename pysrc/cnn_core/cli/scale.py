"""``cnn-core train --workers N``: train on a cluster, also on files larger than memory."""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

from cnn_core.cli import config, options, records, run_folder
from cnn_core.cli.console import CommandError, require, short_path
from cnn_core.cli.encoding import Encoding
from cnn_core.cli.output import print_result, run_values
from cnn_core.cli.plan_classifier import network_overrides, training_overrides
from cnn_core.cli.progress import epochs_shown
from cnn_core.cli.run_page import write_page
from cnn_core.cli.scale_page import TestFile, contents_of, measure
from cnn_core.cli.scale_run import FORMAT, FORMAT_VERSION
from cnn_core.cli.scaling import Scaling
from cnn_core.cli.source import Source
from cnn_core.cli.trained_model import what_computes
from cnn_core.cli.workers import cluster, require_dask
from cnn_core.data.table_parts import files_of
from cnn_core.files import write_text
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.training.callbacks import OnEpoch
from cnn_core.training.state import INTERRUPTED

__all__ = ["run"]

_CHECKPOINT = ".checkpoint.safetensors"


def run(args: argparse.Namespace) -> int:
    """Train on Parquet files; the last of several is the test part.

    Returns
    -------
    int
        0, or 130 if it was interrupted after its first epoch; the same command then resumes.
    """
    require("train", "rich", "jinja2")
    require_dask()
    if args.preset == options.NN_PRESET:
        raise CommandError("--preset nn does not train on files; take fast, balanced or best")
    if args.target is None:
        raise CommandError(f"--target: expected the name of a column of {args.data}, found none")
    for name, needs in (("watch", "data in memory"), ("patience", "rows that are held out")):
        if getattr(args, name):
            raise CommandError(
                f"--{name} needs {needs}, which a training on files that are read block by block "
                "does not have; leave it out"
            )
    from cnn_core.cli.scale_columns import standardized

    paths = files_of(args.data)
    train, test = (paths[:-1], paths[-1]) if len(paths) > 1 else (paths, None)
    name = Source(args.data).name
    out = args.out or Path("runs") / f"{name}-scaled"
    model = _estimator(args)
    checkpoint = out.parent / f".{out.name}{_CHECKPOINT}"
    out.parent.mkdir(parents=True, exist_ok=True)
    with run_folder.new_folder(out, name) as folder:
        epochs = epochs_shown("training", model.max_iter, quiet=args.quiet)
        with cluster(args, model), epochs as on_epoch:
            partitions, encoding, scaling = standardized(
                model.client, train, args.target, args.ignore, args.categorical
            )
            model.set_params(callbacks=[OnEpoch(on_epoch)])
            every = args.checkpoint_every
            how = None if every is None else Checkpoint(checkpoint, **every)
            with warnings.catch_warnings():
                # The command has its own message about the interruption.
                warnings.filterwarnings("ignore", "Training interrupted")
                model.fit(partitions, args.target, checkpoint=how)
            model.set_params(callbacks=None)
        done = len(model.model_.history.get("loss", ()))
        if model.stopped_because_ == INTERRUPTED:
            raise KeyboardInterrupt(
                f"after {done} epochs; the same command goes on from {short_path(checkpoint)}"
            )
        tested = None if test is None else measure(model, encoding, scaling, test, args.target)
        _write(folder.path, args, model, encoding, scaling, train, test, tested, name, folder.final)
    checkpoint.unlink(missing_ok=True)
    accuracy = None if tested is None else tested.accuracy
    measured = "" if accuracy is None else f"test accuracy {accuracy:.4f}  "
    files = sorted(path.name for path in folder.final.iterdir())
    values = {
        **run_values(folder.final, files),
        "interrupted": False,
        "result": {"test_accuracy": accuracy, "epochs": done},
    }
    print_result(args, f"{measured}{short_path(folder.final)}", values, folder.final)
    return 0


def _estimator(args: argparse.Namespace) -> Any:
    from cnn_core.dask import DaskMLPClassifier

    wanted = {
        "max_iter": args.epochs,
        "batch_size": args.batch_size,
        "learning_rate_init": args.learning_rate,
    }
    return DaskMLPClassifier.preset(
        args.preset,
        **network_overrides(args),
        **training_overrides(args),
        **{name: value for name, value in wanted.items() if value is not None},
        input_scale=1.0,
        random_state=args.seed,
        dtype=args.dtype,
        backend=args.backend,
        n_threads=args.threads,
        n_shards=args.shards,
    )


def _write(
    folder: Path,
    args: argparse.Namespace,
    model: Any,
    encoding: Encoding,
    scaling: Scaling,
    train: list[str],
    test: str | None,
    tested: TestFile | None,
    name: str,
    final: Path,
) -> None:
    """Write model, history, record and page."""
    model.save(folder / run_folder.MODEL)
    run_folder.write_history(folder / run_folder.HISTORY, model.model_.history, "test")
    record = {
        **records.record_head(FORMAT, FORMAT_VERSION, args.argv),
        "data": {
            "name": name,
            "train": [str(Path(path).absolute()) for path in train],
            "test": None if test is None else str(Path(test).absolute()),
            "target": args.target,
        },
        "inputs": encoding.to_json(),
        "preprocessing": scaling.to_json(),
        "seed": args.seed,
        "shards": args.shards,
        "accuracy": None if tested is None else tested.accuracy,
        "backend": what_computes(args.backend, args.threads),
    }
    config.write(folder, args.argv)
    write_text(folder / run_folder.RECORD, json.dumps(record, indent=2) + "\n")
    page = contents_of(record, short_path(final), model, tested)
    write_page(folder / run_folder.PAGE, page)
