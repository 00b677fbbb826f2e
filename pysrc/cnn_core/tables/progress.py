"""Progress of the training of many networks, in one line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from cnn_core.training.callbacks import Callback, ProgressLine
from cnn_core.training.state import TrainingState


class MembersProgress(Callback):
    """Shows finished networks and steps, and the last loss on held-out rows.

    Parameters
    ----------
    n_members : int
    n_steps : int
        Of all networks together.
    stream : text stream, optional
        By default what is ``sys.stderr`` when the first training begins.
    clock : callable
        Gives the time in seconds.
    """

    def __init__(
        self,
        n_members: int,
        n_steps: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._n_members, self._n_steps = n_members, n_steps
        self._stream, self._clock = stream, clock
        self._line: ProgressLine | None = None
        # Of the networks that are being trained, and those that the others were to take.
        self._steps: dict[int, int] = {}
        self._steps_done = self._done = 0

    def on_train_begin(self, state: TrainingState) -> None:
        """Begin the line with the first network."""
        if self._line is None:
            out = sys.stderr if self._stream is None else self._stream
            self._line = ProgressLine(out, clock=self._clock)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Show the progress of all networks."""
        self._steps[id(state)] = state.model.steps
        self._show(state)

    def on_train_end(self, state: TrainingState) -> None:
        """Count the network, and end the line with the last one."""
        # A network that stopped early takes no more steps.
        self._steps.pop(id(state), None)
        self._done += 1
        self._steps_done = self._n_steps * self._done // self._n_members
        assert self._line is not None
        self._show(state)
        if self._done == self._n_members:
            self._line.end()

    def _show(self, state: TrainingState) -> None:
        assert self._line is not None
        steps = min(self._steps_done + sum(self._steps.values()), self._n_steps)
        text = f"network {self._done}/{self._n_members}  step {steps:,}/{self._n_steps:,}"
        record = state.record
        if record is not None and record.validation_loss is not None:
            text += f"  validation loss {record.validation_loss:.5f}"
        self._line.show(steps, self._n_steps, text)
