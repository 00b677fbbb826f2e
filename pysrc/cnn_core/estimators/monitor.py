"""Record the results of each epoch of a fit; scikit-learn's stopping rule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnn_core.estimators.evaluation import TrainingSet
from cnn_core.estimators.progress import FitProgress
from cnn_core.model import Model
from cnn_core.training import TrainingState, Validation
from cnn_core.training.callbacks import Callback
from cnn_core.validation import number

# scikit-learn's "adaptive": divisor of the learning rate, and its least value.
ADAPTIVE_DIVISOR, _ADAPTIVE_LEAST = 5.0, 1e-6


@dataclass(frozen=True)
class StoppingRule:
    """When a training ends before its last epoch.

    After more than `patience` epochs in a row without an improvement of more than `tol`, of the
    loss or with early stopping of the validation score.

    Attributes
    ----------
    tol, patience : float
    by_score : bool
        Whether the validation score decides.
    adaptive : bool
        Whether to divide the learning rate instead, until it is very small.
    in_force : bool
        False for L-BFGS, which has its own rule.
    """

    tol: float
    patience: float
    by_score: bool
    adaptive: bool
    in_force: bool


class Monitor(Callback):
    """Records the results of each epoch of a fit, and stops the fit by the rule.

    Parameters
    ----------
    progress : FitProgress
    rule : StoppingRule
    model : Model
        The model in training.
    train : TrainingSet
        The training set.
    sets : list of Validation
        The validation sets; the last one is used for early stopping.
    reported : bool
        Whether these are the user's sets, whose results are all kept.
    loss_parts : int
        Divisor of the network's loss.
    verbose : bool
        Whether to print a line for each epoch.
    """

    def __init__(
        self,
        progress: FitProgress,
        rule: StoppingRule,
        model: Model,
        train: TrainingSet,
        sets: list[Validation],
        *,
        reported: bool,
        loss_parts: int,
        verbose: bool,
    ) -> None:
        self.train = train
        self.sets = sets
        self._progress = progress
        self._rule = rule
        self._model = model
        self._reported = reported
        self._loss_parts = loss_parts
        self._verbose = verbose

    def on_train_begin(self, state: TrainingState) -> None:
        """Compute the L2 term of the first batch."""
        self._weights = [layer.weights for layer in state.model.layers]
        self._squares = self._sum_of_squares(state)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Record everything, then apply the stopping rule."""
        progress = self._progress
        progress.add_epoch(self._loss(state), state.model.samples_done)
        score = self._measure_sets(state) if self.sets else None
        if self._verbose:
            print(self._line())
        if self._rule.in_force:
            self._apply_rule(state, score)

    def get_state(self) -> dict[str, Any]:
        """Return the progress for a checkpoint."""
        return {**self._progress.state(), "squares": self._squares}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the result of `get_state`."""
        squares = number("squares", state["squares"])
        self._progress.set_state(state, self._model.arrays())
        self._squares = squares

    def measure(self, state: TrainingState) -> None:
        """Record the loss of a training without any epoch, as when nothing could improve."""
        train = self.train
        loss = train.loss_by(state.model)
        term = state.model.network.l2 / 2 * self._squares / max(train.weight, 1e-300)
        self._progress.loss = loss / self._loss_parts + term

    def _loss(self, state: TrainingState) -> float:
        """Return the loss as in scikit-learn, with the term of `alpha`.

        scikit-learn adds that term in each batch and averages. Here the squared weights are known
        only before the first and after the last batch, so they are interpolated linearly.
        """
        record = state.record
        assert record is not None
        parts = self._loss_parts
        l2 = state.model.network.l2
        first, last = self._squares, self._sum_of_squares(state)
        self._squares = last
        if record.learning_rate is None:
            # The loss of L-BFGS includes the term already.
            term = l2 / 2 * last / max(self.train.weight, 1e-300)
            return (record.loss - term) / parts + term
        batches = -(-record.samples // state.recipe.batch_size)
        squares = batches * first + (batches - 1) / 2 * (last - first)
        # With a time budget the last epoch may be a part of one.
        weight = self.train.weight * record.samples / self.train.n_samples
        return record.loss / parts + l2 / 2 * squares / max(weight, 1e-300)

    def _sum_of_squares(self, state: TrainingState) -> float:
        """Return the sum of squares of all weights; 0 if there is no L2 term."""
        if not state.model.network.l2:
            return 0.0
        return float(sum(np.vdot(weights, weights) for weights in self._weights))

    def _measure_sets(self, state: TrainingState) -> float:
        """Record losses and scores; return the score for early stopping."""
        record = state.record
        assert record is not None
        assert record.validation_loss is not None
        results = [self._measured(state, one) for one in self.sets[:-1]]
        loss = record.validation_loss / self._loss_parts
        score = -loss if record.validation_score is None else record.validation_score
        results.append((loss, score))
        self._progress.add_validation(results, reported=self._reported)
        return score

    def _measured(self, state: TrainingState, one: Validation) -> tuple[float, float]:
        loss, kept = state.model.evaluate(one.x, one.t, one.weights, keep=one.keep)
        loss /= self._loss_parts
        return loss, -loss if one.score is None else float(one.score(kept))

    def _apply_rule(self, state: TrainingState, score: float | None) -> None:
        progress, rule = self._progress, self._rule
        if rule.by_score and score is not None:
            what, value = "Validation score", -score
            assert progress.best_validation_score is not None
            if score > progress.best_validation_score:
                progress.best_validation_score = score
                progress.best = state.model.snapshot()
            if math.isnan(score) and progress.has_no_score:
                # All scores were NaN so far, so do not count patience.
                return
        else:
            assert progress.loss is not None
            what, value = "Training loss", progress.loss
        progress.patience = progress.patience.after(value, rule.tol)
        if not progress.patience.has_run_out(rule.patience):
            return
        reason = (
            f"{what} did not improve more than tol={rule.tol:f} for "
            f"{rule.patience} consecutive epochs"
        )
        if rule.adaptive and state.learning_rate > _ADAPTIVE_LEAST:
            state.learning_rate /= ADAPTIVE_DIVISOR
            progress.cuts += 1
            progress.patience = progress.patience.restarted()
            reason += f": the learning rate is {state.learning_rate:g} from here on"
        else:
            state.stop(reason, converged=True)
        if self._verbose:
            print(f"{reason}.")

    def _line(self) -> str:
        progress = self._progress
        parts = [f"Iteration {progress.n_iter}, loss = {progress.loss:.8f}"]
        if self.sets:
            assert progress.validation_loss_curve
            assert progress.validation_scores
            parts.append(f"validation loss = {progress.validation_loss_curve[-1]:.8f}")
            parts.append(f"validation score = {progress.validation_scores[-1]:.6f}")
        return ", ".join(parts)


class BestWeights(Callback):
    """Restore the weights of the best epoch, before other callbacks see the end.

    Parameters
    ----------
    progress : FitProgress
    incremental : bool
        Whether this is a `partial_fit`, which restores them only when patience has run out.
    """

    def __init__(self, progress: FitProgress, *, incremental: bool) -> None:
        self._progress = progress
        self._incremental = incremental

    def on_train_end(self, state: TrainingState) -> None:
        """Restore them."""
        if self._incremental and state.stopped_because is None:
            return
        if self._progress.best is not None:
            state.model.restore(self._progress.best)
            self._progress.best = None
