"""A fit on a cluster of processes, some of which are killed meanwhile."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import threading
from collections.abc import Iterator
from typing import Any

from distributed import Client, LocalCluster

# Dask tells of each worker that is lost, at length.
logging.getLogger("distributed").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def processes(n_workers: int = 2) -> Iterator[tuple[LocalCluster, Client]]:
    """Yield a cluster of processes with a thread each, and its client."""
    with (
        LocalCluster(
            n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield cluster, client


class Killer(threading.Thread):
    """Kills a worker now and then.

    Parameters
    ----------
    cluster : LocalCluster
    kills : int
    seconds : float
        Between two of them, in the mean.
    """

    def __init__(self, cluster: Any, kills: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self._cluster, self._kills, self._seconds = cluster, kills, seconds
        self._random = random.Random(0)
        self.done = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        """Kill until there have been enough, or nothing is left to do."""
        while self.done < self._kills:
            if self.stopped.wait(self._random.uniform(0.5, 1.5) * self._seconds):
                return
            # Dask gives a worker up that dies before it has begun.
            nannies = list(self._cluster.workers.values())
            alive = [one.pid for one in nannies if one.pid and one.status.name == "running"]
            if alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._random.choice(alive), signal.SIGKILL)
                    self.done += 1
