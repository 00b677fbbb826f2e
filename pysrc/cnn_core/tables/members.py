"""The networks of an ensemble, trained side by side: one on each thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cnn_core.backends.threads import available_threads
from cnn_core.class_targets import Targets
from cnn_core.model import Model
from cnn_core.training.callbacks import Callback
from cnn_core.training.state import Recipe, TrainingState, Validation
from cnn_core.types import FloatArray, IndexArray


@dataclass(frozen=True, eq=False)
class Member:
    """A network and what it is trained on.

    Attributes
    ----------
    make : callable
        Returns the `Model` with its first weights.
    recipe : Recipe
    x, t, weights
        Of all rows.
    rows, validation_rows : arrays of int
        Those to train on, and those that are measured after every epoch.
    validation_t : targets of all rows, optional
        What is measured, if it is not `t`.
    callbacks : tuple of Callback
    """

    make: Callable[[], Model]
    recipe: Recipe
    x: npt.NDArray[Any]
    t: Targets
    rows: IndexArray
    validation_rows: IndexArray | None = None
    validation_t: Targets | None = None
    weights: FloatArray | None = None
    callbacks: tuple[Callback, ...] = ()


@dataclass(frozen=True, eq=False)
class TrainedMember:
    """What a training has given.

    Attributes
    ----------
    weights : dict of str to array
        ``parameters``, and ``statistics`` and ``average`` where there are any.
    outputs : (k, n_outputs) array or None
        For the rows in `Member.validation_rows`.
    """

    weights: dict[str, FloatArray]
    outputs: FloatArray | None


def train_members(
    members: Sequence[Member],
    *,
    n_threads: int | None = None,
    time_budget: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> list[TrainedMember]:
    """Train all members, as many at a time as there are threads; return them in their order.

    Parameters
    ----------
    members : sequence of Member
    n_threads : int, optional
    time_budget : float, optional
        Seconds for all members together.
    checkpoint : path-like, optional
        A folder, in which each member has a file.
    """
    threads = min(available_threads() if n_threads is None else n_threads, len(members))
    if time_budget is not None:
        share = time_budget / -(-len(members) // threads)
        members = [replace(one, recipe=replace(one.recipe, time_budget=share)) for one in members]
    paths: list[Path | None] = [None] * len(members)
    if checkpoint is not None:
        folder = Path(checkpoint)
        folder.mkdir(exist_ok=True)
        paths = [folder / f"member-{number:04d}.safetensors" for number in range(len(members))]
    lock = threading.RLock()
    if threads == 1:
        return [_train(one, path, lock) for one, path in zip(members, paths, strict=True)]
    with ThreadPoolExecutor(threads, "cnn_core member") as pool:
        return list(pool.map(_train, members, paths, [lock] * len(members)))


class _InTurn(Callback):
    """Calls the hooks of a callback when no other member's are running."""

    def __init__(self, callback: Callback, lock: Any) -> None:
        self._callback, self._lock = callback, lock

    def on_train_begin(self, state: TrainingState) -> None:
        with self._lock:
            self._callback.on_train_begin(state)

    def on_epoch_begin(self, state: TrainingState) -> None:
        with self._lock:
            self._callback.on_epoch_begin(state)

    def on_epoch_end(self, state: TrainingState) -> None:
        with self._lock:
            self._callback.on_epoch_end(state)

    def on_train_end(self, state: TrainingState) -> None:
        with self._lock:
            self._callback.on_train_end(state)


def _train(member: Member, checkpoint: Path | None, lock: Any) -> TrainedMember:
    model = member.make()
    weights = member.weights
    validation = None
    if member.validation_rows is not None:
        held_out = member.validation_rows
        t = member.t if member.validation_t is None else member.validation_t
        own = None if weights is None else weights[held_out]
        validation = Validation(member.x[held_out], t[held_out], own)
    model.train(
        member.x[member.rows],
        member.t[member.rows],
        member.recipe,
        weights=None if weights is None else weights[member.rows],
        validation=validation,
        callbacks=[_InTurn(callback, lock) for callback in member.callbacks],
        checkpoint=checkpoint,
    )
    outputs = None if validation is None else model.predict(validation.x)
    return TrainedMember(model.weights(), outputs)
