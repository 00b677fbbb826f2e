"""Many trainings in parallel, each as a task: sweeps and ensembles."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from distributed import Client

from cnn_core.dask.client import client_for
from cnn_core.dask.recovery import cluster_errors, results_of, wait_for
from cnn_core.dask.runner import as_given, quiet_about_sizes
from cnn_core.validation import whole


def train_each(
    estimators: Sequence[Any],
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    client: Client | None = None,
    on_trained: Callable[[int, Any], None] | None = None,
    **fit: Any,
) -> list[Any]:
    """Fit each estimator on the same data, as tasks on a cluster; return them in order.

    The data are sent to the cluster once. Each fit uses one thread, for workers with one thread
    each. The results do not depend on the workers.

    Parameters
    ----------
    estimators : sequence of MLPClassifier, MLPRegressor or the like
        They are not changed.
    X, y, sample_weight
        Arguments of `fit`.
    client : distributed.Client, optional
        By default the current one; if there is none, a cluster of threads in this process.
    on_trained : callable, optional
        Called with the index of an estimator and its fitted copy when it is trained.
    **fit
        Further arguments of `fit`, such as `eval_set`.

    Returns
    -------
    list
        Fitted copies.

    Raises
    ------
    ClusterError
        If the cluster fails.
    Exception
        Any error of a fit.

    Examples
    --------
    >>> import numpy as np
    >>> from cnn_core import MLPClassifier
    >>> from cnn_core.dask import train_each
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> settings = [dict(learning_rate_init=rate) for rate in (0.001, 0.03)]
    >>> sweep = [MLPClassifier((8,), random_state=0, tol=0, max_iter=9, schedule="cosine", **one)
    ...          for one in settings]
    >>> scores = [one.score(X, X[:, 0] > 0) for one in train_each(sweep, X, X[:, 0] > 0)]
    >>> bool(scores[1] > scores[0])
    True
    """
    with (
        client_for(client) as used,
        cluster_errors(used, str),
        quiet_about_sizes(),
    ):
        data = used.submit(as_given, (X, y, sample_weight, fit), pure=False)
        trained = [used.submit(_fitted, one, data, pure=False) for one in estimators]
        try:
            waiting = {} if on_trained is None else dict(enumerate(trained))
            while waiting and on_trained is not None:
                wait_for(used, list(waiting.values()), first=True)
                for place in [place for place, one in waiting.items() if one.done()]:
                    on_trained(place, waiting.pop(place).result())
            return results_of(used, trained)
        except KeyboardInterrupt:
            used.cancel(trained)
            raise


class Ensemble:
    """Several fitted estimators whose predictions are averaged.

    Attributes
    ----------
    estimators : list
    """

    def __init__(self, estimators: Sequence[Any]) -> None:
        self.estimators = list(estimators)

    def predict_proba(self, X: Any) -> npt.NDArray[Any]:
        """Return the mean of the probabilities, (n, n_classes)."""
        mean: npt.NDArray[Any] = np.mean([one.predict_proba(X) for one in self.estimators], axis=0)
        return mean

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most probable classes (n,), or the mean of the predicted numbers."""
        first = self.estimators[0]
        if hasattr(first, "classes_"):
            classes: npt.NDArray[Any] = first.classes_[self.predict_proba(X).argmax(axis=1)]
            return classes
        mean: npt.NDArray[Any] = np.mean([one.predict(X) for one in self.estimators], axis=0)
        return mean


def train_ensemble(estimator: Any, n_members: int, X: Any, y: Any, **how: Any) -> Ensemble:
    """Fit an estimator with several seeds, as tasks on a cluster; return the ensemble.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or the like
        Its `random_state` must be an int; member i uses this plus i.
    n_members : int
        At least 1.
    X, y, **how
        As for `train_each`.

    Raises
    ------
    TypeError, ValueError
        If `random_state` is not an int, or for no members.

    Examples
    --------
    >>> import numpy as np
    >>> from cnn_core import MLPClassifier
    >>> from cnn_core.dask import train_ensemble
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> one = MLPClassifier((8,), learning_rate_init=0.1, max_iter=20, schedule="cosine",
    ...                     random_state=0)
    >>> ensemble = train_ensemble(one, 3, X, X[:, 0] > 0)
    >>> bool((ensemble.predict(X) == (X[:, 0] > 0)).mean() > 0.9)
    True
    """
    whole("n_members", n_members, 1)
    seed = whole("random_state", estimator.random_state, 0, 2**32 - n_members)
    members = []
    for number in range(n_members):
        member = copy.copy(estimator)
        member.random_state = seed + number
        members.append(member)
    return Ensemble(train_each(members, X, y, **how))


def _fitted(estimator: Any, data: tuple[Any, Any, Any, dict[str, Any]]) -> Any:
    """Return a fitted copy that uses one thread."""
    X, y, sample_weight, fit = data
    own = copy.deepcopy(estimator)
    if hasattr(own, "n_threads"):
        own.n_threads = 1
    if sample_weight is not None:
        fit = {**fit, "sample_weight": sample_weight}
    return own.fit(X, y, **fit)
