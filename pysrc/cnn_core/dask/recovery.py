"""What fails on a cluster, as errors that name the partition and say what to do.

A worker that is lost needs nothing: Dask computes its shards and its rounds again, to the same
bits. What is left are failures that would come again.
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
    """The cluster cannot go on with a training; says what happened and what to do."""


# What tells that the cluster failed, not what it computed.
_OF_CLUSTER = (
    KilledWorker,
    ClosedClientError,
    FutureCancelledError,
    FuturesCancelledError,
    CommClosedError,
    TimeoutError,
)


# After so many seconds of waiting the user is told if there is no worker.
_PATIENCE = 10.0


def results_of(client: Any, futures: Sequence[Any]) -> list[Any]:
    """Wait for futures and return their results; see `wait_for`."""
    wait_for(client, futures)
    return list(client.gather(list(futures)))


def wait_for(client: Any, futures: Sequence[Any], *, first: bool = False) -> None:
    """Wait for futures, also for those that fail; warn if there is nobody to compute them.

    With `first` one of them is enough.

    A cluster may be about to start its workers, so that waiting is all that can be done.
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
    """Return the results of futures; errors name the partition, also those of what it came from.

    Raises
    ------
    PartitionError
        For whatever computing one of them raises.
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
    """Turn errors of the scheduler into errors that say what to do.

    Parameters
    ----------
    client : distributed.Client
    names : callable
        Returns what is computed under a key.

    Raises
    ------
    ClusterError
        In their place.
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
