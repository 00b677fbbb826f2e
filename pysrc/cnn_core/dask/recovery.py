"""Convert failures of a cluster to errors that name the partition and say what to do.

A lost worker needs no handling: Dask computes its shards and rounds again, to the same bits. Only
failures that would repeat are handled here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from distributed import KilledWorker, wait
from distributed.client import ClosedClientError, FutureCancelledError, FuturesCancelledError
from distributed.comm import CommClosedError

from cnn_core.estimators.partitions import PartitionError


class ClusterError(RuntimeError):
    """The cluster failed in a training; the message says what happened and what to do."""


# Errors of the cluster, not of the computation.
_OF_CLUSTER = (
    KilledWorker,
    ClosedClientError,
    FutureCancelledError,
    FuturesCancelledError,
    CommClosedError,
    TimeoutError,
)


# Seconds of waiting without workers after which the user is warned.
_PATIENCE = 10.0


def results_of(client: Any, futures: Sequence[Any]) -> list[Any]:
    """Wait for futures and return their results; see `wait_for`."""
    wait_for(client, futures)
    return list(client.gather(list(futures)))


def wait_for(client: Any, futures: Sequence[Any], *, first: bool = False) -> None:
    """Wait for futures, also for failing ones; warn if there are no workers.

    With `first` wait for one of them.

    The cluster may still be starting workers, so there is no time limit.
    """
    while True:
        try:
            with client.as_current():
                wait(futures, _PATIENCE, "FIRST_COMPLETED" if first else "ALL_COMPLETED")
        except TimeoutError:
            # A task may have raised one.
            if (any if first else all)(one.done() for one in futures):
                return
        else:
            return
        if not client.nthreads():
            address = _address(client)
            warnings.warn(
                f"the cluster {address} has no worker, so that the training waits for one; start "
                f"one by: dask worker {address}",
                UserWarning,
                stacklevel=3,
            )


def named_results_of(client: Any, futures: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """Return the results of futures; errors name the partition.

    Raises
    ------
    PartitionError
        For any error of a computation.
    """
    found = []
    for future, name in zip(futures, names, strict=True):
        try:
            found += results_of(client, [future])
        except (PartitionError, MemoryError, *_OF_CLUSTER):
            raise
        except Exception as error:
            raise PartitionError(f"{name}: {error}") from error
    return found


@contextmanager
def cluster_errors(client: Any, names: Callable[[str], str]) -> Iterator[None]:
    """Convert errors of the scheduler to errors that say what to do.

    Parameters
    ----------
    client : distributed.Client
    names : callable
        Returns a description of the task with a key.

    Raises
    ------
    ClusterError
        Instead of these errors.
    """
    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"{names(str(error.task))}: {error.allowed_failures + 1} workers died while they "
            "computed it, most likely of too little memory; pass more and smaller partitions, give "
            "the workers more memory, or pass files, which are read block by block. A training "
            "with checkpoint= goes on from its last epoch when the same call is made again"
        ) from error
    except _OF_CLUSTER as error:
        raise ClusterError(
            f"the scheduler {_address(client)} is gone or has dropped the training "
            f"({type(error).__name__}: {error}); start it again and connect. A training with "
            "checkpoint= goes on from its last epoch when the same call is made again"
        ) from error


def _address(client: Any) -> str:
    scheduler = getattr(client, "scheduler", None)
    return str(getattr(scheduler, "address", "of the client"))
