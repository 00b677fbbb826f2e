"""Time one training epoch of 60,000 samples through 784-128-10: every backend, every ISA level.

Each row is a process of its own, so that each loads one backend and NumPy's BLAS starts fresh; the
rows take turns, round after round, and the minimum counts. Before it is timed, every row trains on
the same small problem, shuffled, with the batch size that is timed; a row whose loss there differs
from the reference's is printed as nan.

    python bench/epoch.py [--batch-sizes 1 32 256] [--rounds 3] [--cores 0] [--blas Haswell]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from typing import Any

SAMPLES = 60_000
LAYERS = (784, 128, 10)
# Forward and backward without the gradient of the input: 2 operations for each multiply-add.
OPERATIONS_PER_SAMPLE = 2 * (2 * 784 * 128 + 3 * 128 * 10)
# They may be set for other machines' sake and halve NumPy's speed.
BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def measure(batch_size: int, samples: int) -> dict[str, float]:
    """Train one epoch in this process; return its seconds and the loss of a fixed small problem."""
    import numpy as np

    from cnn_core import backends
    from cnn_core.network import Dense, Network

    network = Network((Dense(*LAYERS[:2]), Dense(*LAYERS[1:])))
    rng = np.random.RandomState(0)
    start = (rng.normal(size=network.n_parameters()) * 0.05).astype(np.float32)
    x = rng.random_sample((samples, LAYERS[0])).astype(np.float32)
    x[x < 0.5] = 0
    t = np.eye(LAYERS[-1], dtype=np.float32)[rng.randint(0, LAYERS[-1], samples)]
    order = rng.permutation(samples).astype(np.intp)

    small = backends.get().engine(network, start.copy())
    for _ in range(3):
        loss, _ = small.train_epoch(x[:500], t[:500], rng.permutation(500), batch_size, 0.1)
    engine = backends.get().engine(network, start.copy())
    engine.train_epoch(x[:2000], t[:2000], None, batch_size, 0.5)
    begun = time.perf_counter()
    engine.train_epoch(x, t, order, batch_size, 0.5)
    return {"seconds": time.perf_counter() - begun, "loss": loss}


def run_row(row: str, batch_size: int, samples: int, blas: str | None) -> dict[str, float]:
    """Measure one row, named ``numpy`` or by its ISA level, in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k not in BLAS_OVERRIDES}
    environment["CNN_CORE_BACKEND"] = "numpy" if row == "numpy" else "cython"
    if row != "numpy":
        environment["CNN_CORE_ISA"] = row
    if blas is not None:
        environment["OPENBLAS_CORETYPE"] = blas
    command = [sys.executable, __file__, "--measure", str(batch_size), str(samples)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(output.stdout)
    return result


def race(
    rows: list[str], batch_size: int, samples: int, arguments: argparse.Namespace
) -> dict[str, float]:
    """Return the least seconds of each row; NaN for a row that computes something else."""
    best = dict.fromkeys(rows, math.inf)
    for _ in range(arguments.rounds):
        results = {row: run_row(row, batch_size, samples, arguments.blas) for row in rows}
        reference = results["numpy"]["loss"]
        for row, result in results.items():
            right = math.isclose(result["loss"], reference, rel_tol=1e-4)
            best[row] = min(best[row], result["seconds"]) if right else math.nan
    return best


def print_table(info: dict[str, Any], rows: list[str], arguments: argparse.Namespace) -> None:
    """Run the races and print a line for each batch size."""
    print(f"cnn_core {info['versions']['cnn_core']}, {info['compiler']}, {os.cpu_count()} cores,")
    print(f"load {os.getloadavg()[0]:.1f}; {SAMPLES:,} samples, 784-128-10, float32, shuffled;")
    blas = f" with OpenBLAS's {arguments.blas} kernels" if arguments.blas else ""
    print(f"seconds an epoch (minimum), and in brackets the speed relative to NumPy{blas}\n")
    print(f"{'batch':>6}" + "".join(f"{row:>20}" for row in rows) + f"{'GFLOP/s, best':>16}")
    for batch_size in arguments.batch_sizes:
        # NumPy takes ten seconds at batch 1; a tenth of the data tells as much.
        samples = SAMPLES // 10 if batch_size < 8 else SAMPLES
        seconds = race(rows, batch_size, samples, arguments)
        scale = SAMPLES / samples
        cells = [
            f"{seconds[row] * scale:.3f} ({seconds['numpy'] / seconds[row]:.2f}x)" for row in rows
        ]
        rate = OPERATIONS_PER_SAMPLE * samples / min(seconds.values()) / 1e9
        print(f"{batch_size:>6}" + "".join(f"{cell:>20}" for cell in cells) + f"{rate:>16.0f}")


def main() -> None:
    """Parse the arguments, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 16, 64, 256, 2048])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, nargs="+", help="run on these cores only (Linux)")
    parser.add_argument(
        "--blas",
        metavar="CORETYPE",
        help="let NumPy's OpenBLAS take the kernels of this processor, for instance Haswell (AVX2)",
    )
    parser.add_argument("--measure", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    if arguments.cores:
        os.sched_setaffinity(0, arguments.cores)
    from cnn_core import backend_info

    info = backend_info()
    levels = [level for level in info["isa_detected"] if level in info["isa_built"]]
    print_table(info, ["numpy", *levels], arguments)


if __name__ == "__main__":
    main()
