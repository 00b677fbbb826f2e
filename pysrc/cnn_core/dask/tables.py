"""`DaskTabularClassifier` and `DaskTabularRegressor`: each network of the ensemble is a task."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from cnn_core.dask.client import client_for
from cnn_core.dask.members import members_trained_on
from cnn_core.dask.partitions import compute
from cnn_core.dask.plain import OfPlain, with_parameters_of
from cnn_core.dask.prediction import is_lazy, lazily
from cnn_core.tables import TabularClassifier, TabularRegressor
from cnn_core.tables.base import BaseTable

_OWN = ("client",)


class _TableOnDask(OfPlain, BaseTable):
    """Base class of both estimators."""

    _own = (*_OWN, "_train_members")

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        groups: Any,
        checkpoint: str | os.PathLike[str] | None,
    ) -> Any:
        with client_for(self.client) as client, members_trained_on(client, self):
            X, y, sample_weight, groups = (
                compute(client, one) for one in (X, y, sample_weight, groups)
            )
            return super()._fit(X, y, sample_weight, groups, checkpoint)

    def _lazily(self, method: str, X: Any) -> Any:
        """Return lazy predictions for a Dask collection."""
        self._require_fitted()
        local = self.to_local()
        sample = getattr(local, method)(_first_rows(X))
        return lazily(local, method, X, sample.shape[1] if sample.ndim == 2 else None, sample.dtype)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the score of the predictions; Dask collections are computed here."""
        with client_for(self.client) as client:
            here = [compute(client, one) for one in (X, y, sample_weight)]
        return super().score(*here)


def _first_rows(X: Any) -> Any:
    """Return some rows with the columns and dtypes of a collection."""
    if hasattr(X, "_meta_nonempty"):
        return X._meta_nonempty
    return np.zeros((1, X.shape[1]), X.dtype)


class DaskTabularClassifier(_TableOnDask, TabularClassifier):
    """A `cnn_core.TabularClassifier` whose networks are trained on a Dask cluster.

    Each network of the ensemble is a task on one thread. The result has the bits of the plain
    estimator, whatever the cluster. The table is sent to the workers once, and must fit in the
    memory of this process and of each worker: more workers give speed, not capacity.

    Parameters
    ----------
    client : distributed.Client, optional
        By default the current one; if there is none, a cluster of threads in this process.
    **parameters
        See `cnn_core.TabularClassifier`. `callbacks` are called in this process when parts of a
        training come back, about every second. They may read the state and stop the training, but
        change nothing.

    See Also
    --------
    cnn_core.TabularClassifier

    Examples
    --------
    >>> import numpy as np
    >>> from cnn_core.dask import DaskTabularClassifier
    >>> X = np.random.default_rng(0).normal(size=(400, 3))
    >>> classifier = DaskTabularClassifier(quality="fast", max_steps=200, random_state=0)
    >>> classifier = classifier.fit(X, X[:, 0] > 0)
    >>> bool(classifier.score(X, X[:, 0] > 0) > 0.9)
    True
    >>> type(classifier.to_local()).__name__
    'TabularClassifier'
    """

    _plain = TabularClassifier
    __init__ = with_parameters_of(TabularClassifier, _OWN)

    def predict(self, X: Any) -> Any:
        """Return the most probable class of each row, lazily for a Dask collection."""
        return self._lazily("predict", X) if is_lazy(X) else super().predict(X)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, lazily for a Dask collection."""
        return self._lazily("predict_proba", X) if is_lazy(X) else super().predict_proba(X)


class DaskTabularRegressor(_TableOnDask, TabularRegressor):
    """A `cnn_core.TabularRegressor` on a Dask cluster; see `DaskTabularClassifier`.

    Parameters
    ----------
    client : distributed.Client, optional
    **parameters
        See `cnn_core.TabularRegressor` and `DaskTabularClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from cnn_core.dask import DaskTabularRegressor
    >>> X = np.random.default_rng(0).normal(size=(400, 3))
    >>> regressor = DaskTabularRegressor(quality="fast", max_steps=200, random_state=0)
    >>> bool(regressor.fit(X, X[:, 0]).score(X, X[:, 0]) > 0.9)
    True
    """

    _plain = TabularRegressor
    __init__ = with_parameters_of(TabularRegressor, _OWN)

    def predict(self, X: Any, quantiles: Any = None) -> Any:
        """Return a number for each row, lazily for a Dask collection; see `TabularRegressor`."""
        if not is_lazy(X):
            return super().predict(X, quantiles)
        if quantiles is not None:
            raise ValueError(
                "quantiles: expected None for a Dask collection, found "
                f"{quantiles!r:.80}; use to_local(), or bring the rows here"
            )
        return self._lazily("predict", X)
