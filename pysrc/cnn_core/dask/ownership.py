"""Assign shards to the workers that compute their rounds.

By default Dask moves shards between workers that are briefly idle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distributed import Client, Future


def owners_of(client: Client, shards: Sequence[Future]) -> list[str]:
    """Return the worker that holds each shard now; "" if there is none."""
    having = client.who_has(list(shards))
    return evenly([having.get(one.key, ()) for one in shards], client.nthreads())


def evenly(having: Sequence[Sequence[str]], threads: dict[str, int]) -> list[str]:
    """Assign shards to workers in proportion to their threads, also to new workers.

    Parameters
    ----------
    having : sequence of sequence of str
        The workers that have each shard, or most of its rows, in order of preference.
    threads : dict of str to int
        Threads of each worker.

    Returns
    -------
    list of str
        A worker for each shard, if possible one that has it; "" without workers.
    """
    if not threads:
        return [""] * len(having)
    total = sum(threads.values())
    room = {worker: -(-len(having) * own // total) for worker, own in sorted(threads.items())}

    def take(workers: Sequence[str]) -> str:
        owner = next((one for one in workers if room.get(one, 0) > 0), "")
        if owner:
            room[owner] -= 1
        return owner

    owners = [take(workers) for workers in having]
    return [owner or take(sorted(room, key=room.__getitem__, reverse=True)) for owner in owners]


def preferred(owner: str) -> dict[str, Any]:
    """Return the Dask settings that prefer a worker for a task; a lost worker is not waited for."""
    return {"workers": [owner], "allow_other_workers": True} if owner else {}
