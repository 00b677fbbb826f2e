"""The live page of a training on a table: ``cnn-core train --watch``, and ``cnn-core watch``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnn_core import load
from cnn_core.cli.console import one_line
from cnn_core.cli.pages.contents import Contents, Member, Members, Tile
from cnn_core.cli.pages.live import Checkpoints, Progress, page_of
from cnn_core.cli.pages.rendering import sections
from cnn_core.cli.run_page import shown_settings
from cnn_core.cli.table_page import table_contents
from cnn_core.cli.tabular.curves import LOSS_NAMES, watched
from cnn_core.cli.tabular.report import record, tested_of
from cnn_core.cli.tabular.training import TableTraining
from cnn_core.cli.watching import shown_live
from cnn_core.io.checkpoint_json import decoded
from cnn_core.io.container import read_tensors
from cnn_core.io.model_state import TRAINING
from cnn_core.training.state import TrainingState

__all__ = ["MembersOfFiles", "watching"]


@contextmanager
def watching(training: TableTraining, folder: Path, port: int) -> Iterator[None]:
    """Serve the live page of a training while the block runs; its address goes to standard error.

    Parameters
    ----------
    training : TableTraining
        Not yet run.
    folder : pathlib.Path
        Its run folder.
    port : int
        0: any that is free.

    Raises
    ------
    OSError
        If the port is taken.
    """
    name = one_line(training.samples.name)
    progress = MembersProgress(name, training.settings(), training.n_networks())
    training.callbacks.append(progress)
    page = page_of(name, progress.state, None)

    def at_the_end() -> Contents:
        return table_contents(tested_of(training, folder, record(training)))

    with shown_live(progress, page, port, at_the_end):
        yield


class MembersProgress(Progress):
    """The networks of a table's learner in training.

    Parameters
    ----------
    name : str
        Of the data.
    settings : dict
        As the record keeps them.
    n_networks : int
    """

    def __init__(self, name: str, settings: dict[str, Any], n_networks: int) -> None:
        super().__init__(f"{n_networks} networks")
        self._name, self._settings, self._n_networks = name, settings, n_networks
        self._begun, self._loss_name = time.monotonic(), ""
        self._members: list[Member] = []
        # Where the networks that are trained now stand among all.
        self._places: dict[int, int] = {}

    def contents(self) -> Contents | None:
        """Return what the page tells of the networks that have begun, after an epoch of one."""
        if not self._loss_name:
            return None
        seconds = time.monotonic() - self._begun
        return _contents(
            self._name,
            self._settings,
            self._members,
            self._loss_name,
            self._n_networks,
            seconds=seconds,
        )

    def on_train_begin(self, state: TrainingState) -> None:
        """Put a network behind those that have begun before."""
        with self.lock:
            self._places[id(state)] = len(self._members)
            self._members.append(Member((), is_done=False))

    def on_epoch_end(self, state: TrainingState) -> None:
        """Keep the losses of a network."""
        with self.lock:
            self._update(self._places[id(state)], state, is_done=False)

    def on_train_end(self, state: TrainingState) -> None:
        """Count a network as done."""
        with self.lock:
            self._update(self._places.pop(id(state)), state, is_done=True)

    def _update(self, place: int, state: TrainingState, *, is_done: bool) -> None:
        self._loss_name, losses = watched(state.model.history)
        self._members[place] = Member(losses, is_done)
        done = sum(member.is_done for member in self._members)
        self.status = f"{done} of {self._n_networks} networks are done"
        self.version += 1


class MembersOfFiles(Checkpoints):
    """The networks of a training that another process goes on with, by their checkpoints.

    Parameters
    ----------
    folder : pathlib.Path
        Of the checkpoints, in the folder of the training.
    name : str
        Of the data.
    settings : dict
        As the record keeps them.
    """

    def __init__(self, folder: Path, name: str, settings: dict[str, Any]) -> None:
        super().__init__(folder.parent)
        self._files, self._name, self._settings = folder, name, settings
        self._read: dict[Path, tuple[int, Member]] = {}

    def read(self) -> None:
        """Read the checkpoints that were written anew."""
        loss_name = ""
        for file in sorted(self._files.glob("*.safetensors")):
            try:
                written = file.stat().st_mtime_ns
                if file in self._read and self._read[file][0] == written:
                    continue
                tensors, metadata = read_tensors(file)
                is_done = decoded(json.loads(metadata[TRAINING]), tensors)["finished"]
                history = load(file, backend="numpy").history
            except (OSError, ValueError, KeyError, TypeError):
                # It is being replaced.
                continue
            loss_name, losses = watched(history)
            self._read[file] = (written, Member(losses, bool(is_done)))
        if loss_name:
            members = [member for _, member in self._read.values()]
            contents = _contents(self._name, self._settings, members, loss_name)
            self.version += 1
            self.html = sections(contents, live=True)


def _contents(
    name: str,
    settings: dict[str, Any],
    members: list[Member],
    loss_name: str,
    n_networks: int | None = None,
    *,
    seconds: float | None = None,
) -> Contents:
    done = sum(member.is_done for member in members)
    last = [member.losses[-1] for member in members if member.losses]
    best = [min(member.losses) for member in members if member.losses]
    tiles = [
        Tile(f"{done}", "networks are done" if n_networks is None else f"of {n_networks} networks"),
        Tile(f"{len(members) - done}", "in training"),
        *([Tile(f"{sum(best) / len(best):.4f}", "best loss of a network, mean")] if best else []),
        *([] if seconds is None else [Tile(f"{seconds:.0f} s", "since it began")]),
    ]
    numbered = [
        (
            f"network {number}",
            f"{'done, ' if member.is_done else ''}{len(member.losses)} epochs, "
            f"loss {member.losses[-1]:.4f}, best {min(member.losses):.4f}",
        )
        for number, member in enumerate(members, start=1)
        if member.losses
    ]
    return Contents(
        title=name,
        sentence=f"Networks are learning from {name}, to predict together. The weights of the best "
        "epoch of each are kept, if it has rows held out.",
        tiles=tiles if last else tiles[:2],
        members=Members(tuple(members), LOSS_NAMES[loss_name]),
        facts={"Networks": numbered, "Settings": shown_settings(settings)},
    )
