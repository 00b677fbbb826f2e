"""Fits on the cluster of a scheduler and names its epochs; prints a hash of what was learned.

python fit_on_cluster.py ADDRESS
"""

from __future__ import annotations

import sys

import numpy as np
from distributed import Client

from cnn_core.callbacks import OnEpoch
from cnn_core.dask import DaskMLPClassifier
from sharded_fits import ROUND_STEPS, SETTINGS, hash_of, small_classes

FIT = {**SETTINGS, "max_iter": 12}
N_SAMPLES, N_SHARDS = 2000, 4


def main() -> None:
    """Fit and tell."""
    with Client(sys.argv[1], timeout="30s") as client:
        client.wait_for_workers(2, timeout=60)
        tell = OnEpoch(lambda record: print("epoch", record.epoch, flush=True))
        parts = (np.array_split(one, 2 * N_SHARDS) for one in small_classes(N_SAMPLES)[:2])
        model = DaskMLPClassifier(
            **FIT, round_steps=ROUND_STEPS, n_shards=N_SHARDS, callbacks=[tell]
        )
        print(hash_of(model.fit(*parts)), flush=True)


if __name__ == "__main__":
    main()
