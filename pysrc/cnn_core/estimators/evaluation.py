"""What an estimator puts down after each epoch, and scikit-learn's rule of when to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnn_core.class_targets import Targets
from cnn_core.estimators.scoring import OWN, score_by
from cnn_core.io.checkpoint_checks import curve_in
from cnn_core.network import FloatArray, IndexArray
from cnn_core.outputs import Keep, nothing
from cnn_core.sparse import Samples
from cnn_core.training import TrainingState, Validation
from cnn_core.training.callbacks import Callback
from cnn_core.training.patience import PatienceCounter
from cnn_core.training.snapshot import layout_of, snapshot_from
from cnn_core.validation import measured, number, whole

if TYPE_CHECKING:
    from cnn_core.estimators.base import BaseMLP

# What a fit puts down on its estimator, and a checkpoint has to hold.
_COUNTS = ("n_iter_", "t_", "_cuts")
_VALUES = ("loss_", "best_loss_", "best_validation_score_")
_CURVES = ("loss_curve_", "validation_loss_curve_", "validation_scores_")
# scikit-learn's "adaptive": what the rate is divided by, and where that ends.
ADAPTIVE_DIVISOR, _ADAPTIVE_LEAST = 5.0, 1e-6


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Samples and what is to be predicted for them, in the user's terms and in the network's.

    Attributes
    ----------
    x : (n, n_features) array
    y : array
        Labels or numbers, as the estimator reads them.
    t : ClassTargets or (n, n_outputs) array
    weights : (n,) array, optional
    """

    x: Samples
    y: npt.NDArray[Any]
    t: Targets
    weights: FloatArray | None

    def part(self, chosen: IndexArray) -> EvaluationSet:
        """Return a part of the samples."""
        weights = None if self.weights is None else self.weights[chosen]
        return EvaluationSet(self.x[chosen], self.y[chosen], self.t[chosen], weights)

    @property
    def weight(self) -> float:
        """Return what the samples count together."""
        return len(self.y) if self.weights is None else float(self.weights.sum(dtype=np.float64))

    @property
    def n_counted(self) -> int:
        """Return how many samples have a weight above 0."""
        return len(self.y) if self.weights is None else int(np.count_nonzero(self.weights))

    def scorer(self, estimator: BaseMLP) -> tuple[Callable[[Any], float] | None, Keep]:
        """Return what gives the score, None where the loss is the score; and what it is given.

        That is what is kept of the outputs, as `Model.evaluate` has it.
        """
        scoring, task = estimator.scoring, estimator._task
        if scoring == "loss":
            return None, nothing
        if scoring is None or scoring == OWN[estimator._kind]:
            return lambda predicted: task.score(self.y, predicted, self.weights), task.to_score
        return lambda _: score_by(scoring, estimator, self.x, self.y, self.weights), nothing

    def validation(self, estimator: BaseMLP) -> Validation:
        """Return it in the training loop's terms."""
        score, keep = self.scorer(estimator)
        return Validation(self.x, self.t, self.weights, score=score, keep=keep)


class Monitor(Callback):
    """Puts down on an estimator what each epoch has brought, and ends its training in time.

    A training ends after more than `n_iter_no_change` epochs in a row without an improvement by
    more than `tol` of the loss, or with `early_stopping` of the validation score; the learning rate
    "adaptive" is divided by 5 in its place, until that makes no sense any more.

    Parameters
    ----------
    estimator : BaseMLP
    train : EvaluationSet
        What it is trained on.
    sets : list of EvaluationSet
        What it is measured on; the last one decides, if any does.
    reported : bool
        Whether these are the user's own, of which the estimator keeps everything.
    """

    def __init__(
        self,
        estimator: BaseMLP,
        train: EvaluationSet,
        sets: list[EvaluationSet],
        *,
        reported: bool,
    ) -> None:
        self.train = train
        self.sets = sets
        self._estimator = estimator
        self._reported = reported

    def on_train_begin(self, state: TrainingState) -> None:
        """Look at the weights that the first batch will be measured with."""
        self._weights = [layer.weights for layer in state.model.layers]
        self._squares = self._sum_of_squares(state)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Record everything, then decide whether the epoch is the best."""
        estimator, record = self._estimator, state.record
        assert record is not None
        estimator.n_iter_ += 1
        estimator.t_ = state.model.samples_done
        estimator.loss_ = self._loss(state)
        estimator.loss_curve_.append(estimator.loss_)
        if estimator.best_loss_ is not None:
            estimator.best_loss_ = min(estimator.best_loss_, estimator.loss_)
        score = self._measure_sets(state) if self.sets else None
        if estimator.verbose:
            print(self._line())
        if estimator.solver != "lbfgs":
            self._judge(state, score)

    def get_state(self) -> dict[str, Any]:
        """Return all that a fit puts down on its estimator."""
        estimator = self._estimator
        curves = {name: _as_array(getattr(estimator, name)) for name in _CURVES}
        results = {
            place: {name: _as_array(values) for name, values in result.items()}
            for place, result in estimator.evals_result_.items()
        }
        best = estimator._best
        return {
            "attributes": {
                name: getattr(estimator, name)
                for name in (*_COUNTS, *_VALUES)
                if hasattr(estimator, name)
            },
            "curves": curves,
            "evals_result_": results,
            "watch": list(estimator._watch),
            "best": None if best is None else best._asdict(),
            "squares": self._squares,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Put it down again."""
        estimator = self._estimator
        curves = {name: _as_list(name, state["curves"][name]) for name in _CURVES}
        results = {
            place: {name: curve_in(name, state["evals_result_"][place][name]) for name in result}
            for place, result in estimator.evals_result_.items()
        }
        counts = {name: whole(name, state["attributes"][name], 0) for name in _COUNTS}
        values = {
            name: measured(name, state["attributes"][name], optional=name != "loss_")
            for name in _VALUES
            # Before the first epoch there is no loss.
            if name in state["attributes"] or name != "loss_"
        }
        for name, value in (values | curves).items():
            # What this fit measures must be there, and nothing else.
            if name != "loss_" and (value is None) != (getattr(estimator, name) is None):
                raise ValueError(f"{name}: expected what this fit measures, found {value!r:.80}")
        watch = PatienceCounter.from_state(state["watch"])
        best = snapshot_from(state["best"], layout_of(estimator.model_.arrays()))
        self._squares = number("squares", state["squares"])
        for name, value in (counts | values | curves).items():
            setattr(estimator, name, value)
        estimator.evals_result_, estimator._watch, estimator._best = results, watch, best

    def measure(self, state: TrainingState) -> None:
        """Put down the loss of a training without a single epoch: there was nothing to improve."""
        estimator, train = self._estimator, self.train
        loss, _ = state.model.evaluate(train.x, train.t, train.weights, keep=nothing)
        term = state.model.network.l2 / 2 * self._squares / max(train.weight, 1e-300)
        estimator.loss_ = loss / estimator._task.loss_parts + term

    def diverged(self) -> None:
        """Put down an epoch that was no good."""
        estimator = self._estimator
        estimator.n_iter_ += 1
        for values in (
            estimator.loss_curve_,
            estimator.validation_loss_curve_,
            estimator.validation_scores_,
        ):
            if values is not None:
                values.append(float("nan"))

    def _loss(self, state: TrainingState) -> float:
        """Return the loss as scikit-learn has it, with the term of `alpha`.

        During an epoch that term is taken with each batch, and weighed by its share. The squares of
        the weights are known before the first batch and after the last one; those in between are
        taken to lie on a straight line.
        """
        record, model = state.record, state.model
        assert record is not None
        parts = self._estimator._task.loss_parts
        l2 = model.network.l2
        first, last = self._squares, self._sum_of_squares(state)
        self._squares = last
        if record.learning_rate is None:
            # L-BFGS, whose loss has it: what is measured is what is minimized.
            term = l2 / 2 * last / max(self.train.weight, 1e-300)
            return (record.loss - term) / parts + term
        batches = -(-record.samples // state.recipe.batch_size)
        squares = batches * first + (batches - 1) / 2 * (last - first)
        # With a time budget the last epoch may be a part of one.
        weight = self.train.weight * record.samples / len(self.train.y)
        return record.loss / parts + l2 / 2 * squares / max(weight, 1e-300)

    def _sum_of_squares(self, state: TrainingState) -> float:
        """Return that of all weights, 0 where nobody asks for it."""
        if not state.model.network.l2:
            return 0.0
        return float(sum(np.vdot(weights, weights) for weights in self._weights))

    def _measure_sets(self, state: TrainingState) -> float:
        """Put down losses and scores; return the score that decides."""
        estimator, record = self._estimator, state.record
        assert record is not None
        assert record.validation_loss is not None
        measured = [self._measured(state, one) for one in self.sets[:-1]]
        loss = record.validation_loss / estimator._task.loss_parts
        score = -loss if record.validation_score is None else record.validation_score
        measured.append((loss, score))
        assert estimator.validation_loss_curve_ is not None
        assert estimator.validation_scores_ is not None
        estimator.validation_loss_curve_.append(loss)
        estimator.validation_scores_.append(score)
        if self._reported:
            for place, (loss_there, score_there) in enumerate(measured):
                result = estimator.evals_result_[f"eval_{place}"]
                result["loss"].append(loss_there)
                result["score"].append(score_there)
        return score

    def _measured(self, state: TrainingState, one: EvaluationSet) -> tuple[float, float]:
        score, keep = one.scorer(self._estimator)
        loss, kept = state.model.evaluate(one.x, one.t, one.weights, keep=keep)
        loss /= self._estimator._task.loss_parts
        return loss, -loss if score is None else float(score(kept))

    def _judge(self, state: TrainingState, score: float | None) -> None:
        estimator = self._estimator
        if estimator._stops_early and score is not None:
            what, value = "Validation score", -score
            assert estimator.best_validation_score_ is not None
            if score > estimator.best_validation_score_:
                estimator.best_validation_score_ = score
                estimator._best = state.model.snapshot()
            if np.isnan(score) and estimator.best_validation_score_ == -np.inf:
                # No score has been a number yet: nothing can have stopped improving.
                return
        else:
            what, value = "Training loss", estimator.loss_
        estimator._watch = estimator._watch.after(value, estimator.tol)
        if not estimator._watch.has_run_out(estimator.n_iter_no_change):
            return
        reason = (
            f"{what} did not improve more than tol={estimator.tol:f} for "
            f"{estimator.n_iter_no_change} consecutive epochs"
        )
        if self._can_adapt(state):
            state.learning_rate /= ADAPTIVE_DIVISOR
            estimator._cuts += 1
            estimator._watch = estimator._watch.restarted()
            reason += f": the learning rate is {state.learning_rate:g} from here on"
        else:
            state.stop(reason, converged=True)
        if estimator.verbose:
            print(f"{reason}.")

    def _can_adapt(self, state: TrainingState) -> bool:
        estimator = self._estimator
        return (
            estimator.solver == "sgd"
            and estimator.learning_rate == "adaptive"
            and estimator.schedule is None
            and state.learning_rate > _ADAPTIVE_LEAST
        )

    def _line(self) -> str:
        estimator = self._estimator
        parts = [f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}"]
        if self.sets:
            assert estimator.validation_loss_curve_
            assert estimator.validation_scores_
            parts.append(f"validation loss = {estimator.validation_loss_curve_[-1]:.8f}")
            parts.append(f"validation score = {estimator.validation_scores_[-1]:.6f}")
        return ", ".join(parts)


class BestWeights(Callback):
    """Puts the weights of the best epoch back, before any other callback sees the end.

    Parameters
    ----------
    estimator : BaseMLP
    incremental : bool
        Whether this is a `partial_fit`: only once there is no hope of better ones then.
    """

    def __init__(self, estimator: BaseMLP, *, incremental: bool) -> None:
        self._estimator = estimator
        self._incremental = incremental

    def on_train_end(self, state: TrainingState) -> None:
        """Put them back."""
        estimator = self._estimator
        if self._incremental and state.stopped_because is None:
            return
        if estimator._best is not None:
            state.model.restore(estimator._best)
            estimator._best = None


def _as_array(values: list[float] | None) -> FloatArray | None:
    return None if values is None else np.array(values, np.float64)


def _as_list(name: str, values: FloatArray | None) -> list[float] | None:
    return None if values is None else curve_in(name, values)
