"""The client of a fit: the given one, the current one, or a new cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, LocalCluster, get_client

from cnn_core.backends.threads import available_threads

# Intervals of the background work of a cluster's processes.
_SELDOM = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.worker.memory.monitor-interval": "500ms",
}


def current_client() -> Client | None:
    """Return the client of this process or task; None if there is none."""
    try:
        return get_client()
    except ValueError:
        return None


@contextmanager
def local_cluster(n_workers: int, *, processes: bool = False, **how: Any) -> Iterator[LocalCluster]:
    """Yield a cluster on this machine, with workers of one thread each.

    Background work is less frequent than Dask's default, with which each process wakes fifty to a
    hundred times a second. That took a fifth of the time of two workers on two cores.

    Parameters
    ----------
    n_workers : int
    processes : bool, optional
        Whether workers are processes. As threads they share this process: the compiled loops
        release the GIL, and no data are copied.
    **how
        Further arguments of `distributed.LocalCluster`.
    """
    how = {
        "threads_per_worker": 1,
        "processes": processes,
        "dashboard_address": ":0",
        # Errors of tasks are raised here; cancelled tasks need no log message.
        "silence_logs": logging.CRITICAL,
        **how,
    }
    with dask.config.set(_SELDOM), LocalCluster(n_workers=n_workers, **how) as cluster:
        yield cluster


@contextmanager
def client_for(client: Client | None) -> Iterator[Client]:
    """Yield the client to use; close a cluster that was created for it afterwards.

    A new cluster has a worker for each core, all in this process.

    Parameters
    ----------
    client : distributed.Client, optional
        By default the current one.

    Raises
    ------
    TypeError
        For anything else.
    """
    if client is not None and not isinstance(client, Client):
        raise TypeError(
            f"client: expected a distributed.Client or None, found {type(client).__name__}"
        )
    found = current_client() if client is None else client
    if found is not None:
        yield found
        return
    with (
        local_cluster(available_threads()) as cluster,
        Client(cluster, set_as_default=False) as own,
    ):
        yield own
