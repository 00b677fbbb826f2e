"""Train the members of an ensemble: independent networks, one on each thread.

Members share the training arrays; each has its own rows, weights, seed and best epoch. The result
of a member does not depend on the others, so the number of threads changes no bit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_core.backends.threads import MOST_THREADS, available_threads
from cnn_core.class_targets import Targets
from cnn_core.model import Model
from cnn_core.sparse import Samples
from cnn_core.training.callbacks import Callback
from cnn_core.training.divergence import DivergenceError
from cnn_core.training.state import Recipe, TrainingState, Validation
from cnn_core.types import FloatArray, IndexArray
from cnn_core.validation import positive, whole

if TYPE_CHECKING:
    from cnn_core.io.checkpoint import Checkpoint

# Ctrl-C is noticed at most this late.
_SECONDS_BETWEEN_LOOKS = 0.1


@dataclass(frozen=True, eq=False)
class Member:
    """A network of an ensemble, and its training data.

    Attributes
    ----------
    make : callable
        Returns the `Model` with its first weights. It is called on the training thread. The model
        should use only this one: ``n_threads=1``.
    recipe : Recipe
        With ``monitor="validation_loss"`` and `restore_best` the weights are those of the best
        epoch.
    x : (n, n_inputs) array
    t : (n, n_outputs) array, or labels
    rows : (m,) array of integers
        The samples to train on.
    validation_rows : (k,) array of integers, optional
        The samples to measure after every epoch.
    validation_t : array, optional
        Targets of the measurement instead of `t`, such as hard labels if `t` is smoothed.
    weights : (n,) array, optional
        Weight of each sample.
    are_classes : bool
        As for `Model.train`.
    callbacks : tuple of Callback
        Hooks of all members are called one at a time.
    owner : object, optional
        As for `Model.train`.
    """

    make: Callable[[], Model]
    recipe: Recipe
    x: Samples
    t: Targets
    rows: IndexArray
    validation_rows: IndexArray | None = None
    validation_t: Targets | None = None
    weights: FloatArray | None = None
    are_classes: bool = False
    callbacks: tuple[Callback, ...] = ()
    owner: Any = None


@dataclass(frozen=True, eq=False)
class TrainedMember:
    """Result of the training of a member.

    Attributes
    ----------
    weights : dict of str to array
        ``parameters``, and ``statistics`` and ``average`` if there are any; see `Model`.
    outputs : (k, n_outputs) array or None
        Outputs for the samples in `Member.validation_rows`.
    best_epoch : int or None
        Number of the best epoch, by the recipe's monitored value.
    best_value : float or None
        The monitored value of that epoch.
    epochs : int
        Number of trained epochs, including those after the best one.
    steps : int
        Steps of the optimizer up to these weights.
    history : dict of str to list of float
        See `Model.history`.
    stopped_because : str or None
        Why it ended before its last epoch, divergence after a good epoch included.
    """

    weights: dict[str, FloatArray]
    outputs: FloatArray | None
    best_epoch: int | None
    best_value: float | None
    epochs: int
    steps: int
    history: dict[str, list[float]]
    stopped_because: str | None


def train_members(
    members: Sequence[Member],
    *,
    n_threads: int | None = None,
    time_budget: float | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
) -> list[TrainedMember]:
    """Train all members, one on each thread; return the results in their order.

    Parameters
    ----------
    members : sequence of Member
    n_threads : int, optional
        Largest number of members in training at a time. By default `CNN_CORE_NUM_THREADS`, or if it
        is unset, the number of cores that the process may use. It changes no bit of any result.
    time_budget : float, optional
        Seconds for all members together, above 0, divided among them. The result then depends on
        the machine's speed.
    checkpoint : Checkpoint or path-like, optional
        A folder with a file for each member. The same call resumes from them after being killed, to
        the same bits. Finished members are read, others continue.

    Raises
    ------
    TypeError, ValueError, CheckpointError, OSError
        As `Model.train` does.
    DivergenceError
        If a member diverges before its first good epoch.
    KeyboardInterrupt
        On Ctrl-C, after all members have stopped.
    """
    threads = available_threads() if n_threads is None else whole("n_threads", n_threads, 1)
    threads = min(threads, max(len(members), 1), MOST_THREADS)
    if time_budget is not None:
        members = with_shares(members, time_budget, threads)
    files: list[Checkpoint | None] = [None] * len(members)
    if checkpoint is not None:
        files[:] = checkpoints_in(checkpoint, len(members))
    turns = _Turns()
    jobs = list(zip(members, files, strict=True))
    if threads == 1:
        return [_train(member, file, turns) for member, file in jobs]
    with ThreadPoolExecutor(threads, "cnn_core member") as pool:
        try:
            running = [pool.submit(_train_in_turn, member, file, turns) for member, file in jobs]
            turns.may_begin.set()
            done = _wait_for(running)
            # If several failed, the error of the first is raised.
            return [one.result() for one in running if one in done]
        except BaseException:
            # Members in training stop before their next epoch; others do not begin.
            turns.are_over = True
            turns.may_begin.set()
            raise


def _wait_for(running: Sequence[Future[TrainedMember]]) -> set[Future[TrainedMember]]:
    """Wait until all have ended or one has failed; return those that have ended.

    It wakes up regularly to notice Ctrl-C: with SA_RESTART, which polars sets for SIGINT, a signal
    does not interrupt a wait without a timeout.
    """
    while True:
        done, others = wait(running, _SECONDS_BETWEEN_LOOKS, FIRST_EXCEPTION)
        if not others or any(one.exception() for one in done):
            return done


def with_shares(members: Sequence[Member], time_budget: float, n_threads: int) -> list[Member]:
    """Return members with time budgets such that all end in time on this many threads."""
    rounds = max(-(-len(members) // n_threads), 1)
    share = positive("time_budget", time_budget) / rounds
    return [replace(one, recipe=replace(one.recipe, time_budget=share)) for one in members]


def checkpoints_in(
    checkpoint: Checkpoint | str | os.PathLike[str], n_members: int
) -> list[Checkpoint]:
    """Return the checkpoint of each member, in a folder that is created if necessary."""
    from cnn_core.io.checkpoint import as_checkpoint

    whole_one = as_checkpoint(checkpoint)
    folder = Path(whole_one.path)
    folder.mkdir(exist_ok=True)
    names = (f"member-{number:04d}.safetensors" for number in range(n_members))
    return [replace(whole_one, path=folder / name) for name in names]


class _Turns:
    """Calls the hooks of members one at a time, and stops all members when one has failed."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.may_begin = threading.Event()
        self.are_over = False


class _IsOverError(Exception):
    """Stops the training of a member when another one has failed."""


class _InTurn(Callback):
    """Calls the hooks of a callback when no other member's are running."""

    def __init__(self, callback: Callback, turns: _Turns) -> None:
        self._callback = callback
        self._lock = turns.lock

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

    def get_state(self) -> dict[str, Any]:
        with self._lock:
            return self._callback.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        with self._lock:
            self._callback.set_state(state)


class _Watch(Callback):
    """Keeps the state of a training, and stops it when another one has failed."""

    state: TrainingState

    def __init__(self, turns: _Turns) -> None:
        self._turns = turns

    def on_train_begin(self, state: TrainingState) -> None:
        self.state = state

    def on_epoch_begin(self, state: TrainingState) -> None:
        if self._turns.are_over:
            raise _IsOverError


def _train_in_turn(member: Member, checkpoint: Checkpoint | None, turns: _Turns) -> TrainedMember:
    """Train a member once all have been handed to the threads.

    After Ctrl-C while threads start, a thread may be unknown to the pool: it must not train.
    """
    turns.may_begin.wait()
    if turns.are_over:
        raise _IsOverError
    return _train(member, checkpoint, turns)


def _train(member: Member, checkpoint: Checkpoint | None, turns: _Turns) -> TrainedMember:
    """Train a member from its first weights, or from its checkpoint."""
    model = member.make()
    validation = None
    if member.validation_rows is not None:
        validation = Validation(
            member.x,
            member.t if member.validation_t is None else member.validation_t,
            member.weights,
            member.are_classes,
            rows=member.validation_rows,
        )
    watch = _Watch(turns)
    stopped_because = None
    try:
        model.train(
            member.x,
            member.t,
            member.recipe,
            weights=member.weights,
            are_classes=member.are_classes,
            rows=member.rows,
            validation=validation,
            callbacks=[watch, *(_InTurn(callback, turns) for callback in member.callbacks)],
            owner=member.owner,
            checkpoint=checkpoint,
        )
    except DivergenceError as error:
        if watch.state.best_epoch is None:
            raise
        stopped_because = str(error)
    return _trained(member, model, watch.state, stopped_because)


def _trained(
    member: Member, model: Model, state: TrainingState, stopped_because: str | None
) -> TrainedMember:
    outputs = None
    if member.validation_rows is not None:
        outputs = np.empty((len(member.validation_rows), model.network.n_outputs), model.dtype)
        model.evaluate(member.x, member.t, out=outputs, rows=member.validation_rows)
    return TrainedMember(
        model.weights(),
        outputs,
        state.best_epoch,
        state.best_value,
        model.epochs_done,
        model.steps,
        model.history,
        stopped_because or state.stopped_because,
    )
