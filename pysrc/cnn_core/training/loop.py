"""The training loop: epochs, shuffling, learning rates, measurements, stopping. No arithmetic."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from cnn_core.backends.interface import Engine
from cnn_core.training.batches import Batches, Epoch, Source
from cnn_core.training.budget import Clock, TimeLimit, step_budget
from cnn_core.training.callbacks import Callback
from cnn_core.training.divergence import DivergenceGuard
from cnn_core.training.schedules import Steps, as_schedule
from cnn_core.training.session import Session, TrainingCheckpoint
from cnn_core.training.state import MONITORED, Recipe, Trainable, TrainingData, TrainingState


def train(
    model: Trainable,
    data: TrainingData,
    recipe: Recipe,
    *,
    callbacks: Iterable[Callback] = (),
    owner: Any = None,
    open_checkpoint: Callable[[Session], TrainingCheckpoint] | None = None,
    source: Source | None = None,
    clock: Clock = time.perf_counter,
) -> TrainingState:
    """Train a model by a recipe; see `cnn_core.Model.train`.

    Parameters
    ----------
    open_checkpoint : callable, optional
        Returns the checkpoint of this training.
    source : Source, optional
        Source of the steps; by default `Batches` of the data.
    clock : callable
        Gives the time in seconds.
    """
    recipe = recipe.with_epochs_of(data.n_samples)
    session = Session(model, data, recipe, callbacks=callbacks, owner=owner)
    source = Batches(data, recipe.batch_size) if source is None else source
    _require_batches(model, source.least_batch)
    checkpoint = TrainingCheckpoint() if open_checkpoint is None else open_checkpoint(session)
    with checkpoint.rollback_if_rejected(), model.exclusively() as engine:
        checkpoint.restore_model()
        with session.running(checkpoint) as state:
            loop = _Loop(session, engine, source, clock)
            loop.resume_from(checkpoint)
            if not checkpoint.finished:
                loop.run(checkpoint)
        if not checkpoint.finished:
            checkpoint.write(loop.progress(), finished=True)
    return state


class _Loop:
    """The epochs of a training, and its state between two of them."""

    def __init__(self, session: Session, engine: Engine, source: Source, clock: Clock) -> None:
        recipe = session.state.recipe
        self._session = session
        self._engine = engine
        self._source = source
        self._clock = clock
        self._guard = DivergenceGuard(session.state.model)
        total = recipe.epochs * source.steps
        self._budget = step_budget(recipe.time_budget, total, recipe.max_steps, clock)
        if isinstance(self._budget, TimeLimit):
            session.rehearse()
            self._budget.end_rehearsal()
        self._schedule = as_schedule(recipe.schedule)
        self._done = 0

    def run(self, checkpoint: TrainingCheckpoint) -> None:
        """Train until it is over."""
        session, state, budget = self._session, self._session.state, self._budget
        shuffles = state.recipe.shuffle
        while not budget.is_over(self._done) and session.begin_epoch():
            self._guard.keep()
            self._source.shuffle(state.model.seed if shuffles else None, state.epoch)
            epoch = self._train_epoch()
            self._guard.check(self._engine, self._source, epoch.loss, state)
            ended = self._clock()
            session.end_epoch(
                loss=epoch.loss,
                accuracy=epoch.hits / epoch.samples if session.data.are_classes else None,
                samples=epoch.samples,
                seconds=epoch.seconds,
                learning_rate=epoch.last_rate,
            )
            self._move_schedule(epoch.last_rate)
            if checkpoint.is_due():
                checkpoint.write(self.progress())
            budget.overhead = self._clock() - ended
        if budget.is_over(self._done) and state.epoch < state.last_epoch:
            state.stop(f"the {state.recipe.time_budget:g} seconds of its budget are over")

    def _train_epoch(self) -> Epoch:
        """Take the steps of an epoch."""
        state, source = self._session.state, self._source
        epoch = Epoch(source)
        for count, total in epoch.parts(self._budget, self._done):
            steps = Steps(self._done, count, source.steps, total, state.model.samples_done)
            rates = self._schedule.rates(state.learning_rate, steps)
            epoch.take(self._engine, count, rates, self._clock)
            self._done += count
        return epoch

    def _move_schedule(self, last_rate: float) -> None:
        """Update the schedule after the epoch, and stop if it is over."""
        state = self._session.state
        self._schedule = self._schedule.after_epoch(state.monitored_loss())
        if self._schedule.is_over(state.learning_rate):
            state.stop(
                f"the learning rate fell to {last_rate:g}, and "
                f"{state.recipe.monitor.replace('_', ' ')} did not improve",
                converged=True,
            )

    def progress(self) -> dict[str, Any]:
        """Return the progress of the training for a checkpoint."""
        return {
            "steps": self._done,
            "seconds": self._budget.used if isinstance(self._budget, TimeLimit) else 0.0,
            "guard": self._guard.get_state(),
        }

    def resume_from(self, checkpoint: TrainingCheckpoint) -> None:
        """Resume from the checkpoint; write a first one if there is none."""
        progress, state = checkpoint.progress, self._session.state
        if progress is None:
            checkpoint.write(self.progress())
            return
        self._done = progress["steps"]
        self._guard.set_state(progress["guard"])
        if isinstance(self._budget, TimeLimit):
            self._budget.resume_from(progress["seconds"])
        # The state of a schedule is the list of monitored values.
        for value in checkpoint.monitored_so_far():
            loss = -value if MONITORED[state.recipe.monitor] else value
            self._schedule = self._schedule.after_epoch(loss)


def _require_batches(model: Trainable, batch_size: int) -> None:
    """Refuse batches of one sample with batch normalization: their variance is 0."""
    if batch_size == 1 and model.network.n_statistics:
        raise ValueError(
            "batch_size: batch normalization needs at least 2 samples in a batch, better some "
            "dozens, found 1 sample; use layer normalization, or a larger batch_size"
        )
