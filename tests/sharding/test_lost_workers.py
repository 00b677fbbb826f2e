"""Clusters whose workers are killed, join later or are slow; a scheduler that is gone."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from distributed import Client

from cnn_core.callbacks import OnEpoch
from cnn_core.dask import ClusterError, DaskMLPClassifier
from cnn_core.io.checkpoint import Checkpoint
from killed_workers import Kills, processes
from sharded_fits import SETTINGS, bits_of
from sharded_fits import small_classes as data

ON_DASK = {**SETTINGS, "max_iter": 3, "n_shards": 4, "round_steps": 8}


def many() -> tuple[Any, Any]:
    X, y, _ = data(2000)
    return da.from_array(X, (250, 5)), da.from_array(y, 250)


@pytest.fixture(scope="module")
def bits() -> Any:
    with Client(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"):
        return bits_of(DaskMLPClassifier(**ON_DASK).fit(*many()))


@pytest.mark.slow
def test_a_worker_that_joins_or_leaves_changes_no_bit(client: Client, bits: Any) -> None:
    def scale(record: Any) -> None:
        client.cluster.scale(3 if record.epoch == 1 else 2)

    fitted = DaskMLPClassifier(**ON_DASK, callbacks=[OnEpoch(scale)]).fit(*many())
    assert bits_of(fitted) == bits


@pytest.mark.slow
def test_workers_that_are_killed_in_a_fit_change_no_bit(bits: Any) -> None:
    with processes() as (cluster, _):
        kills = Kills(cluster, 6, n_rounds=36)
        assert bits_of(DaskMLPClassifier(**ON_DASK, callbacks=[kills]).fit(*many())) == bits
        kills.join()
    assert kills.done == 6


@pytest.mark.slow
def test_a_slow_worker_changes_no_bit(bits: Any) -> None:
    def hold_up(dask_worker: Any) -> None:
        if dask_worker.name == 0:
            threading.Thread(target=_busy, daemon=True).start()

    with processes() as (_, client):
        client.run(hold_up)
        assert bits_of(DaskMLPClassifier(**ON_DASK).fit(*many())) == bits


def _busy() -> None:
    end = time.time() + 5
    while time.time() < end:
        pass


@pytest.mark.slow
def test_without_a_scheduler_the_checkpoint_resumes_elsewhere(bits: Any, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint", every_epochs=1)
    with processes() as (cluster, _):

        def end(record: Any) -> None:
            if record.epoch == 2:
                cluster.close()

        with pytest.raises(ClusterError, match="is gone"):
            DaskMLPClassifier(**ON_DASK, callbacks=[OnEpoch(end)]).fit(
                *many(), checkpoint=checkpoint
            )
    with Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"):
        resumed = DaskMLPClassifier(**ON_DASK).fit(*many(), checkpoint=checkpoint)
    assert resumed.model_.parameters.tobytes() == bits[0]["parameters"]


@pytest.mark.slow
def test_a_partition_that_takes_too_much_memory_is_named() -> None:
    X, y, _ = data()

    def greedy(part: np.ndarray[Any, Any], block_info: Any = None) -> np.ndarray[Any, Any]:
        if block_info:
            # Slowly, since Dask looks ten times a second.
            taken = [(time.sleep(0.05), np.ones(2**23))[1] for _ in range(20)]
            # On a busy machine it looks late; it ends this long before the time is over.
            time.sleep(60)
            return part * taken[0][0]
        return part

    # One alone: Dask blames any of those that wait at a worker that dies.
    large = da.from_array(X, X.shape).map_blocks(greedy, dtype=X.dtype, meta=X[:0]) * 2
    with (
        processes(memory_limit="600MB") as (_, _client),
        pytest.raises(ClusterError, match=r"partition 0 of X: 4 workers died .* too little memory"),
    ):
        DaskMLPClassifier(**ON_DASK).fit(large, da.from_array(y, y.shape))
