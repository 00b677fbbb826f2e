"""A cluster without workers, and tasks that Dask has given up."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from distributed import Client, KilledWorker

from cnn_core.callbacks import Callback, OnEpoch
from cnn_core.dask import ClusterError, DaskMLPClassifier, recovery
from cnn_core.dask.runner import OnCluster
from sharded_fits import SETTINGS, bits_of
from sharded_fits import small_classes as data

ON_DASK = {**SETTINGS, "max_iter": 2, "n_shards": 2, "round_steps": 2}


@pytest.fixture(scope="module")
def bits(client: Client) -> Any:
    X, y, _ = data()
    return bits_of(DaskMLPClassifier(**ON_DASK).fit(X, y))


def test_a_cluster_without_workers_is_waited_for_with_a_warning(
    bits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, _ = data()
    monkeypatch.setattr(recovery, "_PATIENCE", 0.1)
    with Client(
        n_workers=0, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as client:
        start = threading.Timer(0.5, client.cluster.scale, (1,))
        start.start()
        with pytest.warns(UserWarning, match="no worker, so that the training waits for one"):
            fitted = DaskMLPClassifier(**ON_DASK, client=client).fit(X, y)
        start.join()
    assert bits_of(fitted) == bits


class GivenUp:
    """Lets Dask give up a task of some windows of rounds, after their first round."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, windows: set[int]) -> None:
        self.windows = 0
        plain = OnCluster._run_window

        def run(runner: OnCluster, *window: Any) -> Any:
            number, self.windows = self.windows, self.windows + 1
            for result in plain(runner, *window):
                yield result
                if number in windows:
                    raise KilledWorker("round-of-shard-1", None, 3)

        monkeypatch.setattr(OnCluster, "_run_window", run)


class Steps(Callback):
    """Notes the steps after each round."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_round_end(self, state: Any) -> None:
        self.seen.append(state.model.steps)


def test_a_task_that_is_given_up_by_chance_is_computed_once_more(
    client: Client, bits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, _ = data()
    given_up, steps = GivenUp(monkeypatch, {0, 2, 4}), Steps()
    assert bits_of(DaskMLPClassifier(**ON_DASK).fit(X, y)) == bits
    assert given_up.windows >= 4
    given_up.windows = 0
    assert bits_of(DaskMLPClassifier(**ON_DASK, callbacks=[steps]).fit(X, y)) == bits
    assert steps.seen == list(range(2, 33, 2))


def test_one_that_is_given_up_twice_ends_the_training(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, _ = data()
    epochs: list[int] = []
    GivenUp(monkeypatch, {1, 2})
    tell = OnEpoch(lambda record: epochs.append(record.epoch))
    with pytest.raises(ClusterError, match=r"shard 1 \(partition 0 of X\): 4 workers died"):
        DaskMLPClassifier(**ON_DASK, callbacks=[tell]).fit(X, y)
