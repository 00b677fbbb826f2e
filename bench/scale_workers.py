"""What workers take that train on files; `bench/scale_memory.py` runs it.

    python bench/scale_workers.py FOLDER       # with x-*.npy and y-*.npy

A program of its own, of few imports: each worker imports the program that has started it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any


def main(folder: Path, **settings: Any) -> None:
    """Train on two workers; print what each of them takes."""
    from distributed import Client

    from cnn_core.dask import DaskMLPClassifier
    from cnn_core.dask.client import local_cluster

    xs, ys = (sorted(folder.glob(f"{name}-*.npy")) for name in "xy")
    with local_cluster(2, processes=True) as cluster, Client(cluster) as client:
        before = client.run(peak)
        began = time.perf_counter()
        DaskMLPClassifier(**settings, n_shards=2).fit(xs, ys)
        seconds = time.perf_counter() - began
        for number, (worker, most) in enumerate(client.run(peak).items(), 1):
            print(
                f"worker {number} of 2: peak RSS {most:.0f} MB, {most - before[worker]:.0f} MB "
                "above what Dask took before"
            )
        print(f"an epoch on both: {seconds:.0f} s with the first look")


def peak() -> float:
    """Return the most memory of this process so far, in units of 10^6 bytes."""
    # `getrusage` tells of the process that this one was started by as well.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    from scale_memory import SETTINGS

    main(Path(sys.argv[1]), **SETTINGS)
