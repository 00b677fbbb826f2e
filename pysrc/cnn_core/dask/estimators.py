"""`DaskMLPClassifier` and `DaskMLPRegressor`."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from distributed import Client

from cnn_core.dask.client import client_for
from cnn_core.dask.partitions import compute, partitions_of
from cnn_core.dask.placing import Data, Files, Placed
from cnn_core.dask.plain import OfPlain, with_parameters_of
from cnn_core.dask.prediction import is_lazy, lazily
from cnn_core.estimators import MLPClassifier, MLPRegressor
from cnn_core.estimators.base import BaseMLP
from cnn_core.estimators.evaluation import EvalSet, with_validation
from cnn_core.estimators.fit_data import FitData
from cnn_core.estimators.rows import are_files, file_partitions
from cnn_core.estimators.sharded import ShardedSet
from cnn_core.estimators.sharded_fit import fit_data_of
from cnn_core.estimators.task import Task
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.types import FloatArray
from cnn_core.validation import whole

# The parameters in addition to those of the plain estimators.
_OWN = ("client", "n_shards", "round_steps")


class _OnDask(OfPlain, BaseMLP):
    """Base class of both estimators."""

    n_shards: int | None
    round_steps: int | None
    rounds_: str
    _used: Client
    _own = (*_OWN, "_used", "rounds_")

    def _fit(self, X: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        with client_for(self.client) as client:
            self._used = client
            try:
                return super()._fit(X, y, *args, **kwargs)
            finally:
                del self._used

    def _read(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        eval_set: EvalSet,
        incremental: bool,
        classes: Any,
    ) -> FitData:
        for name in ("n_shards", "round_steps"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), 1)
        client = self._used
        if are_files(X):
            data: Data = Files(client, file_partitions(X, y, sample_weight))
        else:
            data = Placed(client, partitions_of(X, y, sample_weight))
        known = data.described(self._kind, type(self).__name__, self.dtype)

        def deal(task: Task, dtype: np.dtype[Any]) -> ShardedSet:
            shards = data.dealt(known, self.n_shards, task, dtype, type(self).__name__)
            how = known.weight, self.round_steps, self.n_threads or 1
            return ShardedSet(shards, *how, tell=self._told)

        local = partial(compute, client)
        return fit_data_of(self, known, deal, eval_set, incremental, classes, local)

    def _told(self, text: str) -> None:
        self.rounds_ = text
        if self.verbose:
            print(text + ".")

    # Predictions

    def predict(self, X: Any) -> Any:
        """Return the predictions for samples: lazily for a Dask array or data frame.

        Parameters
        ----------
        X : Dask array or data frame, or whatever `MLPClassifier.predict` takes, (n, n_features)

        Returns
        -------
        array or Dask array, (n,) or (n, n_outputs)

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `MLPClassifier.predict` does.
        """
        self._require_fitted()
        if not is_lazy(X):
            return super().predict(X)
        sample = self._task.decode(np.zeros((1, self.n_outputs_), self.model_.dtype))
        columns = sample.shape[1] if sample.ndim == 2 else None
        return lazily(self.to_local(), "predict", X, columns, sample.dtype)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the score of the predictions; see `MLPClassifier.score`."""
        self._require_fitted()
        if is_lazy(X):
            with client_for(self.client) as client:
                local = self.to_local()
                sample = self._task.to_score(np.zeros((1, self.n_outputs_), self.model_.dtype))
                columns = sample.shape[1] if sample.ndim == 2 else None
                lazy = lazily(_ToScore(local), "to_score", X, columns, sample.dtype)
                predicted = compute(client, lazy)
                y, sample_weight = compute(client, y), compute(client, sample_weight)
            wanted = self._task.read(y, len(predicted), type(self).__name__, "y", to_score=True)
            weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)
            return self._task.score(wanted, predicted, weights)
        return super().score(X, y, sample_weight)


class _ToScore:
    """Predictor for a scorer."""

    def __init__(self, local: Any) -> None:
        self._local = local

    def to_score(self, X: Any) -> npt.NDArray[Any]:
        """Return it."""
        found: npt.NDArray[Any] = self._local._outputs(X, self._local._task.to_score)
        return found


class DaskMLPClassifier(_OnDask, MLPClassifier):
    """A classifier that is trained on a Dask cluster.

    It has the parameters of `cnn_core.MLPClassifier`, with the same meaning, and three more. The
    result depends only on the data, the seed, `n_shards` and `round_steps`, not on the number of
    workers, their speed, order or failures. With one shard it has the bits of the plain estimator.

    Parameters
    ----------
    client : distributed.Client, optional
        By default the current one; if there is none, a cluster of threads in this process.
    n_shards : int, optional
        Number of parts of the data that are trained on in parallel; by default the number of
        partitions, at most 16. Each is a range of the rows, across partitions. If the order of the
        rows means something, shuffle them first.
    round_steps : int, optional
        Steps between two averages of the shards. By default chosen by a rule on the size of network
        and data.
    **parameters
        See `cnn_core.MLPClassifier`. `n_threads` are those of each round, by default 1.

    Attributes
    ----------
    rounds_ : str
        Length of the rounds of the last fit, in steps and seconds, and the share of the workers'
        time not spent on computing; also printed with `verbose`. Other attributes are those of
        `cnn_core.MLPClassifier`.

    See Also
    --------
    cnn_core.MLPClassifier

    Examples
    --------
    >>> import dask.array as da
    >>> from cnn_core.dask import DaskMLPClassifier
    >>> X = da.random.default_rng(0).normal(size=(2000, 4), chunks=(1000, 4)).astype("float32")
    >>> y = (X[:, 0] > 0).astype(int)
    >>> classifier = DaskMLPClassifier((8,), max_iter=5, batch_size=50, random_state=0)
    >>> classifier = classifier.set_params(schedule="one_cycle", learning_rate_init=0.02)
    >>> bool(classifier.fit(X, y).score(X, y) > 0.9)
    True
    >>> classifier.predict(X).chunks
    ((1000, 1000),)
    >>> type(classifier.to_local()).__name__
    'MLPClassifier'
    """

    _plain = MLPClassifier
    __init__ = with_parameters_of(MLPClassifier, _OWN)
    score = _OnDask.score

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        eval_set: EvalSet = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    ) -> DaskMLPClassifier:
        """Learn the classes of samples on a cluster; see `cnn_core.MLPClassifier.fit`.

        Parameters
        ----------
        X : Dask array or data frame, list of partitions, or array-like, (n, n_features)
            The items of a list are partitions: arrays, data frames, Delayed objects or futures.
        y : likewise, (n,) or (n, n_labels)
            With the partitions of `X`.
        sample_weight : likewise, (n,), optional
        X_val, y_val, sample_weight_val : optional
            As for `MLPClassifier.fit`.
        eval_set : tuple (X, y) or (X, y, sample_weight), or list of such, optional
            Dask collections are computed in this process.
        checkpoint : Checkpoint or path-like, optional
            A file of this process; the same call resumes from it, to the same bits.

        Returns
        -------
        DaskMLPClassifier
            The estimator itself.

        Raises
        ------
        PartitionError
            For a partition that cannot be used; the message names it. It is a ``ValueError``.
        ClusterError
            If the cluster fails.
        TypeError, ValueError, DivergenceError, RuntimeError
            As `cnn_core.MLPClassifier.fit` does.
        """
        sets = with_validation(eval_set, X_val, y_val, sample_weight_val)
        self._fit(X, y, sample_weight, sets, incremental=False, checkpoint=checkpoint)
        return self

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class for samples, lazily for a Dask collection.

        Parameters
        ----------
        X : Dask array or data frame, or array-like, (n, n_features)

        Returns
        -------
        array or Dask array, (n, n_classes)
        """
        return self._each_class("predict_proba", X)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of the probability of each class; see `predict_proba`."""
        return self._each_class("predict_log_proba", X)

    def _each_class(self, method: str, X: Any) -> FloatArray:
        self._require_fitted()
        if not is_lazy(X):
            found: FloatArray = getattr(self.to_local(), method)(X)
            return found
        lazy: FloatArray = lazily(self.to_local(), method, X, len(self.classes_), self.model_.dtype)
        return lazy


class DaskMLPRegressor(_OnDask, MLPRegressor):
    """A regressor that is trained on a Dask cluster; see `DaskMLPClassifier`.

    Parameters
    ----------
    client, n_shards, round_steps
        As for `DaskMLPClassifier`.
    **parameters
        See `cnn_core.MLPRegressor`.

    Examples
    --------
    >>> import dask.array as da
    >>> from cnn_core.dask import DaskMLPRegressor
    >>> X = da.random.default_rng(0).normal(size=(2000, 4), chunks=(1000, 4)).astype("float32")
    >>> regressor = DaskMLPRegressor(max_iter=5, batch_size=50, random_state=0)
    >>> regressor = regressor.set_params(schedule="one_cycle", learning_rate_init=0.02)
    >>> bool(regressor.fit(X, X[:, 0]).score(X, X[:, 0]) > 0.9)
    True
    """

    _plain = MLPRegressor
    __init__ = with_parameters_of(MLPRegressor, _OWN)
    score = _OnDask.score

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        eval_set: EvalSet = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    ) -> DaskMLPRegressor:
        """Learn numbers from samples on a cluster; see `DaskMLPClassifier.fit`.

        Returns
        -------
        DaskMLPRegressor
            The estimator itself.
        """
        sets = with_validation(eval_set, X_val, y_val, sample_weight_val)
        self._fit(X, y, sample_weight, sets, incremental=False, checkpoint=checkpoint)
        return self
