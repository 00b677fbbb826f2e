"""The base class of both estimators: fitting."""

from __future__ import annotations

import math
import os
import warnings
from abc import abstractmethod
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cnn_core.class_targets import Targets
from cnn_core.containers import column_names
from cnn_core.estimators import presets, sklearn_callbacks
from cnn_core.estimators.compat import ConvergenceWarning
from cnn_core.estimators.evaluation import EvalSet, EvaluationSet, TrainingSet, each_set
from cnn_core.estimators.fit_data import FitData, read_evaluation_set
from cnn_core.estimators.fitted import FittedMLP
from cnn_core.estimators.models import best_going_on, first_model, model_going_on, take_seed
from cnn_core.estimators.monitor import ADAPTIVE_DIVISOR, BestWeights, Monitor, StoppingRule
from cnn_core.estimators.one_fit import one_fit
from cnn_core.estimators.parameters import (
    AUTO,
    batch_size_of,
    check_training,
    network_of,
    random_state,
    rate_of,
    schedule_of,
)
from cnn_core.estimators.progress import FitProgress
from cnn_core.estimators.rows import are_files
from cnn_core.estimators.samples import as_samples, dtype_for, names_of, require_features
from cnn_core.estimators.scoring import OWN, require_scoring, score_by
from cnn_core.estimators.sharded_fit import read_files
from cnn_core.estimators.task import BEFORE, Task
from cnn_core.estimators.weights import as_weights, require_weight
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.io.container import ModelFileError
from cnn_core.model import Model
from cnn_core.network import Network
from cnn_core.outputs import nothing
from cnn_core.sparse import Samples
from cnn_core.training import INTERRUPTED, DivergenceError, Recipe, TrainingState, Validation
from cnn_core.training.callbacks import Callback, TimeBudget
from cnn_core.validation import number, require_in_dtype

Estimator = TypeVar("Estimator", bound="BaseMLP")


class BaseMLP(FittedMLP):
    """The base of `MLPClassifier` and `MLPRegressor`: fitting."""

    @abstractmethod
    def _task_of(
        self, y: Any, n_samples: int, *, first: bool, incremental: bool, classes: Any
    ) -> tuple[Task, npt.NDArray[Any]]:
        """Return the task, and `y` as the task reads it.

        Parameters
        ----------
        y : array-like
        n_samples : int
        first : bool
            Whether this is the first fit.
        incremental : bool
            Whether this is a `partial_fit`.
        classes : array-like or None
            The argument `classes` of `partial_fit`.
        """

    @abstractmethod
    def _task_from_json(self, values: Any) -> Task:
        """Return the task whose `to_json` gave `values`."""

    def _network_of(
        self,
        sample_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        task: Task,
        before: Network | None,
    ) -> Network:
        """Return the network that the parameters describe, for samples of this shape and dtype.

        `before` is the network to train further, if any.
        """
        return network_of(self, sample_shape[0], task)

    # Fitting

    def _fit(
        self: Estimator,
        X: Any,
        y: Any,
        sample_weight: Any,
        eval_set: EvalSet,
        *,
        incremental: bool,
        classes: Any = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    ) -> Estimator:
        """Fit, for one epoch if `incremental`; change nothing before everything is checked."""
        with one_fit(self):
            self._fit_alone(X, y, sample_weight, eval_set, incremental, classes, checkpoint)
        return self

    def _fit_alone(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        eval_set: EvalSet,
        incremental: bool,
        classes: Any,
        checkpoint: Checkpoint | str | os.PathLike[str] | None,
    ) -> None:
        self._require_idle()
        check_training(self)
        if checkpoint is not None and self.solver == "lbfgs":
            raise ValueError(
                "checkpoint: expected None for the solver 'lbfgs', whose memory of its steps is "
                f"SciPy's own, found {checkpoint!r}; use another solver, or fit without one"
            )
        require_scoring(self.scoring, self._kind)
        callbacks = sklearn_callbacks.require_own(self.callbacks)
        if incremental:
            self._require_for_partial_fit()
        read = self._read(X, y, sample_weight, eval_set, incremental, classes)
        if checkpoint is not None and self.random_state is None and read.first:
            take_seed(read.model, checkpoint)
        train: TrainingSet = read.data
        sets = read.sets
        if self._stops_early and not sets:
            fraction = number("validation_fraction", self.validation_fraction)
            train, aside = read.data.split(read.task, fraction, read.model.seed)
            sets = [aside]
        train = train.with_class_weights(read.task, read.model.dtype)
        if train.weights is not None:
            from_classes = sample_weight is None
            require_weight(train.weights, "class_weight" if from_classes else "sample_weight")
        self._require_samples_to_score(sets)
        presets.hint_at_few_steps(self, batch_size_of(self, train.n_samples), train.n_samples)
        before = dict(vars(self))
        self._take_over(read, sets=len(sets), incremental=incremental)
        bridge = None if incremental else sklearn_callbacks.for_fit(self, X, y, sample_weight)
        monitor = self._monitor(train, sets, reported=bool(read.sets))
        own = [*callbacks, *([bridge] if bridge else [])]
        try:
            self._train(monitor, own, incremental, checkpoint)
        except ModelFileError:
            # The checkpoint belongs to another fit: nothing has been learned.
            vars(self).clear()
            vars(self).update(before)
            raise
        if bridge:
            bridge.ends()

    def _require_idle(self) -> None:
        """Refuse a fit while the model is being trained directly.

        Raises
        ------
        RuntimeError
            If it is being trained.
        """
        if self.__sklearn_is_fitted__():
            with self.model_.exclusively():
                pass

    def _require_samples_to_score(self, sets: list[EvaluationSet]) -> None:
        """Refuse too few samples for early stopping; warn of `scoring` without samples."""
        if self.scoring is not None and not sets:
            warnings.warn(
                "scoring: found no samples to score, so that it has no effect; pass eval_set, or "
                "set early_stopping=True",
                UserWarning,
                stacklevel=6,
            )
        if sets and self._stops_early and self._scores_by_r2 and sets[-1].n_counted < 2:
            raise ValueError(
                "eval_set: expected at least 2 samples that count to stop early by R2, found "
                f"{sets[-1].n_counted}; pass more, or set scoring='loss'"
            )

    def _require_for_partial_fit(self) -> None:
        for name in ("schedule", "time_budget"):
            if getattr(self, name) not in (None, AUTO):
                raise ValueError(
                    f"{name}: expected None in partial_fit, which does not know how long it will "
                    f"go on, found {getattr(self, name)!r}; set learning_rate_init between calls"
                )

    def _read(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        eval_set: EvalSet,
        incremental: bool,
        classes: Any,
    ) -> FitData:
        if are_files(X):
            return read_files(self, X, y, sample_weight, eval_set, incremental, classes)
        name = type(self).__name__
        names = names_of(X)
        first = not (self.__sklearn_is_fitted__() and (incremental or self.warm_start))
        table, shape = self._table_of(X, known=None if first else self._sample_shape)
        if first:
            dtype = dtype_for(table, self.dtype)
        else:
            dtype = self.model_.dtype
            self._require_features(table, names)
        task, labels = self._task_of(
            y, len(table), first=first, incremental=incremental, classes=classes
        )
        weights = as_weights(sample_weight, len(table), dtype)
        before = None if first else self.model_.network
        network = self._network_of(shape, table.dtype, task, before)
        require_in_dtype("alpha", network.l2, dtype)
        require_in_dtype("learning_rate_init", rate_of(self), dtype)
        x = as_samples(table, dtype, name, columns=column_names(X))
        if first:
            model = first_model(self, network, dtype, random_state(self.random_state))
        else:
            model = model_going_on(self, network, self.model_, incremental)
        data = EvaluationSet(x, labels, task.targets(labels, dtype), weights)
        known_from = ("classes" if incremental else "y") if first else BEFORE
        sets = [
            self._evaluation_set(values, place, task, known_from, names, shape, dtype)
            for values, place in each_set(eval_set)
        ]
        return FitData(task, model, data, sets, names, first)

    def _evaluation_set(
        self,
        values: tuple[Any, ...],
        place: str,
        task: Task,
        known_from: str,
        names: npt.NDArray[np.object_] | None,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> EvaluationSet:
        """Check a set of `eval_set`, with samples of this shape and these names."""
        X, name = values[0], type(self).__name__
        table, _ = self._table_of(X, f"{place}[0]", known=shape)
        require_features(table.shape[1], names_of(X), math.prod(shape), names, name, f"{place}[0]")
        return read_evaluation_set(values, place, table, task, known_from, dtype, name)

    def _take_over(self, read: FitData, *, sets: int, incremental: bool) -> None:
        """Set task, model and progress before the training."""
        first = FitProgress(best_loss=None if self._stops_early else math.inf)
        progress = (first if read.first else self._progress).going_on(
            anew=read.first or not incremental,
            stops_early=self._stops_early,
            sets=sets,
            reported=bool(read.sets),
        )
        if not read.first and progress.best is not None and read.model is not self.model_:
            progress.best = best_going_on(read.model, progress.best)
        if self._stops_early and not incremental and progress.best_validation_score is not None:
            # An earlier fit may have the best value.
            known = math.isfinite(progress.best_validation_score)
            progress.best = read.model.snapshot() if known else None
        self._become(read.model, read.task)
        self._progress = progress
        if read.first:
            vars(self).pop("feature_names_in_", None)
            if read.names is not None:
                self.feature_names_in_ = read.names

    def _validation(self, one: EvaluationSet) -> Validation:
        """Convert a set for the training loop, with its score function."""
        scoring, task = self.scoring, self._task
        if scoring == "loss":
            return Validation(one.x, one.t, one.weights, keep=nothing)
        if scoring is None or scoring == OWN[self._kind]:
            return Validation(
                one.x,
                one.t,
                one.weights,
                score=lambda predicted: task.score(one.y, predicted, one.weights),
                keep=task.to_score,
            )
        return Validation(
            one.x,
            one.t,
            one.weights,
            score=lambda _: score_by(scoring, self, one.x, one.y, one.weights),
            keep=nothing,
        )

    def _monitor(self, train: TrainingSet, sets: list[EvaluationSet], *, reported: bool) -> Monitor:
        rule = StoppingRule(
            tol=self.tol,
            patience=self.n_iter_no_change,
            by_score=self._stops_early,
            adaptive=(
                self.solver == "sgd" and self.learning_rate == "adaptive" and self.schedule is None
            ),
            in_force=self.solver != "lbfgs",
        )
        return Monitor(
            self._progress,
            rule,
            self.model_,
            train,
            [self._validation(one) for one in sets],
            reported=reported,
            loss_parts=self._task.loss_parts,
            verbose=bool(self.verbose),
        )

    def _train(
        self,
        monitor: Monitor,
        callbacks: list[Callback],
        incremental: bool,
        checkpoint: Checkpoint | str | os.PathLike[str] | None,
    ) -> None:
        train = monitor.train
        validation = monitor.sets[-1] if monitor.sets else None
        monitored = "loss"
        if validation is not None and self._stops_early:
            monitored = "validation_score" if validation.score else "validation_loss"
        recipe = Recipe(
            epochs=1 if incremental else self.max_iter,
            batch_size=self._batch_size(train.n_samples),
            learning_rate=rate_of(self) / ADAPTIVE_DIVISOR**self._progress.cuts,
            schedule=schedule_of(self, incremental=incremental),
            shuffle=bool(self.shuffle),
            tol=self.tol,
            monitor=monitored,
            time_budget=self.time_budget,
        )
        best = BestWeights(self._progress, incremental=incremental)
        wanted: dict[str, Any] = {
            "validation": validation,
            "callbacks": [monitor, *callbacks, best],
            "owner": self,
        }
        try:
            if self.solver == "lbfgs":
                wanted["max_evaluations"] = self.max_fun
                if self.time_budget is not None:
                    wanted["callbacks"].append(TimeBudget(self.time_budget))
                state = train.minimize(self.model_, recipe, **wanted)
            else:
                wanted["are_classes"] = self._task.has_class_outputs
                wanted["checkpoint"] = checkpoint
                wanted["seeded"] = self.random_state is not None
                state = train.train(self.model_, recipe, **wanted)
        except DivergenceError as error:
            self._diverged(error, monitor)
        except KeyboardInterrupt:
            self._progress.stopped_because = INTERRUPTED
            warnings.warn("Training interrupted by user.", stacklevel=6)
        else:
            self._ended(state, monitor, incremental)

    def _batch_size(self, n_samples: int) -> int:
        size = batch_size_of(self, n_samples)
        if not isinstance(self.batch_size, str) and self.batch_size > n_samples:
            warnings.warn(
                f"batch_size: found {self.batch_size}, more than the {n_samples} samples to train "
                "on; a batch will have them all",
                stacklevel=7,
            )
        return size

    def _ended(self, state: TrainingState, monitor: Monitor, incremental: bool) -> None:
        """Record the end of a training; warn if it has not converged."""
        self._progress.stopped_because = state.stopped_because
        if self._stops_early and self._progress.has_no_score and self.loss_curve_:
            warnings.warn(
                "scoring: found nan after every epoch, so that early stopping had nothing to go "
                "by; check the validation samples and the scoring",
                UserWarning,
                stacklevel=7,
            )
        if state.record is None:
            monitor.measure(state)
        if incremental:
            return
        reason = state.stopped_because
        if self.solver == "lbfgs":
            if reason is None or (reason.startswith("L-BFGS") and not state.converged):
                warnings.warn(
                    f"lbfgs has not converged ({reason or f'max_iter={self.max_iter}'}): raise "
                    "max_iter or max_fun, or scale the data",
                    ConvergenceWarning,
                    stacklevel=7,
                )
        elif reason is None and self.schedule is None and self.time_budget is None:
            warnings.warn(
                f"the maximum of {self.max_iter} iterations was reached before convergence: raise "
                "max_iter, or set a schedule",
                ConvergenceWarning,
                stacklevel=7,
            )

    def _diverged(self, error: DivergenceError, monitor: Monitor) -> None:
        """Keep the best weights with early stopping; else raise an error with advice."""
        message = (
            "Solver produced non-finite parameter weights. The input data may contain large values "
            f"and need to be preprocessed. More precisely: {error}"
        )
        if not self._stops_early:
            raise DivergenceError(message) from None
        self._progress.add_diverged_epoch()
        self._progress.stopped_because = str(error)
        warnings.warn(
            f"{message}. Because of early_stopping the best weights before were kept",
            ConvergenceWarning,
            stacklevel=7,
        )

    def as_model_data(self, X: Any, y: Any) -> tuple[Model, Samples, Targets]:
        """Return the model that `fit` would start from, and samples and targets in its form.

        Parameters
        ----------
        X, y
            As for `fit`.

        Raises
        ------
        TypeError, ValueError
            As for `fit`.

        See Also
        --------
        cnn_core.find_learning_rate : which asks for it.
        """
        read = self._read(X, y, None, None, incremental=False, classes=None)
        assert isinstance(read.data, EvaluationSet)
        return read.model, read.data.x, read.data.t
