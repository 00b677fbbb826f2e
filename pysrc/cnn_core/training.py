"""The training loop: epochs, order, rates, what is measured and when to stop. No arithmetic."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnn_core.callbacks import Callback, EarlyStopping
from cnn_core.contracts import Engine
from cnn_core.network import ByteArray, FloatArray, IndexArray
from cnn_core.pace import Budget, Clock, Pace, pace_for
from cnn_core.schedules import Rates, Schedule, Steps, as_schedule
from cnn_core.settings import positive, whole

if TYPE_CHECKING:
    from cnn_core.checkpoints import Checkpoint, Keeper
    from cnn_core.model import Model

# What can be monitored, and whether more of it is better.
MONITORED = {
    "loss": False,
    "accuracy": True,
    "validation_loss": False,
    "validation_accuracy": True,
    "validation_score": True,
}
# What the history holds of an epoch, as far as it was measured.
HISTORY = (*MONITORED, "learning_rate", "seconds")
# Why a training ended that was stopped by Ctrl-C.
INTERRUPTED = "interrupted by the user"
# A loss so many times that of the first epoch, or of any epoch of an earlier training, has
# exploded, unless it is below 1.
EXPLODED = 1000


class DivergenceError(FloatingPointError, ValueError):
    """The loss exploded or was not finite; the last good weights were put back."""


@dataclass(frozen=True)
class EpochRecord:
    """What is known after an epoch.

    Attributes
    ----------
    epoch : int
        Number of this epoch, from 1, counted over all calls of ``fit``.
    last_epoch : int
        Number of the last epoch of this call.
    loss : float
        Weighted mean over the samples of the network's loss, each sample as it was before its own
        batch's step, without the term of `Network.l2`. For L-BFGS that of all samples after the
        iteration, with this term.
    accuracy : float or None
        Share of samples whose largest output was their class, likewise; None if the targets are
        not classes.
    validation_loss, validation_accuracy : float or None
        The same on the validation data after the epoch; None without such data.
    samples : int
        Samples trained on in this epoch.
    seconds : float
        Time spent training in this epoch, validation not included.
    validation_score : float or None
        What `Validation.score` gave after the epoch.
    learning_rate : float or None
        That of the epoch's last step; None for L-BFGS.
    """

    epoch: int
    last_epoch: int
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    samples: int
    seconds: float
    validation_score: float | None = None
    learning_rate: float | None = None

    def __str__(self) -> str:
        """Return the line that ``verbose=1`` prints."""
        parts = [f"epoch {self.epoch}/{self.last_epoch}", f"loss {self.loss:.5f}"]
        if self.accuracy is not None:
            parts.append(f"accuracy {self.accuracy:.4f}")
        if self.validation_loss is not None:
            parts.append(f"validation loss {self.validation_loss:.5f}")
        if self.validation_accuracy is not None:
            parts.append(f"validation accuracy {self.validation_accuracy:.4f}")
        if self.validation_score is not None:
            parts.append(f"validation score {self.validation_score:.4f}")
        parts.append(f"{self.samples / max(self.seconds, 1e-9):,.0f} samples/s")
        return "  ".join(parts)


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes
    ----------
    epochs : int
        Passes over the data, at least 0; with a time budget at most so many.
    batch_size : int
        Samples of one step, at least 1; the last batch of an epoch holds what is left.
    learning_rate : float
        Above 0: the base of the schedule.
    schedule : Schedule or str
        See `cnn_core.schedules.as_schedule`.
    shuffle : bool
        Whether every epoch sees the samples in another order, by the model's seed.
    patience : int, optional
        The training ends after more than so many epochs in a row without an improvement of more
        than `tol`, as scikit-learn's ``n_iter_no_change``; None: it does not.
    tol : float
        At least 0; for L-BFGS the largest derivative at which it has converged.
    monitor : str
        What should improve: ``"loss"``, ``"accuracy"``, ``"validation_loss"``,
        ``"validation_accuracy"`` or ``"validation_score"``.
    restore_best : bool
        Whether the model is given back, in the end, its state after the best epoch.
    time_budget : float, optional
        Seconds, above 0, which the training is to take: the schedule is stretched so that it ends
        with them, in the middle of an epoch if need be. What is learned depends on the machine's
        speed then. At least one step is taken.

    Raises
    ------
    TypeError, ValueError
        For a value of another kind or outside its range.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: Schedule | str = "constant"
    shuffle: bool = True
    patience: int | None = None
    tol: float = 0.0
    monitor: str = "loss"
    restore_best: bool = False
    time_budget: float | None = None

    def __post_init__(self) -> None:
        whole("epochs", self.epochs, 0)
        whole("batch_size", self.batch_size, 1)
        if self.patience is not None:
            whole("patience", self.patience, 0)
        positive("learning_rate", self.learning_rate)
        if self.time_budget is not None:
            positive("time_budget", self.time_budget)
        if not self.tol >= 0:
            raise ValueError(f"tol: expected at least 0, found {self.tol!r}")
        require_monitored(self.monitor)
        object.__setattr__(self, "schedule", as_schedule(self.schedule))


@dataclass(frozen=True, eq=False)
class Validation:
    """What is measured after every epoch, on data that is not trained on.

    Attributes
    ----------
    x : (n, n_inputs) array
    t : (n, n_outputs) array
    weights : (n,) array, optional
        What each sample counts in the loss.
    are_classes : bool
        Whether the targets are rows of classes: the share of samples whose largest output is
        their class is measured then.
    score : callable, optional
        Gives a number, the more the better, for the outputs (n, n_outputs), an array that the next
        epoch overwrites.
    """

    x: FloatArray | ByteArray
    t: FloatArray
    weights: FloatArray | None = None
    are_classes: bool = False
    score: Callable[[FloatArray], float] | None = None


class TrainingState:
    """A training that goes on, as callbacks see it and may act on it, and as it is left in the end.

    Attributes
    ----------
    model : Model
    face : object
        What the user trains: an `NN`, an estimator, or the model itself. It has a `save`.
    recipe : Recipe
    epoch : int
        Number of the epoch that goes on or has ended, from 1, counted over all trainings of the
        model; before the first epoch that of the one before.
    last_epoch : int
        Number of the last epoch that is planned.
    learning_rate : float
        Base of the schedule; a callback may set it for the epochs to come.
    record : EpochRecord or None
        Of the epoch that ended last; None before the first one.
    history : dict of str to list of float
        The model's, with that epoch as its last values.
    best_epoch : int or None
        Number of the epoch of this training in which what the recipe monitors was best.
    best_value : float or None
        Its value there.
    improved : bool
        Whether that is the epoch that ended last.
    missing : dict of str to str
        What would have to be there for each value that is not measured, so that it could be.
    stopped_because : str or None
        Why the training ended before its last epoch; None if it did not.
    converged : bool
        Whether that is because nothing improved any more, or L-BFGS has found a minimum.
    """

    def __init__(self, model: Model, face: Any, recipe: Recipe) -> None:
        self.model = model
        self.face = model if face is None else face
        self.recipe = recipe
        self.epoch = model.epochs_done
        self.last_epoch = self.epoch + recipe.epochs
        self.learning_rate = recipe.learning_rate
        self.record: EpochRecord | None = None
        self.best_epoch: int | None = None
        self.best_value: float | None = None
        self.stopped_because: str | None = None
        self.missing: dict[str, str] = {}
        self.converged = False
        self._least = math.inf

    @property
    def learning_rate(self) -> float:
        """Base of the schedule, above 0."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate: float = positive("learning_rate", value)

    @property
    def history(self) -> dict[str, list[float]]:
        """The model's history."""
        return self.model.history

    @property
    def improved(self) -> bool:
        """Whether the last epoch was the best one of this training."""
        return self.record is not None and self.record.epoch == self.best_epoch

    def require_measured(self, monitor: str) -> None:
        """Refuse to monitor what will not be measured in this training.

        Raises
        ------
        ValueError
            For what is not measured.
        """
        if monitor in self.missing:
            raise ValueError(
                f"monitor: {monitor!r} needs {self.missing[monitor]}, found none; "
                f"measured is {', '.join(sorted(set(MONITORED) - set(self.missing)))}"
            )

    def see_whether_it_is_best(self) -> None:
        """Compare the last epoch with the best one before."""
        value = self.badness()
        if self.best_epoch is None or value < self._least:
            # In this order a score that is NaN is surpassed by any number.
            self._least = min(self._least, value)
            self.best_epoch = self.epoch
            self.best_value = getattr(self.record, self.recipe.monitor)

    def stop(self, reason: str, *, converged: bool = False) -> None:
        """Let no further epoch begin; the first reason is kept."""
        if self.stopped_because is None:
            self.stopped_because = reason
            self.converged = converged

    def monitored(self, monitor: str | None = None) -> str:
        """Return the name of what is monitored: `monitor`, by default what the recipe says."""
        return self.recipe.monitor if monitor is None else require_monitored(monitor)

    def badness(self, monitor: str | None = None) -> float:
        """Return the last epoch's value of what is monitored, so that less is better.

        Raises
        ------
        ValueError
            If it was not measured.
        """
        name = self.monitored(monitor)
        self.require_measured(name)
        value = getattr(self.record, name)
        return -float(value) if MONITORED[name] else float(value)


def require_monitored(name: str) -> str:
    """Return the name of something that can be monitored.

    Raises
    ------
    ValueError
        For any other.
    """
    if name not in MONITORED:
        known = ", ".join(map(repr, MONITORED))
        raise ValueError(f"monitor: expected one of {known}, found {name!r}")
    return name


def shuffled_order(key: int, epoch: int, samples: int) -> IndexArray:
    """Return the order of the samples in an epoch: a permutation fixed by `key` and `epoch` alone.

    The numbers come from the counter-based generator Philox (Salmon et al., "Parallel random
    numbers: as easy as 1, 2, 3", 2011) with the epoch in its counter, so that the order of any
    epoch can be had without those before it, and is the same for every backend.
    """
    generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, epoch]))
    return generator.permutation(samples).astype(np.intp, copy=False)


class Session:
    """What every loop over epochs has in common: hooks, measurements, history.

    Parameters
    ----------
    model : Model
    recipe : Recipe
    are_classes : bool
        Whether there will be an accuracy.
    validation : Validation, optional
    callbacks : iterable of Callback
    face : object, optional

    Attributes
    ----------
    state : TrainingState
    validation : Validation or None
    callbacks : list of Callback

    Raises
    ------
    ValueError
        If the recipe monitors something that will not be measured.
    """

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        *,
        are_classes: bool,
        validation: Validation | None,
        callbacks: Iterable[Callback],
        face: Any,
    ) -> None:
        self.state = TrainingState(model, face, recipe)
        self.validation = validation
        self._outputs = None if validation is None else np.empty_like(validation.t)
        self.callbacks = list(callbacks)
        if recipe.patience is not None or recipe.restore_best:
            # The last one, so that the others find the best weights in their `on_train_end`.
            self.callbacks.append(
                EarlyStopping(None, recipe.patience, recipe.tol, recipe.restore_best)
            )
        self.state.missing = _missing(are_classes, validation)
        self.state.require_measured(recipe.monitor)

    @contextmanager
    def running(self, keeper: Keeper | None = None) -> Iterator[TrainingState]:
        """Call the hooks around a training, which may be one that goes on."""
        with ExitStack() as ends:
            for callback in self.callbacks:
                callback.on_train_begin(self.state)
                ends.callback(callback.on_train_end, self.state)
            if keeper is not None:
                keeper.put_into_callbacks()
            yield self.state

    def epoch_begins(self) -> bool:
        """Call the hooks before an epoch; tell whether there is to be one."""
        state = self.state
        if state.stopped_because is not None or state.epoch >= state.last_epoch:
            return False
        state.epoch += 1
        for callback in self.callbacks:
            callback.on_epoch_begin(state)
        if state.stopped_because is not None:
            state.epoch -= 1
            return False
        return True

    def epoch_ends(
        self,
        *,
        loss: float,
        accuracy: float | None,
        samples: int,
        seconds: float,
        learning_rate: float | None,
    ) -> None:
        """Measure what the epoch has brought, put it down and call the hooks after it."""
        state = self.state
        measured = self._measure()
        state.record = EpochRecord(
            epoch=state.epoch,
            last_epoch=state.last_epoch,
            loss=loss,
            accuracy=accuracy,
            samples=samples,
            seconds=seconds,
            learning_rate=learning_rate,
            validation_loss=measured.loss,
            validation_accuracy=measured.accuracy,
            validation_score=measured.score,
        )
        self._put_down(state.record)
        state.see_whether_it_is_best()
        for callback in self.callbacks:
            callback.on_epoch_end(state)

    def _put_down(self, record: EpochRecord) -> None:
        """Count the epoch and add it to the history, or neither if an interrupt comes between."""
        model = self.state.model
        history, epochs, samples = model.history, model.epochs_done, model.samples_done
        lengths = {name: len(values) for name, values in history.items()}
        try:
            for name in HISTORY:
                value = getattr(record, name)
                if value is not None:
                    history.setdefault(name, []).append(value)
            model.epochs_done = record.epoch
            model.samples_done += record.samples
        except BaseException:
            for name, values in history.items():
                del values[lengths.get(name, 0) :]
            model.epochs_done, model.samples_done = epochs, samples
            raise

    def rehearse(self) -> None:
        """Do what takes the time of a measurement."""
        validation = self.validation
        if validation is not None:
            self.state.model.evaluate(validation.x, validation.t, validation.weights, self._outputs)

    def _measure(self) -> _Measured:
        validation = self.validation
        if validation is None:
            return _Measured(None, None, None)
        t = validation.t
        loss, y = self.state.model.evaluate(validation.x, t, validation.weights, self._outputs)
        accuracy = score = None
        if validation.are_classes:
            hits = int(np.count_nonzero(y.argmax(axis=1) == t.argmax(axis=1)))
            accuracy = hits / len(t)
        if validation.score is not None:
            score = float(validation.score(y))
        return _Measured(loss, accuracy, score)


class _Measured(NamedTuple):
    """What the validation data have given."""

    loss: float | None
    accuracy: float | None
    score: float | None


def train(
    model: Model,
    x: FloatArray | ByteArray,
    t: FloatArray,
    recipe: Recipe,
    *,
    weights: FloatArray | None = None,
    are_classes: bool = False,
    validation: Validation | None = None,
    callbacks: Iterable[Callback] = (),
    face: Any = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    seeded: bool = True,
    clock: Clock = time.perf_counter,
) -> TrainingState:
    """Train a model by a recipe; see `cnn_core.model.Model.train`.

    Parameters
    ----------
    clock : callable
        Gives the time in seconds.
    """
    session = Session(
        model,
        recipe,
        are_classes=are_classes,
        validation=validation,
        callbacks=callbacks,
        face=face,
    )
    _require_batches(model, min(recipe.batch_size, len(x)))
    keeper = None
    if checkpoint is not None:
        keeper = _keeper(checkpoint, session, x, t, weights, are_classes, seeded)
    undone = nullcontext() if keeper is None else keeper.undone_if_refused()
    with undone, model.exclusively() as engine:
        if keeper is not None:
            keeper.put_into_model()
        with session.running(keeper) as state:
            loop = _Loop(session, engine, _Data(x, t, weights, recipe.batch_size), clock)
            if keeper is not None:
                loop.stands_by(keeper)
            if keeper is None or not keeper.finished:
                loop.run(keeper, are_classes)
        if keeper is not None and not keeper.finished:
            keeper.write(loop.progress(), finished=True)
    return state


def _keeper(
    checkpoint: Checkpoint | str | os.PathLike[str],
    session: Session,
    x: FloatArray | ByteArray,
    t: FloatArray,
    weights: FloatArray | None,
    are_classes: bool,
    seeded: bool,
) -> Keeper:
    from cnn_core.checkpoints import Keeper

    validation = session.validation
    return Keeper(
        checkpoint,
        session.state,
        session.callbacks,
        {
            "x": x,
            "t": t,
            "weights of samples": weights,
            "validation x": None if validation is None else validation.x,
            "validation t": None if validation is None else validation.t,
            "validation weights": None if validation is None else validation.weights,
        },
        are_classes=are_classes,
        validation=validation,
        seeded=seeded,
    )


class _Loop:
    """The epochs of a training, and where it stands between two of them."""

    def __init__(self, session: Session, engine: Engine, data: _Data, clock: Clock) -> None:
        recipe = session.state.recipe
        self._session = session
        self._engine = engine
        self._data = data
        self._clock = clock
        self._guard = _Guard(session.state.model)
        self._pace = pace_for(recipe.time_budget, recipe.epochs * data.steps, clock)
        if isinstance(self._pace, Budget):
            session.rehearse()
            self._pace.has_rehearsed()
        self._schedule = as_schedule(recipe.schedule)
        self._done = 0

    def run(self, keeper: Keeper | None, are_classes: bool) -> None:
        """Train until it is over."""
        session, state, pace, clock = self._session, self._session.state, self._pace, self._clock
        recipe = state.recipe
        while not pace.is_over(self._done) and session.epoch_begins():
            self._guard.keep()
            self._data.shuffle(state.model.seed if recipe.shuffle else None, state.epoch)
            epoch = self._epoch()
            self._guard.check(self._engine, self._data, epoch.loss, state)
            ended = clock()
            session.epoch_ends(
                loss=epoch.loss,
                accuracy=epoch.hits / epoch.samples if are_classes else None,
                samples=epoch.samples,
                seconds=epoch.seconds,
                learning_rate=epoch.last_rate,
            )
            self._schedule = self._schedule.after_epoch(state.badness())
            if self._schedule.is_over(state.learning_rate):
                state.stop(
                    f"the learning rate fell to {epoch.last_rate:g}, and "
                    f"{recipe.monitor.replace('_', ' ')} did not improve",
                    converged=True,
                )
            if keeper is not None and keeper.is_due():
                keeper.write(self.progress())
            pace.overhead = clock() - ended
        if pace.is_over(self._done) and state.epoch < state.last_epoch:
            state.stop(f"the {recipe.time_budget:g} seconds of its budget are over")

    def _epoch(self) -> _Epoch:
        """Take the steps of an epoch."""
        state, data = self._session.state, self._data
        epoch = _Epoch(data)
        for count, total in epoch.parts(self._pace, self._done):
            steps = Steps(self._done, count, data.steps, total, state.model.samples_done)
            rates = self._schedule.rates(state.learning_rate, steps)
            epoch.take(self._engine, count, rates, self._clock)
            self._done += count
        return epoch

    def progress(self) -> dict[str, Any]:
        """Return where the training stands, for a checkpoint."""
        return {
            "steps": self._done,
            "seconds": self._pace.used if isinstance(self._pace, Budget) else 0.0,
            "guard": self._guard.get_state(),
        }

    def stands_by(self, keeper: Keeper) -> None:
        """Stand where the checkpoint does; write it if there is none, so that there always is."""
        progress, state = keeper.progress, self._session.state
        if progress is None:
            keeper.write(self.progress())
            return
        self._done = progress["steps"]
        self._guard.set_state(progress["guard"])
        if isinstance(self._pace, Budget):
            self._pace.goes_on(progress["seconds"])
        # A schedule is known by the values that it was told.
        for value in keeper.monitored_so_far():
            bad = -value if MONITORED[state.recipe.monitor] else value
            self._schedule = self._schedule.after_epoch(bad)


def _require_batches(model: Model, batch_size: int) -> None:
    """Refuse batches of one sample where a layer is normalized over them, and learns nothing."""
    if batch_size == 1 and model.network.n_statistics:
        raise ValueError(
            "batch_size: batch normalization needs at least 2 samples in a batch, better some "
            "dozens, found 1; use layer normalization, or a larger batch_size"
        )


class _Data:
    """The samples of a training, and their order in the epoch that goes on."""

    def __init__(
        self,
        x: FloatArray | ByteArray,
        t: FloatArray,
        weights: FloatArray | None,
        batch_size: int,
    ) -> None:
        self.x, self.t, self.weights = x, t, weights
        self.batch_size = min(batch_size, max(len(x), 1))
        self.steps = -(-len(x) // self.batch_size)
        self.order: IndexArray | None = None

    def shuffle(self, key: int | None, epoch: int) -> None:
        self.order = None if key is None else shuffled_order(key, epoch, len(self.x))

    def rows(self, first: int, count: int) -> slice:
        """Return where the samples of `count` steps from the step `first` stand in the order."""
        return slice(first * self.batch_size, min((first + count) * self.batch_size, len(self.x)))

    def weight(self, rows: slice) -> float:
        """Return what these samples count."""
        if self.weights is None:
            return float(rows.stop - rows.start)
        chosen = self.weights[rows if self.order is None else self.order[rows]]
        return float(chosen.sum(dtype=np.float64))


class _Epoch:
    """An epoch that goes on, part by part."""

    def __init__(self, data: _Data) -> None:
        self._data = data
        self._shares: list[float] = []
        self.losses: list[float] = []
        self.steps = 0
        self.samples = 0
        self.hits = 0
        self.seconds = 0.0
        self.last_rate = 0.0

    def parts(self, pace: Pace, done: int) -> Iterator[tuple[int, int]]:
        """Give the steps of each part and those of the training, as `Steps.total` has them.

        Parameters
        ----------
        pace : Pace
        done : int
            Steps of the training before this epoch.
        """
        while self.steps < self._data.steps and self._is_good:
            count, total = pace.part(done + self.steps, self._data.steps - self.steps)
            if not count and self.steps:
                return
            yield max(count, 1), total

    @property
    def _is_good(self) -> bool:
        return not self.losses or math.isfinite(self.losses[-1])

    def take(self, engine: Engine, count: int, rates: Rates, clock: Clock) -> None:
        """Take `count` steps."""
        data = self._data
        rows = data.rows(self.steps, count)
        x, t, weights, order = data.x, data.t, data.weights, data.order
        if order is None:
            x, t, weights = x[rows], t[rows], None if weights is None else weights[rows]
        else:
            order = order[rows]
        start = clock()
        loss, hits = engine.train_epoch(x, t, order, data.batch_size, rates, weights)
        self.seconds += clock() - start
        self.losses.append(loss)
        # What is the whole epoch needs no share in it.
        self._shares.append(1.0 if count == data.steps else data.weight(rows))
        self.steps += count
        self.samples += rows.stop - rows.start
        self.hits += hits
        self.last_rate = float(rates[-1] if isinstance(rates, np.ndarray) else rates)

    @property
    def loss(self) -> float:
        """The mean over the samples so far."""
        if len(self.losses) == 1:
            return self.losses[0]
        total = math.fsum(self._shares)
        parts = zip(self.losses, self._shares, strict=True)
        return math.fsum(loss * share for loss, share in parts) / total if total else 0.0


class _Guard:
    """Keeps the last good weights, and puts them back when a training diverges."""

    def __init__(self, model: Model) -> None:
        self._model = model
        # Of the trainings before this one, then of its first epoch as well.
        self._largest = max(model.history.get("loss", ()), default=0.0)
        self._is_first = True
        self._newest: dict[str, FloatArray] = {}
        self._older: dict[str, FloatArray] = {}

    def keep(self) -> None:
        """Copy the weights before an epoch."""
        self._newest, self._older = self._older, self._newest
        for name, array in self._model.weights().items():
            if name in self._newest:
                self._newest[name][...] = array
            else:
                self._newest[name] = array.copy()

    def get_state(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold of it: the weights before the last epoch too."""
        return {"largest": self._largest, "is_first": self._is_first, "kept": self._newest}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take that back."""
        self._largest = state["largest"]
        self._is_first = state["is_first"]
        self._newest = state["kept"]

    def check(self, engine: Engine, data: _Data, loss: float, state: TrainingState) -> None:
        """See whether an epoch has gone well.

        Raises
        ------
        DivergenceError
            If it has not.
        """
        if self._is_good(loss) and self._model.is_finite():
            if self._is_first:
                self._largest = max(self._largest, loss)
                self._is_first = False
            return
        happened = self._what_happened(loss)
        kept = state.epoch - 1
        self._model.put_back(self._newest)
        if self._older and not self._is_good(self._loss_of_first_batch(engine, data)):
            # The last step of the epoch before had led astray already.
            kept -= 1
            self._model.put_back(self._older)
        raise DivergenceError(_advice(happened, kept, state))

    def _what_happened(self, loss: float) -> str:
        if not math.isfinite(loss):
            return f"the loss became {loss}"
        if self._model.is_finite():
            return f"the loss grew to {loss:g}"
        return f"the weights have left the range of {self._model.dtype}"

    def _is_good(self, loss: float) -> bool:
        if not math.isfinite(loss):
            return False
        return loss < 1 or not self._largest or loss <= EXPLODED * self._largest

    def _loss_of_first_batch(self, engine: Engine, data: _Data) -> float:
        rows = data.rows(0, 1)
        batch = rows if data.order is None else data.order[rows]
        weights = None if data.weights is None else data.weights[batch]
        slope = np.empty_like(self._model.parameters)
        return engine.gradient(data.x[batch], data.t[batch], slope, weights)


def _advice(happened: str, kept: int, state: TrainingState) -> str:
    """Return what happened, what was done about it and what to change."""
    if state.recipe.restore_best and state.best_epoch is not None:
        kept = state.best_epoch
    first = state.last_epoch - state.recipe.epochs
    where = f"after epoch {kept}" if kept > first else "before this training"
    return (
        f"{happened} in epoch {state.epoch}; the weights are again those {where}. Train with a "
        f"lower learning rate (it was {state.learning_rate:g}), with inputs scaled to about "
        "[-1, 1], or with a clipped gradient (clip_norm)"
    )


def _missing(are_classes: bool, validation: Validation | None) -> dict[str, str]:
    """Return what would have to be there for each value that is not measured."""
    needs = {
        "accuracy": (are_classes, "targets that are classes, one output for each"),
        "validation_loss": (validation is not None, "validation data"),
        "validation_accuracy": (
            validation is not None and validation.are_classes,
            "validation data whose targets are classes, one output for each",
        ),
        "validation_score": (
            validation is not None and validation.score is not None,
            "validation data and a score",
        ),
    }
    return {name: needed for name, (is_there, needed) in needs.items() if not is_there}
