"""`TabularRegressor`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.estimators.compat import RegressorMixin
from cnn_core.estimators.described import keep
from cnn_core.estimators.targets import as_numbers
from cnn_core.tables.base import BaseTable
from cnn_core.tables.conformal import ErrorQuantiles
from cnn_core.tables.documentation import documented_table
from cnn_core.tables.tasks import Number, Predictions, TableTask
from cnn_core.training.callbacks import Callback
from cnn_core.types import FloatArray
from cnn_core.validation import between

Numbers = npt.NDArray[np.float64]


@documented_table
class TabularRegressor(RegressorMixin, BaseTable):
    """A regressor of tables: predictions and intervals from columns of any kind.

    It takes data frames of any library, arrays and lists, with numbers, text, categories, dates and
    missing values, without preprocessing. It trains several small networks on standardized targets,
    each on a part of the rows, and evaluates each on the others. No prediction is outside the range
    of the targets.

    Parameters
    ----------
    {parameters}
    {more_parameters}

    Attributes
    ----------
    oof_score_ : float
        R2 of `oof_prediction_`; NaN if no row was held out.
    oof_prediction_ : (n,) array
        Out-of-fold predictions of the rows of `fit`; NaN for rows that were never held out.
    {attributes}

    See Also
    --------
    TabularClassifier : Predicts classes.
    MLPRegressor : One network, with every parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from cnn_core import TabularRegressor
    >>> rng = np.random.default_rng(0)
    >>> size, kind = rng.uniform(0, 10, 400), rng.choice(["flat", "house"], 400)
    >>> price = 20 * size + np.where(kind == "house", 50, 0) + rng.normal(size=400)
    >>> learner = TabularRegressor("fast", max_steps=200, n_members=2, random_state=0)
    >>> learner = learner.fit({"size": size, "kind": kind}, price)
    >>> new = {"size": [5.0], "kind": ["house"]}
    >>> bool(140 < learner.predict(new)[0] < 160)
    True
    >>> (low, high), = learner.predict_interval(new, coverage=0.8)
    >>> bool(low < learner.predict(new)[0] < high)
    True
    """

    # scikit-learn requires its mixin as the first base, but its `score` is not wanted.
    score = BaseTable.score

    _errors: ErrorQuantiles

    _kind = "TabularRegressor"
    _kept = "_errors"

    def __init__(
        self,
        quality: str = "balanced",
        *,
        n_members: int | None = None,
        max_steps: int | None = None,
        n_bins: int | None = None,
        hidden_layer_sizes: int | Sequence[int] | None = None,
        time_budget: float | None = None,
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
    ) -> TabularRegressor:
        """Learn the numbers of the rows of a table.

        Parameters
        ----------
        X : table, (n, n_features)
            A data frame of pandas, polars or similar, a pyarrow table, a dict of columns, a list of
            rows or of dicts, or an array: plain, structured or masked.
        y : array-like, (n,)
            Numbers.
        sample_weight : array-like, (n,), optional
            Weight of each row, at least 0.
        groups : array-like, (n,), optional
            The group of each row; groups are not split between folds.
        checkpoint : path-like, optional
            A folder from which the same call resumes after being killed. The result has the same
            bits as without the interruption. `random_state` must be an int.

        Returns
        -------
        TabularRegressor
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

    def predict(self, X: Any, quantiles: Any = None) -> Numbers:
        """Return the predicted number of each row, or quantiles of it.

        Parameters
        ----------
        X : table, (n, n_features)
        quantiles : float or sequence of float, optional
            Above 0 and below 1: quantiles of the target, from the errors on held-out rows.

        Returns
        -------
        (n,) array
            For a sequence of quantiles (n, n_quantiles).

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        TypeError, ValueError
            For other columns than in `fit`, and for values that do not fit a column's kind; for
            quantiles outside their range, or if no row was held out.
        """
        if quantiles is None:
            return self._predictions(X)[:, 0]
        is_one = np.ndim(quantiles) == 0
        values = [quantiles] if is_one else list(quantiles)
        wanted = np.array([between("quantiles", one, 0, 1) for one in values])
        found = self._errors_known().quantiles(self._predictions(X)[:, 0], wanted)
        return found[:, 0] if is_one else found

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Numbers:
        """Return, for each row, an interval that contains the target with a given probability.

        The intervals are conformal: see `cnn_core.tables.conformal`. On average they contain the
        target for at least a share `coverage` of new rows from the same distribution.

        Parameters
        ----------
        X : table, (n, n_features)
        coverage : float
            Above 0 and below 1.

        Returns
        -------
        (n, 2) array
            The ends of the intervals.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for `predict`; for a `coverage` outside its range, or one that needs more held-out
            rows.
        """
        return self._errors_known().interval(self._predictions(X)[:, 0], coverage)

    def _errors_known(self) -> ErrorQuantiles:
        self._require_fitted()
        return self._errors

    def _task_of(self, y: Any, n_rows: int) -> tuple[TableTask, Numbers]:
        numbers = as_numbers(y, n_rows, self._kind)
        if numbers.ndim == 2:
            raise ValueError(
                f"y: expected one number for each row, found {numbers.shape[1]}; fit one "
                f"{self._kind} for each column"
            )
        return Number(), numbers.astype(np.float64)

    def _class_weights(self, task: TableTask, y: Numbers) -> None:
        return None

    def _as_seen(self, predictions: Predictions) -> Numbers:
        return predictions[:, 0]

    def _learned_from(self, held_out: Predictions, y: Numbers) -> None:
        self._errors = ErrorQuantiles.of(y, held_out[:, 0])

    def _learned(self) -> dict[str, FloatArray]:
        return self._errors.to_tensors()

    def _learn_from_file(self, arrays: dict[str, Any]) -> None:
        self._errors = ErrorQuantiles.from_tensors(arrays)

    @staticmethod
    def _task_in(values: Any) -> TableTask:
        return Number.from_json(values)

    @staticmethod
    def _oof_in(array: Any, task: TableTask) -> Numbers:
        if array.ndim != 1:
            raise ValueError(f"oof_prediction_: expected one for each row, found {array.shape}")
        found: Numbers = array
        return found
