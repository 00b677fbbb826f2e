"""What fails on a cluster, as errors that name the partition and say what to do.

A worker that is lost needs nothing: Dask computes its shards and its rounds again, to the same
bits. What is left are failures that would come again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from distributed import KilledWorker
from distributed.client import ClosedClientError, FutureCancelledError
from distributed.comm import CommClosedError

from cnn_core.estimators.partitions import PartitionError


class ClusterError(RuntimeError):
    """The cluster cannot go on with a training; says what happened and what to do."""


# What tells that the cluster failed, not what it computed.
_OF_CLUSTER = (
    KilledWorker,
    ClosedClientError,
    FutureCancelledError,
    CommClosedError,
    TimeoutError,
)


def result_of(future: Any, name: str) -> Any:
    """Return the result of a future; errors name the partition, also those of what it came from.

    Raises
    ------
    PartitionError
        For whatever computing it raises.
    """
    try:
        return future.result()
    except (PartitionError, MemoryError, *_OF_CLUSTER):
        raise
    except Exception as error:
        raise PartitionError(f"{name}: {error}") from error


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
