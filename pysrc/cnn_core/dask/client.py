"""The client that a fit uses: the one given, the current one, or that of a cluster made for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster, get_client

from cnn_core.backends.threads import available_threads


def current_client() -> Client | None:
    """Return the client of this process or task; None if there is none."""
    try:
        return get_client()
    except ValueError:
        return None


@contextmanager
def client_for(client: Client | None) -> Iterator[Client]:
    """Yield the client to use; a cluster that is made for it is closed afterwards.

    That cluster has a thread for each core, all in this process: the compiled loops run without
    Python's lock, and no data have to be copied.

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
        LocalCluster(
            n_workers=available_threads(),
            threads_per_worker=1,
            processes=False,
            dashboard_address=":0",
        ) as cluster,
        Client(cluster, set_as_default=False) as own,
    ):
        yield own
