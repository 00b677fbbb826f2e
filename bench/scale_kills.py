"""Workers that are killed again and again in a fit; see ``make scale ARGS="--kills 20"``."""

from __future__ import annotations

import os
import random
import signal
import threading
from contextlib import suppress
from typing import Any


class Killer(threading.Thread):
    """Kills a worker of a LocalCluster now and then, at times that a seed gives.

    Parameters
    ----------
    cluster : LocalCluster
    kills : int
    seconds : float
        Between two of them, in the mean.
    """

    def __init__(self, cluster: Any, kills: int, seconds: float = 1.5, seed: int = 0) -> None:
        super().__init__(daemon=True)
        self._cluster, self._kills, self._seconds = cluster, kills, seconds
        self._random = random.Random(seed)
        self.over = threading.Event()
        self.done = 0

    def run(self) -> None:
        """Kill until there have been enough, or the fit is over."""
        while self.done < self._kills:
            if self.over.wait(self._random.uniform(0, 2) * self._seconds):
                return
            # Dask gives a worker up that dies before it has joined the cluster.
            nannies = list(self._cluster.workers.values())
            alive = [one.process for one in nannies if one.process.status.name == "running"]
            if alive:
                with suppress(ProcessLookupError, TypeError):
                    os.kill(self._random.choice(alive).pid, signal.SIGKILL)
                    self.done += 1
