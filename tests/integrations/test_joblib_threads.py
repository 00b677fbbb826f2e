"""Under joblib's threads, which share the cores, each model takes one."""

from __future__ import annotations

import os
import threading

import pytest

from cnn_core.backends.threads import available_threads

joblib = pytest.importorskip("joblib")


def test_a_thread_of_joblib_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CNN_CORE_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("cnn_core.backends.threads._cores", lambda: 8)
    monkeypatch.setattr("cnn_core.backends.threads._quotas", lambda root: [])
    work = [joblib.delayed(available_threads)() for _ in range(3)]
    assert joblib.Parallel(n_jobs=2, backend="threading")(work) == [1, 1, 1]
    # One job runs where it was asked for, and a thread of one's own is none of joblib's.
    assert joblib.Parallel(n_jobs=1)(work) == [8, 8, 8]
    found: list[int] = []
    own = threading.Thread(target=lambda: found.append(available_threads()))
    own.start()
    own.join()
    assert found == [8]
    monkeypatch.setitem(os.environ, "CNN_CORE_NUM_THREADS", "3")
    assert joblib.Parallel(n_jobs=2, backend="threading")(work) == [3, 3, 3]
