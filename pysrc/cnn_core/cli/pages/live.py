"""A run as a live page: its current contents, with a version number that grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from cnn_core import SGD, Model
from cnn_core.cli.pages.contents import Contents
from cnn_core.cli.pages.drawing import DrawingField
from cnn_core.cli.pages.rendering import live_page, sections
from cnn_core.cli.pages.server import LivePage
from cnn_core.cli.trained_model import Trained
from cnn_core.training.callbacks import Callback
from cnn_core.training.state import TrainingState

__all__ = ["Checkpoints", "NetworkProgress", "Progress", "Shown", "page_of"]

# Seconds between two copies of the weights of a training.
_SECONDS = 0.25


class Shown:
    """Final contents of the page, which no longer change."""

    def __init__(self, contents: Contents, status: str) -> None:
        self._html = sections(contents, live=True)
        self._status = status

    def state(self, version: int) -> dict[str, Any]:
        """Return the update for a browser that has this version."""
        html = None if version == 0 else self._html
        return {"version": 0, "status": self._status, "done": True, "html": html}


class Progress(Callback):
    """State of a training, for the threads of a server.

    Hooks of the training change it under `lock`; subclasses return the contents of the page.

    Parameters
    ----------
    length : str
        Planned length of the training, as text.
    """

    def __init__(self, length: str) -> None:
        self.lock = threading.Lock()
        self.status = f"beginning: {length}"
        # Grows with every change of the contents.
        self.version = 0
        self._done = False
        self._html: tuple[int, str] = (-1, "")
        self._last_seen = -1

    def contents(self) -> Contents | None:
        """Return the current contents of the page, or None; called under `lock`."""
        raise NotImplementedError

    def ends(self, contents: Contents) -> None:
        """Set the final contents."""
        with self.lock:
            self.version += 1
            self._html = (self.version, sections(contents, live=True))
            self._done, self.status = True, "the training has ended"

    def state(self, version: int) -> dict[str, Any]:
        """Return the update for a browser that has this version."""
        with self.lock:
            self._last_seen = self.version
            if self._html[0] != self.version:
                contents = self.contents()
                if contents is not None:
                    self._html = (self.version, sections(contents, live=True))
            html = self._html[1] if version != self.version and self._html[1] else None
            return {
                "version": self.version,
                "status": self.status,
                "done": self._done,
                "html": html,
            }

    def wait_until_seen(self, seconds: float) -> None:
        """Wait until a connected browser has the final contents."""
        end = time.monotonic() + seconds
        while -1 < self._last_seen < self.version and time.monotonic() < end:
            time.sleep(0.05)


class NetworkProgress(Progress):
    """A network in training.

    Parameters
    ----------
    contents : callable
        Gives the contents of the page from a model with its history.
    n_classes : int
    length : str
        Planned length of the training, as text.
    """

    def __init__(self, contents: Callable[[Model], Contents], n_classes: int, length: str) -> None:
        super().__init__(length)
        self._contents = contents
        self._n_classes = n_classes
        self._length = length
        self._model: Model | None = None
        self._due = 0.0

    def contents(self) -> Contents | None:
        """Return what the page tells of the last copy of the network."""
        return None if self._model is None else self._contents(self._model)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Copy the weights and the history, if the last copy is old enough."""
        record = state.record
        if record is None:
            return
        rate = record.samples / max(record.seconds, 1e-9)
        with self.lock:
            self.status = f"epoch {record.epoch} of {self._length}, {rate:,.0f} samples/s"
            if time.monotonic() >= self._due:
                self._copy(state.model)
                self._due = time.monotonic() + _SECONDS

    def _copy(self, model: Any) -> None:
        if self._model is None:
            network = replace(model.network, optimizer=SGD(), averaging=0.0)
            self._model = Model(network, dtype=model.dtype, backend=model.backend, n_threads=1)
        weights = model.weights()
        self._model.parameters[...] = weights.get("average", weights["parameters"])
        if "statistics" in weights:
            self._model.statistics[...] = weights["statistics"]
        self._model.history = {name: list(values) for name, values in model.history.items()}
        self.version += 1

    def network(self) -> Trained | None:
        """Return a network of its own that has learned what the training has so far."""
        with self.lock:
            if self._model is None:
                return None
            copied = Model(
                self._model.network,
                dtype=self._model.dtype,
                backend=self._model.backend,
                n_threads=1,
            )
            copied.parameters[...] = self._model.parameters
            copied.statistics[...] = self._model.statistics
        return Trained(copied, self._n_classes)


class Checkpoints:
    """The page of a training that another process goes on with, by its checkpoints.

    A subclass reads them, sets `html` and counts `version` up, under `lock`.

    Parameters
    ----------
    folder : pathlib.Path
        When it is no longer there the training is over.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self.version, self.html = 0, ""

    def read(self) -> None:
        """Read what is new."""
        raise NotImplementedError

    def state(self, version: int) -> dict[str, Any]:
        """Return the update for a browser that has this version."""
        with self.lock:
            is_over = not self.folder.is_dir()
            if not is_over:
                self.read()
            status = "the training has ended; watch the run folder again" if is_over else "training"
            html = self.html if self.html and version != self.version else None
            return {"version": self.version, "status": status, "done": is_over, "html": html}


def page_of(
    title: str, state: Callable[[int], dict[str, Any]], field: DrawingField | None
) -> LivePage:
    """Return the page that shows `state`, with a field to draw in if there is one."""
    files = {
        "": ("text/html; charset=utf-8", live_page(title, field).encode()),
        "watch.js": ("text/javascript; charset=utf-8", _script()),
    }
    post: Any = {} if field is None else {"answer": field.answer, "example": field.example}
    return LivePage(files, state, post)


def _script() -> bytes:
    return resources.files("cnn_core.cli.pages").joinpath("templates/watch.js").read_bytes()
