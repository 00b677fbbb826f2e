"""Workers of Dask on the command line: arguments, and the cluster that they name."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_core.cli import arguments
from cnn_core.cli.console import CommandError, note
from cnn_core.data.table_parts import files_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "OPTIONS",
    "add_workers",
    "are_asked_for",
    "are_files",
    "are_large",
    "cluster",
    "kind_of",
    "members_on_cluster",
    "require_dask",
]

# What `add_workers` adds.
OPTIONS = ("workers", "scheduler", "shards")


def add_workers(group: argparse._ActionsContainer) -> None:
    """Add the arguments that say where the workers are."""
    group.add_argument(
        "--workers",
        metavar="N",
        type=arguments.Whole(1),
        help="train on N workers of this machine, one thread each, by Dask",
    )
    group.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="train on a cluster of Dask, such as tcp://host:8786",
    )
    group.add_argument(
        "--shards",
        metavar="N",
        type=arguments.Whole(1),
        help="parts of the data that are trained on side by side; the result depends on their "
        "number, not on that of the workers (default: as many as files, at most 16)",
    )


def are_asked_for(args: argparse.Namespace) -> bool:
    """Tell whether a training is to run on a cluster."""
    return args.workers is not None or args.scheduler is not None


def are_files(args: argparse.Namespace) -> bool:
    """Tell whether the data are files that a network reads block by block."""
    return are_asked_for(args) and str(args.model) == "mlp" and _are_parquet(args)


def are_large(args: argparse.Namespace) -> bool:
    """Tell whether files are to be read block by block, since a cluster is there for it."""
    if not are_asked_for(args) or not _are_parquet(args) or find_spec("pyarrow") is None:
        return False
    from cnn_core.data.row_files import ParquetFile
    from cnn_core.estimators.rows import LARGE_BYTES

    return sum(ParquetFile(path).n_bytes for path in files_of(args.data)) > LARGE_BYTES


def _are_parquet(args: argparse.Namespace) -> bool:
    return Path(args.data).suffix in (".parquet", ".pq")


def kind_of(args: argparse.Namespace, plain: type[Any]) -> Any:
    """Return the class of the estimator."""
    if not are_asked_for(args):
        return plain
    require_dask()
    from cnn_core.dask import DaskMLPClassifier

    return DaskMLPClassifier


def require_dask() -> None:
    """Refuse to go on without Dask.

    Raises
    ------
    CommandError
        If it is not installed.
    """
    if find_spec("distributed") is None:
        raise CommandError(
            'cnn-core train --workers needs Dask, which is not installed: pip install "cnn-core['
            'app,dask]"'
        )


@contextmanager
def cluster(args: argparse.Namespace, estimator: Any) -> Iterator[None]:
    """Let an estimator use the cluster that was asked for, if one was.

    Raises
    ------
    CommandError
        If no scheduler answers.
    """
    if not are_asked_for(args):
        yield
        return
    with client_of(args) as client:
        estimator.set_params(client=client)
        try:
            yield
        finally:
            estimator.set_params(client=None)
        if not args.quiet and hasattr(estimator, "rounds_"):
            note(estimator.rounds_)


@contextmanager
def members_on_cluster(args: argparse.Namespace, learner: Any) -> Iterator[None]:
    """Let the networks of a learner of tables be trained where it was asked for.

    Raises
    ------
    CommandError
        If no scheduler answers.
    """
    if not are_asked_for(args):
        yield
        return
    require_dask()
    from cnn_core.dask.members import members_trained_on

    with client_of(args) as client, members_trained_on(client, learner):
        yield


@contextmanager
def client_of(args: argparse.Namespace) -> Iterator[Any]:
    """Yield the client of the cluster that was asked for.

    Raises
    ------
    CommandError
        If no scheduler answers.
    """
    from distributed import Client

    from cnn_core.dask.client import local_cluster

    with ExitStack() as ends:
        where = args.scheduler
        if where is None:
            where = ends.enter_context(local_cluster(args.workers))
        try:
            client = ends.enter_context(Client(where, timeout="10s", set_as_default=False))
        except OSError as error:
            raise CommandError(
                f"--scheduler {where}: no scheduler answers there ({error}); start one by dask "
                "scheduler, and workers by dask worker"
            ) from error
        yield client
