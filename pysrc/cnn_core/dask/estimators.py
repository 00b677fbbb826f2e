"""`DaskMLPClassifier` and `DaskMLPRegressor`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from distributed import Client

from cnn_core.dask.client import client_for
from cnn_core.dask.dealing import MOST_SHARDS, Segment, assemble, deal
from cnn_core.dask.partitions import (
    Partition,
    Together,
    compute,
    describe,
    partitions_of,
    together,
)
from cnn_core.dask.prediction import is_lazy, lazily
from cnn_core.dask.recovery import cluster_errors, result_of
from cnn_core.dask.runner import OnCluster, quiet_about_sizes
from cnn_core.estimators import MLPClassifier, MLPRegressor
from cnn_core.estimators.base import BaseMLP
from cnn_core.estimators.evaluation import EvalSet, each_set
from cnn_core.estimators.fit_data import FitData
from cnn_core.estimators.models import first_model, model_going_on
from cnn_core.estimators.parameters import network_of, random_state, rate_of
from cnn_core.estimators.sharded import ShardedSet
from cnn_core.estimators.task import BEFORE, Task
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.types import FloatArray
from cnn_core.validation import require_in_dtype, whole

_Estimator = TypeVar("_Estimator", bound="_OnDask")
# The parameters beside those of the plain estimators.
_OWN = ("client", "n_shards", "round_steps")


def _with_parameters_of(plain: type[Any]) -> Callable[..., None]:
    """Return an ``__init__`` with the parameters of a plain estimator and those of `_OWN`."""

    def begin(self: Any, *args: Any, **parameters: Any) -> None:
        for name in _OWN:
            setattr(self, name, parameters.pop(name, None))
        plain.__init__(self, *args, **parameters)

    signature = inspect.signature(plain.__init__)
    own = (inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in _OWN)
    # scikit-learn reads the names of the parameters from it.
    vars(begin)["__signature__"] = signature.replace(
        parameters=[*signature.parameters.values(), *own]
    )
    return begin


class _OnDask(BaseMLP):
    """What both estimators have in common."""

    client: Client | None
    n_shards: int | None
    round_steps: int | None
    _plain: type[Any]
    _used: Client

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
        partitions, parts = self._placed(partitions_of(X, y, sample_weight))
        known = self._described(partitions, parts)
        first = not (self.__sklearn_is_fitted__() and (incremental or self.warm_start))
        dtype = known.dtype if first else self.model_.dtype
        if not first:
            self._require_features(np.empty((0, known.n_features)), known.names)
        task, _ = self._task_of(
            known.y, len(known.y), first=first, incremental=incremental, classes=classes
        )
        network = network_of(self, known.n_features, task)
        require_in_dtype("alpha", network.l2, dtype)
        require_in_dtype("learning_rate_init", rate_of(self), dtype)
        if first:
            model = first_model(self, network, dtype, random_state(self.random_state))
        else:
            model = model_going_on(self, network, self.model_, incremental)
        known_from = ("classes" if incremental else "y") if first else BEFORE
        sets = [
            self._evaluation_set(
                tuple(compute(self._used, one) for one in values),
                place,
                task,
                known_from,
                known.names,
                (known.n_features,),
                dtype,
            )
            for values, place in each_set(eval_set)
        ]
        data = self._dealt(partitions, parts, known, task, dtype)
        return FitData(task, model, data, sets, known.names, first)

    def _placed(self, partitions: list[Partition]) -> tuple[list[Partition], list[Any]]:
        """Give the partitions to the cluster; return what refers to them there."""
        client = self._used
        flat = [one for partition in partitions for one in partition[1:]]
        with cluster_errors(client, str), quiet_about_sizes():
            placed = [_on(client, one) for one in flat]
        return partitions, placed

    def _described(self, partitions: list[Partition], parts: list[Any]) -> Together:
        """Look at every partition once."""
        client, kind = self._used, self._kind
        names = [one.name for one in partitions]
        found = [
            client.submit(
                describe,
                name,
                kind,
                type(self).__name__,
                self.dtype,
                *_of(parts, number),
                pure=False,
            )
            for number, name in enumerate(names)
        ]
        with cluster_errors(client, lambda key: _named_by(key, found, names)):
            descriptions = [result_of(one, name) for one, name in zip(found, names, strict=True)]
        return together(partitions, descriptions)

    def _dealt(
        self,
        partitions: list[Partition],
        parts: list[Any],
        known: Together,
        task: Task,
        dtype: np.dtype[Any],
    ) -> ShardedSet:
        """Deal the rows to shards."""
        client = self._used
        n_samples = int(known.sizes.sum())
        n_shards = self.n_shards
        if n_shards is None:
            n_shards = min(int(np.count_nonzero(known.sizes)), MOST_SHARDS)
        if n_shards > n_samples:
            raise ValueError(
                f"n_shards: expected at most one for each of the {n_samples} samples, found "
                f"{n_shards}"
            )
        dealt = deal(known.sizes, n_shards)
        with cluster_errors(client, str):
            workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
        shards = []
        for number, segments in enumerate(dealt):
            named = [(partitions[one.partition].name, one.start, one.stop) for one in segments]
            own = [part for one in segments for part in _of(parts, one.partition)]
            where = workers[number * len(workers) // n_shards] if workers else None
            shards.append(
                client.submit(
                    assemble,
                    named,
                    task,
                    dtype,
                    type(self).__name__,
                    *own,
                    pure=False,
                    workers=None if where is None else [where],
                    allow_other_workers=True,
                )
            )
        names = [_name_of(number, segments, partitions) for number, segments in enumerate(dealt)]
        sizes = [sum(one.stop - one.start for one in segments) for segments in dealt]
        runner = OnCluster(client, shards, sizes, names)
        return ShardedSet(runner, known.weight, self.round_steps, self.n_threads or 1)

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
        """Return how good the predictions for samples are; see `MLPClassifier.score`."""
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

    # The plain estimator

    def to_local(self) -> Any:
        """Return the plain estimator that was learned, with the same parameters.

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        """
        self._require_fitted()
        parameters = {k: v for k, v in self.get_params(deep=False).items() if k not in _OWN}
        local = self._plain(**parameters)
        learned = {k: v for k, v in vars(self).items() if k not in (*_OWN, "_used")}
        vars(local).update(learned)
        return local

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plain estimator to a file that `cnn_core.load` reads; see `to_local`."""
        self._require_fitted()
        self.to_local().save(path)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the client out: it is a connection of this process."""
        return {**vars(self), "client": None}

    def __sklearn_clone__(self: _Estimator) -> _Estimator:
        """Return an estimator with the same parameters and the same client."""
        from sklearn.base import clone

        parameters = {k: v for k, v in self.get_params(deep=False).items() if k != "client"}
        copies = {name: clone(value, safe=False) for name, value in parameters.items()}
        made = type(self)(**copies)
        made.client = self.client
        return made


class _ToScore:
    """Predicts what a task needs to score."""

    def __init__(self, local: Any) -> None:
        self._local = local

    def to_score(self, X: Any) -> npt.NDArray[Any]:
        """Return it."""
        found: npt.NDArray[Any] = self._local._outputs(X, self._local._task.to_score)
        return found


class DaskMLPClassifier(_OnDask, MLPClassifier):
    """A classifier that is trained on a cluster of Dask.

    Its parameters are those of `cnn_core.MLPClassifier`, with the same meaning, and three more.
    What it learns depends on the data, the seed and `n_shards` alone: not on the number of workers,
    their speed, their order or their loss. With one shard it is the plain estimator, bit for bit.

    Parameters
    ----------
    client : distributed.Client, optional
        By default the current one; if there is none, a cluster of threads in this process.
    n_shards : int, optional
        Parts of the data that are trained on side by side, by default as many as there are
        partitions, at most 16. Each has a range of the rows, whatever partition they came in; if
        the rows are in an order that means something, shuffle them first.
    round_steps : int, optional
        Steps after which what the shards have learned is averaged. By default chosen by a rule on
        the size of network and data.
    **parameters
        See `cnn_core.MLPClassifier`. `n_threads` are those of each round, by default 1.

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
    __init__ = _with_parameters_of(MLPClassifier)
    score = _OnDask.score

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        eval_set: EvalSet = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    ) -> DaskMLPClassifier:
        """Learn the classes of samples on a cluster; see `cnn_core.MLPClassifier.fit`.

        Parameters
        ----------
        X : Dask array or data frame, list of partitions, or array-like, (n, n_features)
            A list has a partition each: arrays, data frames, Delayed objects or futures.
        y : likewise, (n,) or (n, n_labels)
            With the partitions of `X`.
        sample_weight : likewise, (n,), optional
        eval_set : tuple (X, y) or (X, y, sample_weight), or list of such, optional
            Dask collections are brought to this process.
        checkpoint : Checkpoint or path-like, optional
            A file of this process; the same call goes on from it, bit for bit.

        Returns
        -------
        DaskMLPClassifier
            The estimator itself.

        Raises
        ------
        PartitionError
            For a partition that cannot be used, by its name. It is a ``ValueError``.
        ClusterError
            If the cluster cannot go on.
        TypeError, ValueError, DivergenceError, RuntimeError
            As `cnn_core.MLPClassifier.fit` does.
        """
        self._fit(X, y, sample_weight, eval_set, incremental=False, checkpoint=checkpoint)
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
        """Return the natural logarithm of each class's probability; see `predict_proba`."""
        return self._each_class("predict_log_proba", X)

    def _each_class(self, method: str, X: Any) -> FloatArray:
        self._require_fitted()
        if not is_lazy(X):
            found: FloatArray = getattr(self.to_local(), method)(X)
            return found
        lazy: FloatArray = lazily(self.to_local(), method, X, len(self.classes_), self.model_.dtype)
        return lazy


class DaskMLPRegressor(_OnDask, MLPRegressor):
    """A regressor that is trained on a cluster of Dask; see `DaskMLPClassifier`.

    Parameters
    ----------
    client, n_shards, round_steps
        As `DaskMLPClassifier` has them.
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
    __init__ = _with_parameters_of(MLPRegressor)
    score = _OnDask.score

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        eval_set: EvalSet = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    ) -> DaskMLPRegressor:
        """Learn numbers from samples on a cluster; see `DaskMLPClassifier.fit`.

        Returns
        -------
        DaskMLPRegressor
            The estimator itself.
        """
        self._fit(X, y, sample_weight, eval_set, incremental=False, checkpoint=checkpoint)
        return self


def _on(client: Client, value: Any) -> Any:
    """Return what refers to a part of a partition on the cluster."""
    from dask.delayed import Delayed
    from distributed import Future

    if value is None or isinstance(value, Future):
        return value
    if isinstance(value, Delayed):
        return client.compute(value)
    return client.submit(_as_given, value, pure=False)


def _as_given(value: Any) -> Any:
    return value


def _of(parts: list[Any], number: int) -> list[Any]:
    """Return samples, targets and weights of a partition."""
    return parts[3 * number : 3 * number + 3]


def _named_by(key: str, futures: list[Any], names: list[str]) -> str:
    return next((name for one, name in zip(futures, names, strict=True) if one.key == key), key)


def _name_of(number: int, segments: list[Segment], partitions: list[Partition]) -> str:
    """Return what an error calls a shard."""
    first, last = partitions[segments[0].partition].name, partitions[segments[-1].partition].name
    return f"shard {number} ({first if first == last else f'{first} to {last}'})"
