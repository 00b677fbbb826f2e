"""Which worker has a shard, and computes its rounds.

Left to itself, Dask carries shards back and forth between workers that are free for a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distributed import Client, Future


def owners_of(client: Client, shards: Sequence[Future]) -> list[str]:
    """Return the worker of each shard, by who has it now; "" if there is none."""
    having = client.who_has(list(shards))
    return evenly([having.get(one.key, ()) for one in shards], client.nthreads())


def evenly(having: Sequence[Sequence[str]], threads: dict[str, int]) -> list[str]:
    """Deal shards to workers in proportion to their threads, so that one that joins gets its part.

    Parameters
    ----------
    having : sequence of sequence of str
        The workers that have each shard, or most of its rows, the likeliest first.
    threads : dict of str to int
        Of each worker.

    Returns
    -------
    list of str
        A worker that has the shard, as long as it has room; "" if there are no workers.
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
    """Return what lets Dask prefer a worker for a task. One that is lost is not waited for."""
    return {"workers": [owner], "allow_other_workers": True} if owner else {}
