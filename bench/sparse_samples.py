"""Time a fit and predictions on sparse matrices, beside scikit-learn's MLP.

Each measurement is a process of its own, so that its peak of memory is its own too.

    python bench/sparse_samples.py [--rounds 2]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
import warnings

import numpy as np

LIBRARIES = ("cnn_core", "sklearn.neural_network")
# Samples, features, stored values of each sample, units, epochs.
CASES = ((5_000, 20_000, 200, 100, 3), (20_000, 1_000_000, 100, 16, 1))
KIB_PER_MB = 1024


def measure(library: str, samples: int, features: int, stored: int, units: int, epochs: int) -> str:
    """Return seconds and memory of a fit, and the least time of five predictions."""
    import importlib

    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    spread = features // stored
    columns = rng.integers(0, spread, (samples, stored)) + np.arange(stored) * spread
    values = rng.normal(size=samples * stored).astype(np.float32)
    rows = np.arange(0, samples * stored + 1, stored)
    x = csr_matrix((values, columns.ravel().astype(np.int32), rows), (samples, features))
    classifier = importlib.import_module(library).MLPClassifier
    model = classifier((units,), max_iter=epochs, random_state=0)
    before = peak()
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, np.arange(samples) % 10)
    fit, memory = time.perf_counter() - begun, peak() - before
    predictions = []
    for _ in range(5):
        begun = time.perf_counter()
        model.predict(x)
        predictions.append(time.perf_counter() - begun)
    return (
        f"{samples:,} x {features:,}, {library.partition('.')[0]}: fit {fit:.2f} s for {epochs} "
        f"epochs, +{memory:.0f} MB; predict {min(predictions) * 1e3:.1f} ms"
    )


def peak() -> float:
    """Return the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MB


def main() -> None:
    parser = argparse.ArgumentParser(description="sparse matrices beside scikit-learn's MLP")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", nargs=2, metavar=("LIBRARY", "CASE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(measure(args.one[0], *CASES[int(args.one[1])]), flush=True)
        return
    for case in range(len(CASES)):
        for _ in range(args.rounds):
            for library in LIBRARIES:
                command = [sys.executable, __file__, "--one", library, str(case)]
                subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
