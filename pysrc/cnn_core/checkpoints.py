"""The old path of `cnn_core.io.checkpoint`, which stays."""

from cnn_core.io.checkpoint import Checkpoint, CheckpointError

__all__ = ["Checkpoint", "CheckpointError"]
