"""What goes wrong on a cluster: what is said of it, and that a training goes on from there."""

from __future__ import annotations

import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, KilledWorker

from cnn_core import Checkpoint
from cnn_core.callbacks import Callback, OnEpoch
from cnn_core.dask import ClusterError, DaskMLPClassifier, PartitionError, recovery
from cnn_core.dask.runner import OnCluster
from cnn_core.sharding import blocks
from sharded_fits import ROUND_STEPS, SETTINGS, ClassifierInShards, bits_of
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
    with (
        Client(n_workers=0, threads_per_worker=1, processes=False, dashboard_address=":0") as one,
        warnings.catch_warnings(record=True) as told,
    ):
        warnings.simplefilter("always")

        def start() -> None:
            while not told:
                time.sleep(0.01)
            one.cluster.scale(1)

        threading.Thread(target=start, daemon=True).start()
        fitted = DaskMLPClassifier(**ON_DASK, client=one).fit(X, y)
    assert "no worker, so that the training waits for one" in str(told[0].message)
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


def test_one_that_is_given_up_twice_ends_the_training_which_can_be_resumed(
    client: Client, bits: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    X, y, _ = data()
    checkpoint = Checkpoint(tmp_path / "checkpoint", every_epochs=1)
    with monkeypatch.context() as patched:
        GivenUp(patched, {2, 3})
        with pytest.raises(ClusterError, match=r"shard 1 \(partition 0 of X\): 4 workers died"):
            DaskMLPClassifier(**ON_DASK).fit(X, y, checkpoint=checkpoint)
    before = (tmp_path / "checkpoint").read_bytes()
    assert bits_of(DaskMLPClassifier(**ON_DASK).fit(X, y, checkpoint=checkpoint)) == bits
    assert (tmp_path / "checkpoint").read_bytes() != before


def test_a_file_that_is_gone_in_mid_training_is_named_and_its_return_resumes_it(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    X, y, _ = data()
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)
    paths = [tmp_path / f"x-{number}.npy" for number in range(2)]
    for path, part in zip(paths, np.array_split(X, 2), strict=True):
        np.save(path, part)
    whole = bits_of(DaskMLPClassifier(**ON_DASK).fit(paths, y))
    checkpoint = Checkpoint(tmp_path / "checkpoint", every_epochs=1)
    take_away = OnEpoch(lambda record: paths[1].rename(tmp_path / "elsewhere"))
    with pytest.raises(PartitionError, match=r"x-1\.npy: no such file"):
        DaskMLPClassifier(**ON_DASK, callbacks=[take_away]).fit(paths, y, checkpoint=checkpoint)
    (tmp_path / "elsewhere").rename(paths[1])
    assert bits_of(DaskMLPClassifier(**ON_DASK).fit(paths, y, checkpoint=checkpoint)) == whole


def test_a_class_that_one_shard_lacks_does_no_harm(client: Client) -> None:
    X, y, _ = data()
    order = np.argsort(y, kind="stable")
    loop = ClassifierInShards(**SETTINGS).of(3).fit(X[order], y[order])
    settings = {**SETTINGS, "n_shards": 3, "round_steps": ROUND_STEPS}
    assert bits_of(DaskMLPClassifier(**settings).fit(X[order], y[order])) == bits_of(loop)
