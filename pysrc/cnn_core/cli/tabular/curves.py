"""The loss of each network of a table's learner, epoch by epoch: its curves, and their file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from cnn_core.cli.pages.contents import Member, Members
from cnn_core.files import open_file, write_table
from cnn_core.training.callbacks import Callback
from cnn_core.training.state import TrainingState

__all__ = ["LOSS_NAMES", "MemberLosses", "read_curves", "watched", "write_curves"]

# What is watched of a network, by its name in its history and in the file.
LOSS_NAMES = {
    "validation_loss": "Loss on the rows held out",
    "loss": "Loss of the training",
}


class MemberLosses(Callback):
    """Keeps the losses of the networks that a learner trains."""

    def __init__(self) -> None:
        self._name = ""
        self._losses: list[tuple[float, ...]] = []

    def on_train_end(self, state: TrainingState) -> None:
        """Keep the losses of a network."""
        self._name, losses = watched(state.model.history)
        self._losses.append(losses)

    def members(self, n_networks: int) -> Members | None:
        """Return the curves if they are those of all networks, the same whoever was done first."""
        if len(self._losses) != n_networks or not all(self._losses):
            return None
        return _members(self._name, sorted(self._losses))


def watched(history: dict[str, list[float]]) -> tuple[str, tuple[float, ...]]:
    """Return what is watched of a network: its loss on rows held out, if there are any."""
    name = next((name for name in LOSS_NAMES if history.get(name)), "loss")
    return name, tuple(history.get(name, ()))


def _members(name: str, losses: list[tuple[float, ...]]) -> Members:
    return Members(tuple(Member(one, is_done=True) for one in losses), LOSS_NAMES[name])


def write_curves(path: Path, members: Members) -> None:
    """Write curves as a table, a row for each epoch of each network."""
    (name,) = (name for name, words in LOSS_NAMES.items() if words == members.loss_name)
    rows = (
        [number, epoch, loss]
        for number, member in enumerate(members.members, start=1)
        for epoch, loss in enumerate(member.losses, start=1)
    )
    write_table(path, [["network", "epoch", name], *rows])


def read_curves(path: Path) -> Members | None:
    """Return the curves that `write_curves` wrote, None where there are none.

    Raises
    ------
    OSError, ValueError
        If the table cannot be read, or is damaged.
    """
    if not path.exists():
        return None
    losses: dict[str, list[float]] = {}
    with io.TextIOWrapper(open_file(path), encoding="utf-8", newline="") as stream:
        try:
            (_, _, name), *rows = csv.reader(stream)
            for network, _, loss in rows:
                losses.setdefault(network, []).append(float(loss))
            return _members(name, [tuple(one) for one in losses.values()])
        except (csv.Error, ValueError, KeyError) as error:
            raise ValueError(
                f"{path}: expected a loss for each epoch of each network; remove it, or train again"
            ) from error
