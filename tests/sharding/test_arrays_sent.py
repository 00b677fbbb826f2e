"""Arrays that another process has sent begin anywhere: loops read them in memory of their own."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from cnn_core.arrays import aligned_within
from cnn_core.class_targets import ClassTargets
from cnn_core.sharding.shard import ArrayShard
from cnn_core.sparse import SparseRows

ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)
LABELS = ClassTargets(np.array([0, 1, 1]), 2)
SPARSE = SparseRows(np.ones(2), np.array([0, 1], np.int32), np.array([0, 1, 1, 2]), 2)


def sent(value: Any) -> Any:
    """Return a value as a cluster passes it on: its arrays lie in what was sent, one byte late."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    late = [memoryview(b"\0" + bytes(one.raw()))[1:] for one in buffers]
    return pickle.loads(data, buffers=late)


def arrays_in(value: Any) -> list[Any]:
    if isinstance(value, np.ndarray):
        return [value]
    return (
        [one for part in vars(value).values() for one in arrays_in(part)]
        if (hasattr(value, "__dict__"))
        else []
    )


@pytest.mark.parametrize("value", [ROWS, LABELS, SPARSE], ids=["rows", "labels", "sparse"])
def test_sent_arrays_are_copied_where_they_must_be(value: Any) -> None:
    found = sent(value)
    assert not all(one.flags.aligned for one in arrays_in(found))
    own = aligned_within(found)
    assert type(own) is type(value)
    for one, expected in zip(arrays_in(own), arrays_in(value), strict=True):
        assert one.flags.aligned
        np.testing.assert_array_equal(one, expected)
    assert aligned_within(ROWS) is ROWS


def test_a_shard_that_was_sent_has_memory_of_its_own() -> None:
    shard = sent(ArrayShard(ROWS, LABELS, None, np.array(["a", "b", "b"])))
    assert all(one.flags.aligned for one in arrays_in(shard))
    assert shard.weights is None
