"""What the tests of checkpoints share."""

from __future__ import annotations

import pytest

from checkpointed import KIND, NETWORKS, KillAfter, KilledError, train


@pytest.fixture
def killed(tmp_path):
    """The file of a training that was killed in its fourth epoch."""
    network, settings = NETWORKS[KIND]
    path = tmp_path / "file"
    with pytest.raises(KilledError):
        train(network, "numpy", settings, path, KillAfter(3))
    return path
