"""How training scales over the workers of a cluster on this machine; `make scale`.

    python bench/scale.py [--rows 2200000] [--epochs 2] [--workers 1 2] [--out runs/scale]
    python bench/scale.py --kills 20       # that many workers are killed in the last fit
    python bench/scale.py --sweep          # 32 settings, each a task
    python bench/scale.py --peers          # lightgbm.dask and xgboost.dask beside it
    python bench/scale.py --memory         # 8 GB of files within 2 GB of memory

Rows with 28 columns, as HIGGS has, by a rule that is known; 128-128 units, batches of 512, one
thread a worker. Prints a table and draws it; the bits have to be the same for every row of it.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import time
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import Client

import scale_kills
import scale_memory
import scale_peers
import scale_sweep
from cnn_core.dask import DaskMLPClassifier
from cnn_core.dask.client import local_cluster
from cnn_core.network import Dense, Network
from cnn_core.optimizers import Adam
from cnn_core.sharding.rounds import Plan
from cnn_core.sharding.steps import default_round_steps

COLUMNS, BATCH, UNITS = 28, 512, (128, 128)


def main() -> None:
    args = _arguments()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if args.memory:
        scale_memory.run(args.gigabytes, 2.0, args.out)
        return
    if args.peers:
        scale_peers.run(args, rows, area)
        return
    if args.sweep:
        scale_sweep.run(args.workers, args.rows // 20, args.epochs)
        return
    lines = [("workers", "shards", "seconds", "samples/s", "times", "AUC", "bits")]
    speeds = []
    for n_workers in args.workers:
        kills = args.kills if n_workers == args.workers[-1] else 0
        seconds, auc, bits = _train(args, n_workers, kills)
        speeds.append(args.rows * args.epochs / seconds)
        lines.append(
            (
                str(n_workers),
                str(args.shards),
                f"{seconds:.1f}",
                f"{speeds[-1]:,.0f}",
                f"{speeds[-1] / speeds[0]:.2f}",
                f"{auc:.4f}",
                bits,
            )
        )
        print("  ".join(f"{cell:>11}" for cell in lines[-1]), flush=True)
    steps = default_round_steps(_plan(args))
    print(f"\n{args.rows:,} rows, epochs: {args.epochs}, rounds of {steps} steps\n")
    print("\n".join("  ".join(f"{cell:>11}" for cell in line) for line in lines))
    args.out.mkdir(parents=True, exist_ok=True)
    _draw(args.out / "scale.png", args, speeds)
    print(f"\npicture: {args.out / 'scale.png'}")


def _train(args: argparse.Namespace, n_workers: int, kills: int) -> tuple[float, float, str]:
    """Return the seconds of the epochs, the area under the curve on new rows, and a hash."""
    # Workers that are killed often may be away a while after they were lost once.
    patient = dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"})
    with patient, local_cluster(n_workers, processes=True) as cluster, Client(cluster):
        X, y = rows(args.rows, max(args.shards, 16), seed=0)
        more, labels = (one.compute() for one in rows(50_000, 1, seed=1))
        model = DaskMLPClassifier(
            UNITS,
            batch_size=BATCH,
            max_iter=args.epochs,
            schedule="one_cycle",
            learning_rate_init=0.004,
            random_state=0,
            n_shards=args.shards,
        )
        killer = scale_kills.Killer(cluster, kills)
        killer.start()
        began = time.perf_counter()
        model.fit(X, y)
        whole = time.perf_counter() - began
        killer.over.set()
        print(f"{n_workers} workers, {killer.done} killed: {model.rounds_}", flush=True)
        # Without what is done once: making the rows, looking at them, and dealing them.
        seconds = sum(model.model_.history["seconds"])
        print(
            "epochs: "
            + ", ".join(f"{one:.2f} s" for one in model.model_.history["seconds"])
            + f"; {whole:.1f} s in all, with the making of the rows and their dealing"
        )
        probabilities = model.to_local().predict_proba(more)[:, 1]
    parameters = model.model_.parameters.tobytes()
    return seconds, area(labels, probabilities), hashlib.sha256(parameters).hexdigest()[:8]


def rows(n: int, n_parts: int, seed: int) -> tuple[Any, Any]:
    """Return samples and classes: the sign of a few products and squares, and noise."""
    chunks = -(-n // n_parts)
    random = da.random.default_rng(seed)
    X = random.normal(size=(n, COLUMNS), chunks=(chunks, COLUMNS)).astype(np.float32)
    noise = random.normal(size=n, chunks=chunks).astype(np.float32)
    signal = X[:, 0] * X[:, 1] + X[:, 2] ** 2 - 1 + np.abs(X[:, 3]) * X[:, 4] + noise
    return X, (signal > 0).astype(np.int8)


def area(labels: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    """Return the area under the receiver operating characteristic (Mann and Whitney, 1947)."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores, kind="stable")] = np.arange(1, len(scores) + 1)
    positive = int(labels.sum())
    above = ranks[labels == 1].sum() - positive * (positive + 1) / 2
    return float(above / (positive * (len(labels) - positive)))


def _plan(args: argparse.Namespace) -> Plan:
    sizes = (COLUMNS, *UNITS)
    layers = [Dense(*sizes[place : place + 2], "relu") for place in range(len(UNITS))]
    network = Network((*layers, Dense(UNITS[-1], 1, "sigmoid")), "binary_cross_entropy", Adam())
    return Plan(network, np.dtype(np.float32), 0, BATCH, args.rows, args.shards)


def _draw(path: Path, args: argparse.Namespace, speeds: list[float]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5.5, 3.5), layout="constrained")
    workers = args.workers
    even = [speeds[0] * one / workers[0] for one in workers]
    axes.plot(workers, even, "--", color="grey", label="in proportion")
    axes.plot(workers, speeds, "o-", label="measured")
    for one, speed in zip(workers, speeds, strict=True):
        text = f"{speed:,.0f}\n{speed / speeds[0]:.2f} times"
        axes.annotate(
            text, (one, speed), (0, -10), textcoords="offset points", ha="center", va="top"
        )
    title = f"{args.rows:,} rows of {COLUMNS} columns, {'-'.join(map(str, UNITS))} units"
    axes.set(xlabel="workers, one thread each", ylabel="samples a second", title=title)
    axes.set(ylim=(0, 1.1 * max(*speeds, *even)))
    axes.set_xticks(workers)
    axes.margins(x=0.2)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_200_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--only", help="a part of the name of those that --peers measures")
    parser.add_argument("--gigabytes", type=float, default=8.0, help="of the files of --memory")
    parser.add_argument("--out", type=Path, default=Path("runs/scale"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
