"""Train the networks of an ensemble as tasks on a cluster.

A training is divided at its checkpoints: each task trains a part and returns the checkpoint from
which the next task continues. So a lost worker costs one part, and this process has all
checkpoints, whatever disks the workers have.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from distributed import Client, Future

from cnn_core.arrays import aligned_within
from cnn_core.dask.recovery import cluster_errors, wait_for
from cnn_core.dask.runner import as_given, quiet_about_sizes
from cnn_core.files import atomic_write
from cnn_core.io.checkpoint import Checkpoint, as_checkpoint
from cnn_core.io.container import ModelFileError, read_tensors
from cnn_core.io.model_state import ModelFile
from cnn_core.members import Member, TrainedMember, checkpoints_in, train_members, with_shares
from cnn_core.model import read_model
from cnn_core.training.callbacks import Callback
from cnn_core.training.state import EpochRecord, TrainingState

# Arrays that members share; each is sent to the cluster once.
_SHARED = ("x", "t", "validation_t", "weights", "rows", "validation_rows")
# Without an interval of the user, a part takes at least this many times as long as its start:
# reading the checkpoint, and checking that it belongs to these data.
_TIMES_OF_BEGINNING = 20


@contextmanager
def members_trained_on(client: Client, learner: Any) -> Iterator[None]:
    """Let a learner of tables train its networks on a cluster inside the block."""
    vars(learner)["_train_members"] = partial(train_on_cluster, client)
    try:
        yield
    finally:
        del vars(learner)["_train_members"]


def train_on_cluster(
    client: Client,
    members: Sequence[Member],
    *,
    n_threads: int | None = None,
    time_budget: float | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
) -> list[TrainedMember]:
    """Train all members on the workers; see `cnn_core.members.train_members`.

    Their callbacks are called in this process when a part is done, for each of its epochs, with the
    model after the last of them. They may read the state and stop the training, but change nothing.

    Parameters
    ----------
    client : distributed.Client
    members : sequence of Member
    n_threads : int, optional
        Ignored: each member takes a thread of a worker.
    time_budget : float, optional
    checkpoint : Checkpoint or path-like, optional
        A folder of this process.

    Raises
    ------
    ClusterError
        If the cluster fails.
    DivergenceError, TypeError, ValueError, OSError
        As for `train_members`; also for callbacks that have a state.
    """
    _require_stateless({type(one) for member in members for one in member.callbacks})
    with ExitStack() as ends:
        ends.enter_context(cluster_errors(client, _name_of))
        ends.enter_context(quiet_about_sizes())
        if time_budget is not None:
            threads = max(sum(client.nthreads().values()), 1)
            members = with_shares(members, time_budget, threads)
        if checkpoint is None:
            checkpoint = ends.enter_context(tempfile.TemporaryDirectory(prefix="cnn_core-"))
        files = checkpoints_in(checkpoint, len(members))
        tasks = _Tasks(client, members, as_checkpoint(checkpoint))
        ends.callback(tasks.cancel)
        followed = [ends.enter_context(_followed(one)) for one in members]
        for number, file in enumerate(files):
            path = Path(file.path)
            tasks.submit(number, path.read_bytes() if path.exists() else None)
        trained: list[TrainedMember | None] = [None] * len(members)
        while tasks:
            for number, part in tasks.done(files):
                path = Path(files[number].path)
                atomic_write(path, partial(_write, part.file))
                followed[number].tell(path, part)
                trained[number] = part.trained
                if part.trained is None:
                    tasks.submit(number, part.file, followed[number].state.stopped_because)
        return [one for one in trained if one is not None]


def _require_stateless(kinds: set[type[Callback]]) -> None:
    for kind in kinds:
        if kind.get_state is not Callback.get_state:
            raise ValueError(
                "callbacks: expected those that look or stop, since the networks are trained by "
                f"workers, found {kind.__name__}, which has a state that would have to be there"
            )


def _name_of(key: str) -> str:
    """Return the name of the training with this key, for errors."""
    return " ".join(key.split("-")[:2]) if key.startswith("network-") else key


def _write(contents: bytes, stream: Any) -> None:
    stream.write(contents)


class _Part(NamedTuple):
    """Result of a task: a trained part of a member.

    Attributes
    ----------
    file : bytes
        The checkpoint after it.
    epochs : list of EpochRecord
        Epochs of the part.
    trained : TrainedMember or None
        The result, if the training has ended.
    """

    file: bytes
    epochs: list[EpochRecord]
    trained: TrainedMember | None


class _Tasks:
    """The running tasks, at most one for each member.

    Parameters
    ----------
    client : distributed.Client
    members : sequence of Member
    how : Checkpoint
        Settings of the checkpoints.
    """

    def __init__(self, client: Client, members: Sequence[Member], how: Checkpoint) -> None:
        self._client, self._members, self._how = client, members, how
        self._sent: dict[int, Future] = {}
        self._running: dict[Future, int] = {}

    def __len__(self) -> int:
        """Return the number of running tasks."""
        return len(self._running)

    def submit(self, number: int, file: bytes | None, stop: str | None = None) -> None:
        """Train the next part of a member, from its checkpoint, if there is one.

        Members are started in order, so that some end before others begin.
        """
        member = self._members[number]
        shared = [self._future_of(getattr(member, name)) for name in _SHARED]
        nothing: dict[str, Any] = dict.fromkeys(_SHARED)
        rest = replace(member, callbacks=(), **nothing)
        how = rest, self._how, file, stop
        key = f"network-{number + 1}-{uuid4()}"
        task = self._client.submit(_train_part, *how, *shared, key=key, priority=-number)
        self._running[task] = number

    def _future_of(self, value: Any) -> Future | None:
        if value is None:
            return None
        if id(value) not in self._sent:
            self._sent[id(value)] = self._client.submit(as_given, value, pure=False)
        return self._sent[id(value)]

    def done(self, files: Sequence[Checkpoint]) -> list[tuple[int, _Part]]:
        """Wait until some are done; return their member numbers and results.

        Raises
        ------
        ModelFileError
            If a task cannot resume from its file.
        """
        wait_for(self._client, list(self._running), first=True)
        done = [one for one in self._running if one.done()]
        found = []
        for task in done:
            number = self._running.pop(task)
            try:
                found.append((number, task.result()))
            except ModelFileError as error:
                # The file has another name on the worker.
                raise type(error)(files[number].path, error.reason) from error
        return found

    def cancel(self) -> None:
        """Cancel the remaining tasks."""
        self._client.cancel(list(self._running))


class _Followed:
    """Calls the callbacks of a member when its parts are done.

    Parameters
    ----------
    member : Member

    Attributes
    ----------
    state : TrainingState
    """

    def __init__(self, member: Member) -> None:
        self._callbacks = member.callbacks
        self._has_begun = self._has_ended = False
        model = member.make()
        self.state = TrainingState(
            model, member.owner, member.recipe.with_epochs_of(len(member.rows))
        )

    def tell(self, file: Path, part: _Part) -> None:
        """Call the hooks for the epochs of a part, with its checkpoint in a file."""
        state = self.state
        if self._callbacks:
            state.model, _ = read_model(ModelFile(file, *read_tensors(file), "auto", 1))
        if not self._has_begun:
            self._has_begun = True
            for callback in self._callbacks:
                callback.on_train_begin(state)
        for record in part.epochs:
            state.epoch, state.record = record.epoch, record
            state.update_best()
            for callback in self._callbacks:
                callback.on_epoch_end(state)
        if part.trained is not None:
            state.stopped_because = part.trained.stopped_because
            self.end()

    def end(self) -> None:
        """Call the hooks after the training, if it has begun and not yet ended."""
        if self._has_begun and not self._has_ended:
            self._has_ended = True
            for callback in self._callbacks:
                callback.on_train_end(self.state)


@contextmanager
def _followed(member: Member) -> Iterator[_Followed]:
    followed = _Followed(member)
    try:
        yield followed
    finally:
        followed.end()


# Code of the tasks.


class _PartError(Exception):
    """Ends a part at its checkpoint."""


class _PartEnd(Callback):
    """Ends a part when a checkpoint was written from which the next part can resume.

    Parameters
    ----------
    path : pathlib.Path
        Path of the checkpoint.
    times : float
        Least duration of the part, as a multiple of its start.
    stop : str or None
        Reason to end the training, if any.

    Attributes
    ----------
    epochs : list of EpochRecord
        Epochs of the part.
    """

    def __init__(self, path: Path, times: float, stop: str | None) -> None:
        self.epochs: list[EpochRecord] = []
        self._path, self._times, self._stop = path, times, stop
        self._start, self._least = time.perf_counter(), 0.0
        self._file: tuple[int, int] | None = None

    def on_epoch_begin(self, state: TrainingState) -> None:
        """End the part if the last epoch wrote a checkpoint."""
        took = time.perf_counter() - self._start
        found = self._path.stat()
        file = found.st_ino, found.st_mtime_ns
        if self._file is None:
            self._least = self._times * took
        elif file != self._file and took >= self._least:
            raise _PartError
        self._file = file
        if self._stop is not None:
            state.stop(self._stop)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Keep the record of the epoch."""
        assert state.record is not None
        self.epochs.append(state.record)


def _train_part(
    member: Member, how: Checkpoint, file: bytes | None, stop: str | None, *shared: Any
) -> _Part:
    """Train a part of a member, on the thread of its task."""
    own = dict(zip(_SHARED, map(aligned_within, shared), strict=True))
    whole = replace(member, **own)
    is_asked_for = how.every_epochs is not None or how.every_seconds is not None
    with tempfile.TemporaryDirectory(prefix="cnn_core-") as folder:
        how = replace(how, path=folder)
        path = Path(checkpoints_in(how, 1)[0].path)
        if file is not None:
            path.write_bytes(file)
        end = _PartEnd(path, 0 if is_asked_for else _TIMES_OF_BEGINNING, stop)
        trained = None
        with suppress(_PartError):
            (trained,) = train_members(
                [replace(whole, callbacks=(end,))], n_threads=1, checkpoint=how
            )
        return _Part(path.read_bytes(), end.epochs, trained)
