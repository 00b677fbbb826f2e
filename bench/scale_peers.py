"""The same rows on the same cluster, learned by ``lightgbm.dask`` and ``xgboost.dask`` as well.

See ``make bench-scale``. Trees as their libraries have them by default, but for their number.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import dask
import numpy as np
import psutil
from distributed import Client, wait

from cnn_core.dask import DaskMLPClassifier
from cnn_core.dask.client import local_cluster

Made = Callable[[Client], Any]


class Contender(NamedTuple):
    """A learner.

    Attributes
    ----------
    name : str
    package : str
        That it needs.
    make : callable
        Returns the estimator for a client.
    """

    name: str
    package: str
    make: Made


def run(args: argparse.Namespace, rows: Callable[..., Any], area: Callable[..., float]) -> None:
    """Print time, memory and the area under the curve of each, on the same partitions.

    Parameters
    ----------
    args : argparse.Namespace
    rows : callable
        Returns samples and classes; see `scale.rows`.
    area : callable
        Of the receiver operating characteristic.
    """
    results = []
    for one in _contenders(args.only):
        if importlib.util.find_spec(one.package) is None:
            print(f"{one.name}: {one.package} is not installed, takes no part", flush=True)
            continue
        found = {"learner": one.name, "rows": args.rows, **_measured(one, args, rows, area)}
        results.append(found)
        print(
            f"{one.name:<28} {found['seconds']:7.1f} s  {found['megabytes']:7,.0f} MB  "
            f"AUC {found['auc']:.4f}",
            flush=True,
        )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "peers.json").write_text(json.dumps(results, indent=2) + "\n")


def _measured(
    one: Contender, args: argparse.Namespace, rows: Callable[..., Any], area: Callable[..., float]
) -> dict[str, float]:
    with local_cluster(args.workers[-1], processes=True) as cluster, Client(cluster) as client:
        X, y = dask.persist(*rows(args.rows, 16, seed=0))
        wait([X, y])
        more, labels = (part.compute() for part in rows(50_000, 1, seed=1))
        estimator = one.make(client)
        with _Peak() as peak:
            began = time.perf_counter()
            estimator.fit(X, y)
            seconds = time.perf_counter() - began
        scores = (
            estimator.to_local().predict_proba(more)
            if hasattr(estimator, "to_local")
            else (estimator.get_booster().inplace_predict(more))
        )
        scores = np.asarray(scores)
    return {
        "seconds": seconds,
        "megabytes": peak.bytes / 1e6,
        "auc": area(labels, scores[:, 1] if scores.ndim == 2 else scores),
    }


class _Peak:
    """The most memory of this process and its workers together, looked at ten times a second."""

    def __enter__(self) -> _Peak:
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        me = psutil.Process()
        while not self._over.wait(0.1):
            own = (me, *me.children(recursive=True))
            self.bytes = max(self.bytes, sum(_resident(one) for one in own))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _contenders(only: str | None) -> list[Contender]:
    found = [Contender(f"cnn_core, {n} epochs", "cnn_core", _network(n)) for n in (1, 3)]
    for n in (100, 300):
        found.append(Contender(f"lightgbm.dask, {n} trees", "lightgbm", _lightgbm(n)))
        found.append(Contender(f"xgboost.dask, {n} trees", "xgboost", _xgboost(n)))
    return [one for one in found if only is None or only in one.name]


def _network(epochs: int) -> Made:
    return lambda client: DaskMLPClassifier(
        (128, 128),
        batch_size=512,
        max_iter=epochs,
        schedule="one_cycle",
        learning_rate_init=0.004,
        random_state=0,
        n_shards=2,
        client=client,
    )


def _lightgbm(trees: int) -> Made:
    def make(client: Client) -> Any:
        from lightgbm.dask import DaskLGBMClassifier

        return DaskLGBMClassifier(n_estimators=trees, client=client, verbosity=-1)

    return make


def _xgboost(trees: int) -> Made:
    def make(client: Client) -> Any:
        from xgboost.dask import DaskXGBClassifier

        estimator = DaskXGBClassifier(n_estimators=trees, tree_method="hist")
        estimator.client = client
        return estimator

    return make
