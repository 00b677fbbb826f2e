"""`NotebookProgress`: a progress bar in a notebook, with the last epoch's measurements."""

from __future__ import annotations

import html
import time
from typing import Any

from cnn_core.integrations.tool import ToolCallback, measured_in, tool
from cnn_core.training.state import TrainingState
from cnn_core.validation import positive

_BAR = (
    '<progress value="{done}" max="{total}" style="width: 20em; vertical-align: middle">'
    "</progress> <code>{text}</code>"
)


class NotebookProgress(ToolCallback):
    """Shows a bar below the cell while a training runs: Jupyter, Colab, VS Code.

    Parameters
    ----------
    every : float
        Least seconds between two updates; the last epoch is always shown.

    Raises
    ------
    ImportError
        When a training begins, if IPython is not installed.
    """

    _settings = ("every",)

    def __init__(self, every: float = 0.2) -> None:
        self.every = positive("every", every)
        self._handle: Any = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _handle=None)

    def on_train_begin(self, state: TrainingState) -> None:
        """Show an empty bar."""
        display = tool("IPython.display", "ipython")
        self._first = state.epoch
        self._shown_at = self._began = time.perf_counter()
        self._handle = display.display(self._picture(state), display_id=True)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Show the progress."""
        now = time.perf_counter()
        if now - self._shown_at >= self.every and self._handle is not None:
            self._shown_at = now
            self._handle.update(self._picture(state))

    def on_train_end(self, state: TrainingState) -> None:
        """Show the end of the training."""
        if self._handle is not None:
            self._handle.update(self._picture(state))
            self._handle = None

    def _picture(self, state: TrainingState) -> Any:
        done, total = state.epoch - self._first, state.last_epoch - self._first
        if state.record is None:
            done = 0
        parts = [f"epoch {done}/{total}", f"{time.perf_counter() - self._began:.0f} s"]
        if state.record is not None:
            parts += [
                f"{name.replace('_', ' ')} {value:.4g}"
                for name, value in measured_in(state.record).items()
                if name != "seconds"
            ]
        if state.stopped_because:
            parts.append(state.stopped_because)
        text = html.escape(", ".join(parts))
        bar = _BAR.format(done=done, total=max(1, total), text=text)
        return tool("IPython.display", "ipython").HTML(bar)
