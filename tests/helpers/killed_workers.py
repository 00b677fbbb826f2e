"""A cluster of processes, and a callback that kills some of them while a fit goes on."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import dask
from distributed import Client, LocalCluster

from cnn_core.callbacks import Callback
from cnn_core.training import TrainingState

# Dask tells of each worker that is lost, at length.
logging.getLogger("distributed").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def processes(
    n_workers: int = 2, memory_limit: str | None = None
) -> Iterator[tuple[LocalCluster, Client]]:
    """Yield a cluster of processes with a thread each, and its client."""
    # Else it gives a worker up for good that is away so long after it was lost once, though it may
    # have come back in between and been lost again.
    patient = {"distributed.deploy.lost-worker-timeout": "1 hour"}
    with (
        dask.config.set(patient),
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            memory_limit=memory_limit,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield cluster, client


class Kills(Callback):
    """Kills a worker soon after each of some rounds of a fit, chosen by a seed.

    Parameters
    ----------
    cluster : LocalCluster
    kills, n_rounds : int
        So many in so many rounds.
    seed : int
    """

    def __init__(self, cluster: Any, kills: int, n_rounds: int, seed: int = 0) -> None:
        self._cluster = cluster
        self._random = random.Random(seed)
        self._rounds = set(self._random.sample(range(n_rounds), kills))
        self._round = 0
        self._timers: list[threading.Timer] = []
        self.done = 0

    def on_round_end(self, state: TrainingState) -> None:
        """Kill one, by and by, if it is time."""
        if self._round in self._rounds:
            self._timers.append(threading.Timer(self._random.uniform(0, 0.3), self._kill))
            self._timers[-1].start()
        self._round += 1

    def join(self) -> None:
        """Wait for the last kill."""
        for timer in self._timers:
            timer.join()

    def _kill(self) -> None:
        while True:
            # Dask gives a worker up that dies before it has joined the cluster.
            nannies = list(self._cluster.workers.values())
            alive = [one.process for one in nannies if one.process.status.name == "running"]
            if alive:
                with contextlib.suppress(ProcessLookupError, TypeError):
                    os.kill(self._random.choice(alive).pid, signal.SIGKILL)
                    self.done += 1
                    return
            time.sleep(0.01)
