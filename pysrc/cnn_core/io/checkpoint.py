"""Checkpoints: resume a killed training to the same bits.

A checkpoint is the file of a `Model`, which `cnn_core.load` can read. It has an additional text
``training`` in its metadata, and tensors whose names begin with ``training.``. They hold the
identity of the training, by which it is recognized, and its progress. Nothing in the file can run.
A checkpoint is written before the first epoch, so that an unusable path is found early, at the ends
of epochs, and at the end of the training.

The state of a callback is stored with `Callback.get_state` and restored with `Callback.set_state`.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnn_core.files import checked_target, in_message, remove_leftovers
from cnn_core.io.checkpoint_checks import (
    check_end,
    check_model,
    check_progress,
    check_state,
    record_in,
)
from cnn_core.io.checkpoint_json import (
    decoded,
    differences_in,
    encoded,
    identity_of,
    is_same_machine,
    states_of,
)
from cnn_core.io.container import ModelFileError, read_tensors
from cnn_core.io.model_state import (
    TRAINING,
    ModelFile,
    as_file_error,
    read_state,
    tensors_of_training,
    write_model,
)
from cnn_core.training.callbacks import Callback
from cnn_core.training.session import Session, TrainingCheckpoint
from cnn_core.training.snapshot import ModelState
from cnn_core.training.state import EpochRecord, TrainingState
from cnn_core.types import FloatArray
from cnn_core.validation import positive, text, whole

_VERSION = 1
# Default interval between two files: at least this many seconds, and this many times the duration
# of the last write.
_LEAST_SECONDS, _TIMES_OF_WRITING = 1.0, 50
# Attributes of `TrainingState` that are stored, besides its record.
_STATE = ("best_epoch", "best_value", "_least", "stopped_because", "converged")


class CheckpointError(ModelFileError):
    """A file is not a checkpoint of this training; the message says what differs and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often to save a training, so that it can resume after being killed.

    The first file is written before the first epoch. An epoch that was interrupted is trained again
    from its beginning.

    Two processes may run the same training with the same path: each ends with the right bits, and
    each file is complete.

    Attributes
    ----------
    path : path-like
        Each file replaces the one before when it is complete.
    every_epochs : int, optional
        Write a file after every this many epochs, at least 1.
    every_seconds : float, optional
        Write a file at the end of the first epoch after this many seconds since the last one, above
        0. By default after a second, or 50 times the duration of the last write, if that is longer;
        this takes at most 2 % of the time.

    Raises
    ------
    TypeError, ValueError
        For a value of the wrong type or outside its range.
    """

    path: str | os.PathLike[str]
    every_epochs: int | None = None
    every_seconds: float | None = None

    def __post_init__(self) -> None:
        checked_target(self.path)
        if self.every_epochs is not None:
            whole("every_epochs", self.every_epochs, 1)
        if self.every_seconds is not None:
            positive("every_seconds", self.every_seconds)


def as_checkpoint(value: Any) -> Checkpoint:
    """Return a `Checkpoint`; a path means one with the default interval.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(value, Checkpoint):
        return value
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"checkpoint: expected a path, a Checkpoint or None, found {value!r}")
    return Checkpoint(value)


def seed_in(checkpoint: Any) -> int | None:
    """Return the seed of the model in a checkpoint; None if there is no file yet.

    Raises
    ------
    ModelFileError
        If the file is not a model file of ours, or damaged.
    """
    found = _read(as_checkpoint(checkpoint).path)
    return None if found is None else _seed_of(found.training)


@dataclass(frozen=True, eq=False)
class _Found:
    """The contents of a checkpoint file.

    Attributes
    ----------
    file : ModelFile
    training : dict
        Contents of the text ``training``, with its arrays inserted.
    """

    file: ModelFile
    training: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Resumed:
    """The state of a training from its checkpoint, after all checks.

    Attributes
    ----------
    model : ModelState
    record : EpochRecord or None
    values : dict
        Stored attributes of `TrainingState`, besides the record.
    progress : dict
        The progress passed to `CheckpointSession.write`.
    finished : bool
    callbacks : list of tuple of Callback and dict
        Callbacks with a state, and their states.
    """

    model: ModelState
    record: EpochRecord | None
    values: dict[str, Any]
    progress: dict[str, Any]
    finished: bool
    callbacks: list[tuple[Callback, dict[str, Any]]]


class CheckpointSession(TrainingCheckpoint):
    """Reads the checkpoint of a training, and writes later ones.

    Parameters
    ----------
    checkpoint : Checkpoint or path-like
    session : Session
        The training.
    seeded : bool
        Whether the user chose the seed; otherwise that of the file is used.

    Raises
    ------
    CheckpointError
        If the file belongs to another training.
    ModelFileError
        If it is damaged, truncated, of a newer version or not ours.
    FileNotFoundError
        If its folder does not exist.
    """

    def __init__(self, checkpoint: Any, session: Session, *, seeded: bool) -> None:
        state, data = session.state, session.data
        self._checkpoint = as_checkpoint(checkpoint)
        self._path = self._checkpoint.path
        self._state = state
        self._callbacks = session.callbacks
        self._before = state.model.epochs_done
        self._seed = state.model.seed
        self._is_rejected = False
        _require_folder(self._path)
        remove_leftovers(self._path)
        found = _read(self._path)
        known = {} if found is None else found.training["identity"]
        self._identity = identity_of(state.model, state.recipe, data, known)
        samples = data.n_samples
        steps_of_epoch = -(-samples // max(min(state.recipe.batch_size, samples), 1))
        self._resumed = self._resume(found, seeded, steps_of_epoch)
        if self._resumed is not None:
            self.progress, self.finished = self._resumed.progress, self._resumed.finished
        self._has_epochs = (
            self._resumed is not None and self._resumed.model.epochs_done > self._before
        )
        self._last = time.perf_counter()
        self._took = 0.0

    def _resume(self, found: _Found | None, seeded: bool, steps_of_epoch: int) -> _Resumed | None:
        """Check that the file, if there is one, belongs to this training."""
        if found is None:
            return None
        theirs = found.training["identity"]
        differences = differences_in(self._identity, theirs, seeded=seeded)
        if differences:
            raise CheckpointError(
                self._path,
                "expected a checkpoint of this training, found one of another: "
                f"{in_message('; '.join(differences), 2000)}. Make the call as it was made then, "
                "on a network as it was then, or name another path, or delete the file to begin "
                "anew",
            )
        resumed = _checked(self._path, found, self._state, self._callbacks, steps_of_epoch)
        if not is_same_machine(self._identity, theirs):
            warnings.warn(
                f"{os.fspath(self._path)}: written with {in_message(theirs.get('backend'), 80)} "
                f"({in_message(theirs.get('isa'), 80)}), going on with "
                f"{self._identity['backend']} ({self._identity['isa']}): the last bits may differ "
                "from those of an uninterrupted training",
                UserWarning,
                stacklevel=4,
            )
        if self._state.model.seed != resumed.model.seed:
            self._state.model.take_seed(resumed.model.seed)
        return resumed

    def restore_model(self) -> None:
        """Restore the model and the state of the training from the file."""
        if self._resumed is None:
            return
        state, found = self._state, self._resumed.model
        state.model.restore(found.snapshot)
        state.model.epochs_done = state.epoch = found.epochs_done
        state.model.samples_done = found.samples_done
        state.model.history = found.history
        state.learning_rate = self._resumed.values["learning_rate"]
        state.record = self._resumed.record
        for name in _STATE:
            setattr(state, name, self._resumed.values[name])

    def restore_callbacks(self) -> None:
        """Restore the states of the callbacks, after `on_train_begin`.

        Raises
        ------
        ModelFileError
            If a callback rejects its state.
        """
        for callback, state in () if self._resumed is None else self._resumed.callbacks:
            self._is_rejected = True
            name = type(callback).__name__
            with as_file_error(self._path, f"a checkpoint, with a state of {name}"):
                callback.set_state(state)
            self._is_rejected = False

    @contextmanager
    def rollback_if_rejected(self) -> Iterator[None]:
        """Roll the model back if a callback rejects its state."""
        model = self._state.model
        if self._resumed is None:
            yield
            return
        before = model.snapshot()
        counts = model.epochs_done, model.samples_done, model.history
        try:
            yield
        except BaseException:
            if self._is_rejected:
                model.restore(before)
                model.epochs_done, model.samples_done, model.history = counts
                if model.seed != self._seed:
                    model.take_seed(self._seed)
            raise

    def monitored_so_far(self) -> list[float]:
        """Return the monitored value of each epoch of this training so far."""
        model, monitor = self._state.model, self._state.recipe.monitor
        done = model.epochs_done - self._before
        return model.history.get(monitor, [])[-done:] if done else []

    def is_due(self) -> bool:
        """Tell whether a file is to be written at the end of this epoch."""
        asked_for, waited = self._checkpoint, time.perf_counter() - self._last
        if asked_for.every_epochs is None and asked_for.every_seconds is None:
            return waited >= max(_LEAST_SECONDS, _TIMES_OF_WRITING * self._took)
        if asked_for.every_seconds is not None and waited >= asked_for.every_seconds:
            return True
        epochs = self._state.epoch - self._before
        return asked_for.every_epochs is not None and epochs % asked_for.every_epochs == 0

    def write(self, progress: dict[str, Any], *, finished: bool = False) -> None:
        """Write the file.

        Raises
        ------
        OSError
            If that fails; the previous file is then still there.
        """
        try:
            self._write(progress, finished)
        except OSError as error:
            if error.errno is None:
                raise
            advice = "see that a file can be written there, or name another path"
            if self._has_epochs:
                advice = (
                    "the checkpoint before this one is whole: once a file can be written there, "
                    "the training can go on from it"
                )
            raise OSError(
                error.errno, f"{error.strerror}; {advice}", os.fspath(self._path)
            ) from error
        self._has_epochs = self._state.model.epochs_done > self._before

    def _write(self, progress: dict[str, Any], finished: bool) -> None:
        start = time.perf_counter()
        state = self._state
        values = {name: getattr(state, name) for name in _STATE}
        values["learning_rate"] = state.learning_rate
        values["record"] = None if state.record is None else asdict(state.record)
        tensors: dict[str, FloatArray] = {}
        training = {
            "version": _VERSION,
            "finished": finished,
            "identity": self._identity | {"seed": state.model.seed},
            "state": values,
            "progress": progress,
            "calls": states_of(self._callbacks),
        }
        text = json.dumps(encoded(training, tensors))
        write_model(self._path, state.model.state(), further=({TRAINING: text}, tensors))
        self._last = time.perf_counter()
        self._took = self._last - start


def _require_folder(path: str | os.PathLike[str]) -> None:
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise FileNotFoundError(
            f"checkpoint {os.fspath(path)}: the folder {folder} does not exist; make it, or name "
            "another path"
        )


def _checked(
    path: str | os.PathLike[str],
    found: _Found,
    state: TrainingState,
    callbacks: list[Callback],
    steps_of_epoch: int,
) -> _Resumed:
    """Check the state in a file and return it; see `cnn_core.io.checkpoint_checks`."""
    training = found.training
    with as_file_error(path, "a checkpoint"):
        model, _ = read_state(found.file)
        check_model(model, state, training["identity"]["seed"])
        values, progress = training["state"], training["progress"]
        check_state(values, model, state)
        check_progress(progress, model, state, steps_of_epoch)
        check_end(training["finished"], values["stopped_because"], model, state)
        record = record_in(values["record"], model, state)
        states = [
            (text("class", one["class"]), whole("place", one["place"], 0), dict(one["state"]))
            for one in training["calls"]
        ]
    with_states = [(_callback_at(path, callbacks, name, place), own) for name, place, own in states]
    return _Resumed(model, record, values, progress, training["finished"], with_states)


def _callback_at(
    path: str | os.PathLike[str], callbacks: list[Callback], name: str, place: int
) -> Callback:
    """Return the callback of a state: the one at this position within its class."""
    same = [one for one in callbacks if type(one).__name__ == name]
    if place >= len(same):
        raise CheckpointError(
            path,
            "expected the callbacks that the training was begun with, among them "
            f"{place + 1} of {name:.80}, found {len(same)}; pass them again, or delete the file "
            "to begin anew",
        )
    return same[place]


def _read(path: str | os.PathLike[str]) -> _Found | None:
    try:
        tensors, metadata = read_tensors(path)
    except FileNotFoundError:
        return None
    if metadata.get("kind") != "Model" or TRAINING not in metadata:
        raise CheckpointError(
            path,
            "expected a checkpoint of a training, found a saved "
            f"{metadata.get('kind', 'NN'):.80}; name another path",
        )
    with as_file_error(path, "a checkpoint"):
        own = tensors_of_training(tensors)
        training = decoded(json.loads(metadata[TRAINING]), own)
        if own:
            raise ValueError(f"tensors that do not belong there: {', '.join(own):.200}")
        version = training["version"]
        if version != _VERSION:
            raise ValueError(
                f"checkpoint version {version!r:.80}, this cnn_core understands {_VERSION}; "
                "a newer cnn_core may read it"
            )
        for part in ("identity", "state", "progress"):
            if not isinstance(training[part], dict):
                raise TypeError(f"{part}: expected a dictionary")
        _seed_of(training)
    # The reader sets the backend.
    return _Found(ModelFile(path, tensors, metadata, "auto", None), training)


def _seed_of(training: dict[str, Any]) -> int:
    return whole("seed", training["identity"]["seed"], 0, 2**64 - 1)
