"""The base class of both learners of tables."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from cnn_core.estimators.compat import DOCUMENTATION, BaseEstimator, NotFittedError
from cnn_core.estimators.one_fit import one_fit
from cnn_core.estimators.parameters import random_state
from cnn_core.estimators.samples import require_features
from cnn_core.estimators.weights import as_weights
from cnn_core.export.exportable import Exportable
from cnn_core.export.program import Program, Rows
from cnn_core.members import TrainedMember, train_members
from cnn_core.tables import exporting, importance, saving, summary
from cnn_core.tables.columns import Feature, TableReader, read_first
from cnn_core.tables.ensemble import Ensemble
from cnn_core.tables.fitted_state import FITTED, objects_in, plain_of
from cnn_core.tables.folds import Fold, as_groups, folds_for, kept_of
from cnn_core.tables.frames import Frame, as_frame
from cnn_core.tables.parameters import Plan, check_parameters, plan_of
from cnn_core.tables.progress import MembersProgress
from cnn_core.tables.tasks import Predictions, TableTask
from cnn_core.tables.training import HeldOut, Settings, TrainingTable, train
from cnn_core.training.callbacks import Callback
from cnn_core.types import FloatArray, IndexArray

Learner = TypeVar("Learner", bound="BaseTable")


class BaseTable(BaseEstimator, Exportable, ABC):
    """The base of `TabularClassifier` and `TabularRegressor`."""

    quality: str
    n_members: int | None
    max_steps: int | None
    n_bins: int | None
    hidden_layer_sizes: int | Sequence[int] | None
    time_budget: float | None
    cv: Any
    categorical: Sequence[Any] | None
    numerical: Sequence[Any] | None
    random_state: int | np.random.RandomState | np.random.Generator | None
    callbacks: Sequence[Callback] | None
    verbose: bool | int
    backend: str
    n_threads: int | None

    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]
    oof_score_: float
    oof_loss_: float
    oof_prediction_: npt.NDArray[np.float64]
    # The attribute that `_learned_from` sets.
    _kept: ClassVar[str]
    _reader: TableReader
    _ensemble: Ensemble
    # The rows that each network of a view has held out.
    _held_out: list[IndexArray]

    # Target of the question mark in scikit-learn's HTML.
    _doc_link_module = "cnn_core"
    _doc_link_template = f"{DOCUMENTATION}/tables.md"

    # The name of the class in files.
    _kind: ClassVar[str]
    # Trains the networks, in this process or elsewhere.
    _train_members: Callable[..., list[TrainedMember]] = staticmethod(train_members)

    @abstractmethod
    def _task_of(self, y: Any, n_rows: int) -> tuple[TableTask, npt.NDArray[Any]]:
        """Return the task, and `y` as the task reads it."""

    @abstractmethod
    def _class_weights(self, task: TableTask, y: npt.NDArray[Any]) -> FloatArray | None:
        """Return the class weight of each row; None if all are 1."""

    @abstractmethod
    def _learned(self) -> dict[str, FloatArray]:
        """Return the arrays of `_learned_from`, for a file."""

    @abstractmethod
    def _learn_from_file(self, arrays: dict[str, Any]) -> None:
        """Keep what `_learned` gave, or raise a ``ValueError``."""

    @staticmethod
    @abstractmethod
    def _task_in(values: Any) -> TableTask:
        """Return the task whose `to_json` gave `values`."""

    @staticmethod
    @abstractmethod
    def _oof_in(array: Any, task: TableTask) -> npt.NDArray[np.float64]:
        """Return the out-of-fold predictions from a file."""

    @abstractmethod
    def _learned_from(self, held_out: Predictions, y: npt.NDArray[Any]) -> None:
        """Keep error statistics of the out-of-fold predictions, (m, k), for later predictions."""

    # Fitting

    def _fit(
        self: Learner,
        X: Any,
        y: Any,
        sample_weight: Any,
        groups: Any,
        checkpoint: str | os.PathLike[str] | None,
    ) -> Learner:
        with one_fit(self):
            self._fit_alone(X, y, sample_weight, groups, checkpoint)
        return self

    def _fit_alone(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        groups: Any,
        checkpoint: str | os.PathLike[str] | None,
    ) -> None:
        callbacks = check_parameters(self)
        if checkpoint is not None and not isinstance(self.random_state, int | np.integer):
            raise ValueError(
                "checkpoint: expected a random_state that is a number, by which the same call is "
                f"known again, found {self.random_state!r}; set random_state=0, say"
            )
        frame = as_frame(X, self._kind)
        task, y = self._task_of(y, frame.n_rows)
        own_weights = as_weights(sample_weight, frame.n_rows, np.dtype(np.float32))
        # A row of weight 0 is ignored.
        kept = np.arange(frame.n_rows) if own_weights is None else np.flatnonzero(own_weights)
        reader, features = read_first(
            frame if len(kept) == frame.n_rows else frame.taken(kept),
            self.categorical,
            self.numerical,
        )
        n_numbers = sum(not feature.n_levels for feature in features)
        plan = plan_of(self, len(kept), n_numbers, classes=task.positions(y) is not None)
        random = np.random.RandomState(random_state(self.random_state).randint(2**31 - 1))
        folds = self._folds(plan, kept, frame.n_rows, task.positions(y), groups, random, y)
        plan = plan.on(folds)
        all_y, y = y, y[kept]
        weights = None if own_weights is None else own_weights[kept]
        table = TrainingTable(features, y, _product(weights, self._class_weights(task, y)), folds)
        if self.verbose:
            steps = plan.n_members * sum(view.steps for view in plan.views)
            callbacks = [*callbacks, MembersProgress(plan.n_members * len(plan.views), steps)]
        settings = Settings(
            seed=random.randint(2**31 - 1),
            callbacks=callbacks,
            calibrate=bool(getattr(self, "calibrate", False)),
            time_budget=self.time_budget,
            checkpoint=checkpoint,
            backend=self.backend,
            n_threads=self.n_threads,
            train_members=self._train_members,
        )
        ensemble, held_out = train(table, task.scaled_to(y, table.weights), plan.views, settings)
        self._become(reader, ensemble, [kept[fold.held_out] for fold in folds], frame.names)
        self._keep_held_out(held_out, y, weights, kept, len(all_y))

    def _folds(
        self,
        plan: Plan,
        kept: IndexArray,
        n_rows: int,
        classes: IndexArray | None,
        groups: Any,
        random: np.random.RandomState,
        y: Any,
    ) -> list[Fold]:
        """Return the folds of the rows with positive weight."""
        numbers = None if groups is None else as_groups(groups, n_rows)
        if plan.cv is None:
            everything = np.arange(len(kept))
            return [Fold(everything, everything[:0])] * plan.n_members
        if not isinstance(plan.cv, int | str):
            folds = folds_for(plan.cv, plan.n_members, n_rows, random, data=(y, groups))
            return kept_of(folds, kept, n_rows)
        cv = plan.cv
        if self.cv is None and numbers is not None:
            # A single group is refused.
            cv = max(2, min(cv, len(np.unique(numbers[kept]))))
        return folds_for(
            cv,
            plan.n_members,
            len(kept),
            random,
            classes=None if classes is None else classes[kept],
            groups=None if numbers is None else numbers[kept],
        )

    def _keep_held_out(
        self,
        held_out: HeldOut,
        y: npt.NDArray[Any],
        weights: FloatArray | None,
        kept: IndexArray,
        n_rows: int,
    ) -> None:
        """Keep the out-of-fold predictions and their scores."""
        known = held_out.known
        predictions, task = held_out.predictions[known], self._ensemble.task
        weights = None if weights is None else weights[known].astype(np.float64)
        self.oof_score_ = self.oof_loss_ = float("nan")
        if known.any():
            self.oof_score_ = task.score(predictions, y[known], weights)
            self.oof_loss_ = task.loss(predictions, y[known], weights)
        everywhere = np.full((n_rows, predictions.shape[1]), np.nan)
        everywhere[kept] = held_out.predictions
        self.oof_prediction_ = self._as_seen(everywhere)
        self._learned_from(predictions, y[known])

    @abstractmethod
    def _as_seen(self, predictions: Predictions) -> npt.NDArray[np.float64]:
        """Return predictions in the shape for users."""

    def _become(
        self,
        reader: TableReader,
        ensemble: Ensemble,
        held_out: list[IndexArray],
        names: npt.NDArray[np.object_] | None,
    ) -> None:
        """Set the ensemble, and the attributes that follow from it."""
        self._reader, self._ensemble, self._held_out = reader, ensemble, held_out
        self.n_features_in_ = len(reader.plans)
        vars(self).pop("feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = names

    # Fitted

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether the estimator is fitted."""
        return "_ensemble" in vars(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle, without types of ours, since some tools list them."""
        state = dict(vars(self))
        if self.__sklearn_is_fitted__():
            del state[self._kept]
            state[FITTED] = plain_of(state.pop("_reader"), state.pop("_ensemble"), self._learned())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the result of `__getstate__`, also from older pickles."""
        vars(self).update(state)
        plain = vars(self).pop(FITTED, None)
        if plain is not None:
            self._reader, self._ensemble = objects_in(
                plain, self._task_in, backend=self.backend, n_threads=self.n_threads
            )
            self._learn_from_file(dict(plain["learned"]))

    @property
    def dropped_columns_(self) -> list[int]:
        """Numbers of the unused columns."""
        self._require_fitted()
        return [number for number, plan in enumerate(self._reader.plans) if plan.dropped]

    def _require_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {self._kind} instance is not fitted yet: call fit with a table and what is "
                "to be learned from it first"
            )

    def _features(self, X: Any) -> list[Feature]:
        """Return the features of a table with the columns of `fit`."""
        frame = self._frame(X)
        return self._reader.read(frame)

    def _frame(self, X: Any) -> Frame:
        """Check that a table has the columns of `fit`, and return it."""
        self._require_fitted()
        frame = as_frame(X, self._kind)
        names = getattr(self, "feature_names_in_", None)
        require_features(len(frame.columns), frame.names, self.n_features_in_, names, self._kind)
        return frame

    def _predictions(self, X: Any) -> Predictions:
        features = self._features(X)
        return self._ensemble.predictions(features)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the score of the predictions for rows: accuracy, or R2 for a regressor.

        Parameters
        ----------
        X : table, (n, n_features)
        y : array-like, (n,)
            The true values.
        sample_weight : array-like, (n,), optional

        Returns
        -------
        float
            At most 1.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for `predict`, and for `y` of another kind than in `fit`.
        """
        predictions = self._predictions(X)
        n_rows = len(predictions)
        weights = as_weights(sample_weight, n_rows, np.dtype(np.float64))
        task = self._ensemble.task
        wanted = task.network.read(y, n_rows, self._kind, "y", to_score=True)
        return task.score(predictions, wanted, weights)

    def describe_columns(self) -> str:
        """Return a table that says how each column is used.

        Returns
        -------
        str
            For each column its kind, the numbers of distinct and missing values, and its use, or
            why it was dropped.

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        """
        self._require_fitted()
        return self._reader.describe()

    def summary(self) -> str:
        """Return a small table of the networks and their out-of-fold scores.

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        """
        self._require_fitted()
        return summary.of_table(self, self._reader, self._ensemble)

    def permutation_importance(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        n_repeats: int = 5,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
    ) -> importance.Importances:
        """Return how much worse the predictions become if the values of a column are shuffled.

        Each network predicts the rows that it has held out (Breiman, "Random forests", 2001,
        section 10).

        Parameters
        ----------
        X, y, sample_weight
            The same data as in the last `fit`, in the same order.
        n_repeats : int
            Number of shuffles of each column.
        random_state : int, RandomState, Generator or None
            Seed of the shuffles.

        Returns
        -------
        cnn_core.tables.importance.Importances
            Increase of the log-loss or the RMSE.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for `score`; for another number of rows, and if no row was held out.
        """
        features = self._features(X)
        return importance.of_columns(
            self, features, y, sample_weight, n_repeats=n_repeats, random_state=random_state
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file that `cnn_core.load` reads.

        It holds numbers and text, nothing that could run. Parameters that are objects are not
        saved: `callbacks`, a splitter or a generator are None after loading.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        OSError
            If the file cannot be written; an existing file is then unchanged.
        """
        self._require_fitted()
        saving.write(path, self)

    def as_program(self) -> Program:
        """Return the learner as a `cnn_core.export.program.Program` for the exports.

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        ValueError
            If no column is used.
        """
        self._require_fitted()
        return exporting.program_of(self._kind, self._reader, self._ensemble)

    def _rows_to_export(self, X: Any) -> Rows:
        frame = self._frame(X)
        return exporting.columns_of(self._reader, frame)

    def _values_of_rows(self, rows: Rows) -> Predictions:
        assert isinstance(rows, list)
        return self._ensemble.predictions(exporting.features_of(self._reader, rows))

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the estimator can take."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


def _product(one: FloatArray | None, other: FloatArray | None) -> FloatArray | None:
    if other is None:
        return one
    product = other if one is None else one * other
    return np.ascontiguousarray(product, np.float32)
