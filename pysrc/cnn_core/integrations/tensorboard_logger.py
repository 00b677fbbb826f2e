"""`TensorBoardLogger`: curves for TensorBoard, without TensorFlow or PyTorch."""

from __future__ import annotations

import os
import time
from typing import Any

from cnn_core.integrations.tool import ToolCallback, measured_in, tool
from cnn_core.training.state import TrainingState


class TensorBoardLogger(ToolCallback):
    """Writes the measurements of each epoch as scalars; ``tensorboard --logdir runs`` shows them.

    Parameters
    ----------
    folder : path-like
        Created if necessary. Use one for each training; its name is shown.

    Raises
    ------
    ImportError
        When a training begins, if tensorboard is not installed.
    """

    _settings = ("folder",)

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        self._writer: Any = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _writer=None)

    def on_train_begin(self, state: TrainingState) -> None:
        """Open an event file."""
        module = tool("tensorboard.summary.writer.event_file_writer", "tensorboard")
        self._writer = module.EventFileWriter(self.folder)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Write the values of the epoch."""
        record = state.record
        assert record is not None
        event = tool("tensorboard.compat.proto.event_pb2", "tensorboard").Event
        summary = tool("tensorboard.compat.proto.summary_pb2", "tensorboard").Summary
        values = [
            summary.Value(tag=name.replace("validation_", "validation/"), simple_value=value)
            for name, value in measured_in(record).items()
        ]
        self._writer.add_event(
            event(wall_time=time.time(), step=record.epoch, summary=summary(value=values))
        )
        self._writer.flush()

    def on_train_end(self, state: TrainingState) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
