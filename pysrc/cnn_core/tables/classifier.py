"""`TabularClassifier`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cnn_core.estimators.compat import ClassifierMixin
from cnn_core.estimators.described import keep
from cnn_core.estimators.labels import Classification, Labels, as_labels
from cnn_core.tables.base import BaseTable
from cnn_core.tables.conformal import probable_sets, set_threshold
from cnn_core.tables.documentation import documented_table
from cnn_core.tables.tasks import Classes, Predictions, TableTask
from cnn_core.training.callbacks import Callback
from cnn_core.types import FloatArray


@documented_table
class TabularClassifier(ClassifierMixin, BaseTable):
    """A classifier of tables: calibrated probabilities from columns of any kind.

    It takes data frames of any library, arrays and lists, with numbers, text, categories, dates and
    missing values, without preprocessing. It trains several small networks, each on a part of the
    rows, and evaluates each on the others.

    Parameters
    ----------
    {parameters}
    calibrate : bool, default=True
        Whether to calibrate the probabilities with a temperature fitted on held-out rows (Guo et
        al., 2017).
    class_weight : dict, "balanced" or None, default=None
        Weight of the rows of each class, in addition to `sample_weight`. The probabilities then
        describe the weighted data.
    {more_parameters}

    Attributes
    ----------
    classes_ : (n_classes,) array
        The classes, sorted.
    oof_score_ : float
        The accuracy of `oof_prediction_`; NaN if no row was held out.
    oof_prediction_ : (n, n_classes) array
        Out-of-fold probabilities of the rows of `fit`; NaN for rows that were never held out.
    {attributes}

    See Also
    --------
    TabularRegressor : Predicts numbers.
    MLPClassifier : One network, with every parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from cnn_core import TabularClassifier
    >>> rng = np.random.default_rng(0)
    >>> colour = rng.choice(["red", "green", "blue"], 200)
    >>> size = np.where(rng.random(200) < 0.1, np.nan, rng.normal(size=200))
    >>> y = np.where((colour == "red") | (size > 0.5), "yes", "no")
    >>> learner = TabularClassifier("fast", max_steps=100, n_members=2, random_state=0)
    >>> learner = learner.fit({"colour": colour, "size": size}, y)
    >>> learner.predict({"colour": ["red", "blue"], "size": [None, -1.0]}).tolist()
    ['yes', 'no']
    >>> print(learner.describe_columns())
    column  kind      distinct  missing  used as
    colour  category         3        0  3 levels
    size    number         178       22  number, and whether it is missing
    """

    # scikit-learn requires its mixin as the first base, but its `score` is not wanted.
    score = BaseTable.score

    calibrate: bool
    class_weight: Mapping[Any, float] | Literal["balanced"] | None
    classes_: Labels
    # One minus the out-of-fold probability of the true class, sorted.
    _scores: Predictions

    _kind = "TabularClassifier"
    _kept = "_scores"

    def __init__(
        self,
        quality: str = "balanced",
        *,
        n_members: int | None = None,
        max_steps: int | None = None,
        n_bins: int | None = None,
        hidden_layer_sizes: int | Sequence[int] | None = None,
        time_budget: float | None = None,
        calibrate: bool = True,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        cv: Any = None,
        categorical: Sequence[Any] | None = None,
        numerical: Sequence[Any] | None = None,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        callbacks: Sequence[Callback] | None = None,
        verbose: bool | int = False,
        backend: str = "auto",
        n_threads: int | None = None,
    ) -> None:
        keep(self, locals())

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> TabularClassifier:
        """Learn the classes of the rows of a table.

        Parameters
        ----------
        X : table, (n, n_features)
            A data frame of pandas, polars or similar, a pyarrow table, a dict of columns, a list of
            rows or of dicts, or an array: plain, structured or masked.
        y : array-like, (n,)
            Classes, numbers or text.
        sample_weight : array-like, (n,), optional
            Weight of each row, at least 0.
        groups : array-like, (n,), optional
            The group of each row; groups are not split between folds.
        checkpoint : path-like, optional
            A folder from which the same call resumes after being killed. The result has the same
            bits as without the interruption. `random_state` must be an int.

        Returns
        -------
        TabularClassifier
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            For parameters and data of the wrong type, shape or range. The estimator is then
            unchanged.
        DivergenceError
            If the loss of a network explodes or is not finite. It is a ``ValueError``.
        RuntimeError
            If it is being fitted already, by another thread or one of its callbacks.
        """
        return self._fit(X, y, sample_weight, groups, checkpoint)

    def predict(self, X: Any) -> Labels:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : table, (n, n_features)

        Returns
        -------
        (n,) array

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        TypeError, ValueError
            For other columns than in `fit`, and for values that do not fit a column's kind.
        """
        likeliest = self.predict_proba(X).argmax(axis=1)
        found: Labels = self.classes_[likeliest]
        return found

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the probability of each class.

        Parameters
        ----------
        X : table, (n, n_features)

        Returns
        -------
        (n, n_classes) array
            In the order of `classes_`; rows sum to 1.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict` does.
        """
        return self._predictions(X)

    def predict_log_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the logarithm of the probability of each class; minus infinity for 0.

        Parameters
        ----------
        X : table, (n, n_features)

        Returns
        -------
        (n, n_classes) array

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict` does.
        """
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(probabilities, out=probabilities)

    def predict_set(self, X: Any, coverage: float = 0.9) -> npt.NDArray[np.bool_]:
        """Return a set of classes for each row that contains the true one with this coverage.

        The sets are conformal: see `cnn_core.tables.conformal`. On average they contain the true
        class for at least a share `coverage` of new rows from the same distribution.

        Parameters
        ----------
        X : table, (n, n_features)
        coverage : float
            Above 0 and below 1.

        Returns
        -------
        (n, n_classes) array of bool
            Which classes are in the set, in the order of `classes_`; never empty. All classes if
            too few rows were held out for this coverage.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for `predict`, and for a `coverage` outside its range.
        """
        probabilities = self.predict_proba(X)
        return probable_sets(probabilities, set_threshold(self._scores, coverage))

    def _task_of(self, y: Any, n_rows: int) -> tuple[TableTask, Labels]:
        labels = as_labels(y, n_rows, self._kind)
        if labels.ndim == 2:
            raise ValueError(
                f"y: expected one label for each row, found {labels.shape[1]}; fit one "
                f"{self._kind} for each column"
            )
        return Classes(Classification.of(labels)), labels

    def _class_weights(self, task: TableTask, y: Labels) -> FloatArray | None:
        assert isinstance(task, Classes)
        if self.class_weight is None:
            return None
        weighted = Classification(task.network.classes, task.network.kind, 0.0, self.class_weight)
        return weighted.weights(y)

    def _as_seen(self, predictions: Predictions) -> Predictions:
        return predictions

    def _become(self, *learned: Any) -> None:
        super()._become(*learned)
        task = self._ensemble.task
        assert isinstance(task, Classes)
        self.classes_ = task.network.classes

    def _learned_from(self, held_out: Predictions, y: Labels) -> None:
        positions = self._ensemble.task.positions(y)
        self._scores = np.sort(1 - held_out[np.arange(len(y)), positions])

    def _learned(self) -> dict[str, FloatArray]:
        return {"scores": self._scores}

    def _learn_from_file(self, arrays: dict[str, Any]) -> None:
        scores = arrays.pop("scores")
        good = scores.ndim == 1 and ((scores >= 0) & (scores <= 1)).all()
        if arrays or not good or (np.diff(scores) < 0).any():
            raise ValueError("scores: expected numbers from 0 to 1 in rising order, and no more")
        self._scores = scores

    @staticmethod
    def _task_in(values: Any) -> TableTask:
        return Classes.from_json(values)

    @staticmethod
    def _oof_in(array: Any, task: TableTask) -> Predictions:
        assert isinstance(task, Classes)
        if array.ndim != 2 or array.shape[1] != len(task.network.classes):
            raise ValueError(f"oof_prediction_: expected one for each class, found {array.shape}")
        found: Predictions = array
        return found
