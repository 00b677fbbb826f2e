"""Exact resume: a training that was killed goes on where its checkpoint stands, bit for bit.

A checkpoint is the file of a `Model`, which `cnn_core.load` gives as it was after that epoch, with
one more text among its metadata, ``training``, and tensors whose names begin with ``training.``:
what the training was begun with, by which it is known again, and where it stood. Nothing in the
file can run. It is written before the first epoch, so that a path where nothing can be written is
found before anything is learned, at the ends of epochs, and once more at the end of the training.

A callback whose state has to go on as well says what it is by `Callback.get_state` and takes it
back by `Callback.set_state`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from cnn_core import backends, saved_model
from cnn_core.checkpoint_checks import (
    check_end,
    check_model,
    check_progress,
    check_state,
    record_in,
)
from cnn_core.files import checked_target, in_message, remove_leftovers
from cnn_core.model_file import ModelFileError, read_tensors
from cnn_core.network_json import network_to_json
from cnn_core.training.callbacks import Callback
from cnn_core.training.session import Session, TrainingCheckpoint
from cnn_core.training.state import Recipe, Trainable, TrainingData
from cnn_core.types import FloatArray
from cnn_core.validation import positive, text, whole

_VERSION = 1
# Without a wish of the user's: at least so many seconds between two files, and so many times what
# the last one took to write.
_LEAST_SECONDS, _TIMES_OF_WRITING = 1.0, 50
# What is kept of a `TrainingState` beside its record.
_STATE = ("best_epoch", "best_value", "_least", "stopped_because", "converged")
_MACHINE = ("backend", "isa")


class CheckpointError(ModelFileError):
    """A file that is no checkpoint of this very training; says what differs and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often a training is written down, so that it can go on after being killed.

    The first file is written before the first epoch. An epoch is trained as a whole: what one had
    done when the training was killed is done once more.

    Two processes that make the same training with the same path do no harm to each other: each
    ends with the right bits, and each file is whole.

    Attributes
    ----------
    path : path-like
        Each file takes the place of the one before, which stays until the new one is whole.
    every_epochs : int, optional
        A file after so many epochs of this training, at least 1.
    every_seconds : float, optional
        A file at the end of the first epoch after so many seconds since the last one, above 0.
        With neither of the two: after a second, or 50 times as long as the last file took to
        write, whichever is more; that is at most 2 % of the time.

    Raises
    ------
    TypeError, ValueError
        For a value of another kind or outside its range.
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
    """Return a `Checkpoint`; a path stands for one with the usual intervals.

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
        If the file is none of ours, or damaged.
    """
    path = as_checkpoint(checkpoint).path
    found = _read(path)
    return None if found is None else whole("seed", found.training["identity"]["seed"], 0)


@dataclass(frozen=True, eq=False)
class _Found:
    """A checkpoint as its file has it."""

    file: saved_model.ModelFile
    training: dict[str, Any]


class CheckpointSession(TrainingCheckpoint):
    """Finds the checkpoint of a training, and writes those to come.

    Parameters
    ----------
    checkpoint : Checkpoint or path-like
    session : Session
        The training that is to begin.
    seeded : bool
        Whether the seed was chosen by the user; otherwise the file's is taken.

    Raises
    ------
    CheckpointError
        If the file is that of another training.
    ModelFileError
        If it is damaged, truncated, of a newer version or none of ours.
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
        folder = Path(os.path.realpath(self._path)).parent
        if not folder.is_dir():
            raise FileNotFoundError(
                f"checkpoint {os.fspath(self._path)}: the folder {folder} does not exist; make it, "
                "or name another path"
            )
        remove_leftovers(self._path)
        self._identity = _identity(state.model, state.recipe, data)
        samples = len(data.x)
        self._steps_of_epoch = -(-samples // max(min(state.recipe.batch_size, samples), 1))
        self._found = _read(self._path)
        self._states: list[tuple[Callback, dict[str, Any]]] = []
        self._is_refused = False
        self._seed = state.model.seed
        if self._found is not None:
            self._recognise(self._found, seeded)
        self._has_epochs = self._found is not None and self._model.epochs_done > self._before
        self._last = time.perf_counter()
        self._took = 0.0

    def _recognise(self, found: _Found, seeded: bool) -> None:
        """See that the file is of this training; take over what callbacks and loop need."""
        theirs, ours = found.training["identity"], self._identity
        same_machine = all(theirs.get(name) == ours[name] for name in _MACHINE)
        ignored = set(_MACHINE)
        if not seeded:
            ignored |= {"seed", "weights before this training"}
        elif not same_machine:
            # The first weights of one seed need not have the same last bits on every machine.
            ignored.add("weights before this training")
        differences = [
            f"{name:.80}: expected {ours.get(name)}, found {theirs.get(name)!s:.300}"
            for name in (*ours, *(set(theirs) - set(ours)))
            if name not in ignored and ours.get(name) != theirs.get(name)
        ]
        if differences:
            raise CheckpointError(
                self._path,
                "expected a checkpoint of this training, found one of another: "
                f"{in_message('; '.join(differences), 2000)}. Make the call as it was made then, "
                "on a network as it was then, or name another path, or delete the file to begin "
                "anew",
            )
        with saved_model.blamed_on(self._path, "a checkpoint"):
            state = self._state
            model, _ = saved_model.read_state(found.file)
            check_model(model, state, theirs["seed"])
            values, progress = found.training["state"], found.training["progress"]
            check_state(values, model, state)
            check_progress(progress, model, state, self._steps_of_epoch)
            check_end(found.training["finished"], values["stopped_because"], model, state)
            states = [
                (text("class", one["class"]), whole("place", one["place"], 0), dict(one["state"]))
                for one in found.training["calls"]
            ]
            self._record = record_in(values["record"], model, state)
        self._model, self._values, self.progress = model, values, progress
        self.finished = found.training["finished"]
        self._states = [(self._callback(name, place), state) for name, place, state in states]
        if not same_machine:
            warnings.warn(
                f"{os.fspath(self._path)}: written with {in_message(theirs.get('backend'), 80)} "
                f"({in_message(theirs.get('isa'), 80)}), going on with {ours['backend']} "
                f"({ours['isa']}): the last bits may differ from those of an uninterrupted "
                "training",
                UserWarning,
                stacklevel=4,
            )
        if self._state.model.seed != model.seed:
            self._state.model.take_seed(model.seed)

    def _callback(self, name: str, place: int) -> Callback:
        """Return the callback that a state belongs to: the one at this place among its class."""
        same = [one for one in self._callbacks if type(one).__name__ == name]
        if place >= len(same):
            raise CheckpointError(
                self._path,
                "expected the callbacks that the training was begun with, among them "
                f"{place + 1} of {name:.80}, found {len(same)}; pass them again, or delete the "
                "file to begin anew",
            )
        return same[place]

    def restore_model(self) -> None:
        """Bring the model and the state of the training to where the file stands."""
        if self._found is None:
            return
        state, found = self._state, self._model
        state.model.restore(found.snapshot)
        state.model.epochs_done = state.epoch = found.epochs_done
        state.model.samples_done = found.samples_done
        state.model.history = found.history
        state.learning_rate = self._values["learning_rate"]
        state.record = self._record
        for name in _STATE:
            setattr(state, name, self._values[name])

    def restore_callbacks(self) -> None:
        """Give the callbacks their states, after they have begun.

        Raises
        ------
        ModelFileError
            If one of them does not take it.
        """
        for callback, state in self._states:
            self._is_refused = True
            name = type(callback).__name__
            with saved_model.blamed_on(self._path, f"a checkpoint, with a state of {name}"):
                callback.set_state(state)
            self._is_refused = False

    @contextmanager
    def rollback_if_rejected(self) -> Iterator[None]:
        """Give the model back as it was if a callback does not take its state, and none trains."""
        model = self._state.model
        if self._found is None:
            yield
            return
        before = model.snapshot()
        counts = model.epochs_done, model.samples_done, model.history
        try:
            yield
        except BaseException:
            if self._is_refused:
                model.restore(before)
                model.epochs_done, model.samples_done, model.history = counts
                if model.seed != self._seed:
                    model.take_seed(self._seed)
            raise

    def monitored_so_far(self) -> list[float]:
        """Return what the recipe monitors after each epoch of this training, as it stands."""
        model, monitor = self._state.model, self._state.recipe.monitor
        done = model.epochs_done - self._before
        return model.history.get(monitor, [])[-done:] if done else []

    def is_due(self) -> bool:
        """Tell whether a file is to be written at the end of this epoch."""
        wish, waited = self._checkpoint, time.perf_counter() - self._last
        if wish.every_epochs is None and wish.every_seconds is None:
            return waited >= max(_LEAST_SECONDS, _TIMES_OF_WRITING * self._took)
        if wish.every_seconds is not None and waited >= wish.every_seconds:
            return True
        epochs = self._state.epoch - self._before
        return wish.every_epochs is not None and epochs % wish.every_epochs == 0

    def write(self, progress: dict[str, Any], *, finished: bool = False) -> None:
        """Write the file.

        Raises
        ------
        OSError
            If that fails; the file before this one is still there then.
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
            "calls": _states_of(self._callbacks),
        }
        text = json.dumps(encoded(training, tensors))
        saved_model.write_model(
            self._path, state.model.state(), further=({saved_model.TRAINING: text}, tensors)
        )
        self._last = time.perf_counter()
        self._took = self._last - start


def _states_of(callbacks: Iterable[Callback]) -> list[dict[str, Any]]:
    """Return the states of callbacks that have one, each with its class and its place in it."""
    states = []
    places: dict[str, int] = {}
    for callback in callbacks:
        name = type(callback).__name__
        place = places[name] = places.get(name, -1) + 1
        if state := callback.get_state():
            states.append({"class": name, "place": place, "state": state})
    return states


def _read(path: str | os.PathLike[str]) -> _Found | None:
    try:
        tensors, metadata = read_tensors(path)
    except FileNotFoundError:
        return None
    if metadata.get("kind") != "Model" or saved_model.TRAINING not in metadata:
        raise CheckpointError(
            path,
            "expected a checkpoint of a training, found a saved "
            f"{metadata.get('kind', 'NN'):.80}; name another path",
        )
    with saved_model.blamed_on(path, "a checkpoint"):
        own = saved_model.tensors_of_training(tensors)
        training = decoded(json.loads(metadata[saved_model.TRAINING]), own)
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
        whole("seed", training["identity"]["seed"], 0, 2**64 - 1)
    # Who reads the model puts the backend in; it computes nothing.
    return _Found(saved_model.ModelFile(path, tensors, metadata, "auto", None), training)


def _identity(model: Trainable, recipe: Recipe, data: TrainingData) -> dict[str, Any]:
    """Return what a training is known by: all that decides about its result."""
    validation = data.validation
    arrays = {
        "x": data.x,
        "t": data.t,
        "weights of samples": data.weights,
        "validation x": None if validation is None else validation.x,
        "validation t": None if validation is None else validation.t,
        "validation weights": None if validation is None else validation.weights,
    }
    network = json.loads(json.dumps(network_to_json(model.network)))
    info = backends.backend_info(model.backend)
    return {
        **{f"network.{name}": value for name, value in network.items()},
        "dtype": model.dtype.name,
        "seed": model.seed,
        **{one.name: _text_of(getattr(recipe, one.name)) for one in fields(recipe)},
        "epochs done before": model.epochs_done,
        "weights before this training": _digest(*model.arrays().values(), np.array(model.steps)),
        **{name: None if array is None else _digest(array) for name, array in arrays.items()},
        "targets are classes": data.are_classes,
        "validation score": validation is not None and validation.score is not None,
        **{name: info[name] for name in _MACHINE},
    }


def _text_of(value: Any) -> str:
    # An object that has no text of its own is known by its class alone, not by its address.
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _digest(*arrays: Any) -> str:
    """Return dtypes, shapes and SHA-256 of arrays as one text."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    first = arrays[0]
    return f"{first.dtype.name} {first.shape} with SHA-256 {digest.hexdigest()}"


def encoded(value: Any, tensors: dict[str, FloatArray]) -> Any:
    """Return a value in terms of JSON; its arrays go to `tensors`.

    Raises
    ------
    TypeError
        For what a checkpoint cannot hold.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        name = f"{saved_model.TRAINING}.{len(tensors)}"
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, list | tuple):
        return [encoded(item, tensors) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: encoded(item, tensors) for key, item in value.items()}}
    raise TypeError(
        "a checkpoint holds None, numbers, text, float arrays, and lists and dictionaries of such "
        f"with keys that are text, found {type(value).__name__}: {value!r:.80}"
    )


def decoded(value: Any, tensors: dict[str, FloatArray]) -> Any:
    """Return the value that `encoded` was given; its arrays are taken out of `tensors`.

    Raises
    ------
    AttributeError, KeyError, TypeError, ValueError
        For anything else.
    """
    if isinstance(value, list):
        return [decoded(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        # Each once: two places that share memory would change each other.
        return tensors.pop(content)
    if kind == "dict":
        return {key: decoded(item, tensors) for key, item in content.items()}
    raise ValueError(f"an unknown {kind!r:.80}")
