"""threadpoolctl knows the pool of threads, and limits it."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core import Dense, Model, Network
from cnn_core.integrations import register_threadpoolctl

threadpoolctl = pytest.importorskip("threadpoolctl")

pytestmark = [pytest.mark.compiled, pytest.mark.serial]


def threads() -> list[int]:
    found = threadpoolctl.threadpool_info()
    return [one["num_threads"] for one in found if one["internal_api"] == "cnn_core"]


def test_the_pool_is_known_and_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNN_CORE_NUM_THREADS", "4")
    register_threadpoolctl()
    register_threadpoolctl()
    assert threads() == [4]
    network = Network((Dense(200, 300, "relu"), Dense(300, 10, "identity")))
    model = Model(network, n_threads=4).initialize("auto", np.random.RandomState(0))
    x = np.random.default_rng(0).normal(size=(2000, 200)).astype(np.float32)
    expected = model.predict(x)
    with threadpoolctl.threadpool_limits(1):
        assert threads() == [1]
        np.testing.assert_array_equal(model.predict(x), expected)
    assert threads() == [4]
    with threadpoolctl.threadpool_limits(2, user_api="cnn_core"):
        assert threads() == [2]
        np.testing.assert_array_equal(model.predict(x), expected)
    np.testing.assert_array_equal(model.predict(x), expected)


def test_other_libraries_are_as_they_were() -> None:
    before = {one["filepath"] for one in threadpoolctl.threadpool_info()}
    register_threadpoolctl()
    after = threadpoolctl.threadpool_info()
    assert before <= {one["filepath"] for one in after}
    assert len({one["filepath"] for one in after}) == len(after)
