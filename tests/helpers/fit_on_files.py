"""Fits on files in little memory; prints the bytes by which the process has grown.

    python fit_on_files.py MEGABYTES X.npy Y.npy

`MEGABYTES` is what it may take beyond what it has after its imports.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np

from cnn_core import MLPRegressor

SETTINGS = {
    "hidden_layer_sizes": (4,),
    "batch_size": 4096,
    "max_iter": 1,
    "schedule": "constant",
    "random_state": 0,
    "n_threads": 1,
}


def main() -> None:
    """Fit and tell."""
    # What the first fit loads is no part of what the data take.
    MLPRegressor(**SETTINGS, solver="adam").fit(np.zeros((9999, 50), np.float32), np.zeros(9999))
    before = peak()
    data = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    limit = data + int(sys.argv[1]) * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    MLPRegressor(**SETTINGS).fit(sys.argv[2], sys.argv[3])
    print(peak() - before)


def peak() -> int:
    """Return the most bytes that the process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
