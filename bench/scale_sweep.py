"""A sweep of 32 settings on one worker and on more; see ``make scale ARGS=--sweep``."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from distributed import Client

from cnn_core import MLPClassifier
from cnn_core.dask import train_each
from cnn_core.dask.client import local_cluster

SETTINGS = [
    {"learning_rate_init": rate, "alpha": alpha, "hidden_layer_sizes": (units,)}
    for rate in (0.001, 0.002, 0.004, 0.008)
    for alpha in (0.0, 1e-4, 1e-3, 1e-2)
    for units in (64, 128)
]


def run(workers: list[int], rows: int, epochs: int) -> None:
    """Print the seconds of the sweep for each number of workers, one thread each."""
    random = np.random.default_rng(0)
    X = random.standard_normal((rows, 28), np.float32)
    y = (X[:, 0] * X[:, 1] + X[:, 2] ** 2 - 1 > 0).astype(np.int8)
    seconds: list[float] = []
    bits: Any = None
    for n_workers in workers:
        with local_cluster(n_workers, processes=True) as cluster, Client(cluster) as client:
            client.run(_imports)
            models = [
                MLPClassifier(
                    **one,
                    batch_size=128,
                    max_iter=epochs,
                    schedule="one_cycle",
                    random_state=0,
                    n_threads=1,
                )
                for one in SETTINGS
            ]
            began = time.perf_counter()
            trained = train_each(models, X, y)
            seconds.append(time.perf_counter() - began)
        found = [one.model_.parameters.tobytes() for one in trained]
        bits = bits or found
        same = "the same bits" if found == bits else "OTHER BITS"
        print(
            f"{len(SETTINGS)} settings, {rows:,} rows, {epochs} epochs, {n_workers} workers: "
            f"{seconds[-1]:.1f} s, {seconds[0] / seconds[-1]:.2f} times, {same}",
            flush=True,
        )


def _imports() -> None:
    """Load what a worker needs."""
    import cnn_core.dask  # noqa: F401
