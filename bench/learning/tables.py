"""scikit-learn's small data sets, cross-validated: our estimators and its own by their defaults."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn
from sklearn import datasets, neural_network
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cnn_core
from cnn_core.network import FloatArray
from learning.images import OURS

FOLDS = 5
GENERATED = {"n_samples": 5000, "random_state": 0}
N_FEATURES = 8


@dataclass(frozen=True, eq=False)
class Table:
    """A data set.

    Attributes
    ----------
    x : (n, features) float64 array
    y : (n,) array
        Classes, or numbers.
    classifies : bool
    """

    x: FloatArray
    y: Any
    classifies: bool


def bundled(load: Callable[..., Any], classifies: bool) -> Table:
    x, y = load(return_X_y=True)
    return Table(x, y, classifies)


def friedman_1() -> Table:
    """Friedman's first problem (1991): five features matter, three do not."""
    x, y = datasets.make_friedman1(n_features=N_FEATURES, noise=1.0, **GENERATED)
    return Table(x, y, False)


def friedman_2() -> Table:
    """Friedman's second problem: features from 0 to 1 beside others up to 1,800, targets alike.

    To its four features come four that do not matter.
    """
    x, y = datasets.make_friedman2(noise=50.0, **GENERATED)
    others = np.random.RandomState(1).normal(size=(len(x), N_FEATURES - x.shape[1]))
    return Table(np.hstack([x, others]), y, False)


def skewed() -> Table:
    """Linear with noise, then skewed as prices are: few targets are high."""
    x, y = datasets.make_regression(n_features=N_FEATURES, n_informative=6, noise=20.0, **GENERATED)
    return Table(x, np.exp(y / (2 * y.std())), False)


TABLES: dict[str, Callable[[], Table]] = {
    "iris": lambda: bundled(datasets.load_iris, True),
    "wine": lambda: bundled(datasets.load_wine, True),
    "breast cancer": lambda: bundled(datasets.load_breast_cancer, True),
    "digits": lambda: bundled(datasets.load_digits, True),
    "diabetes": lambda: bundled(datasets.load_diabetes, False),
    "friedman 1": friedman_1,
    "friedman 2": friedman_2,
    "skewed": skewed,
}


@dataclass(frozen=True)
class TableJob:
    """Cross-validate: `FOLDS` folds, shuffled once for each of the states.

    A state gives the folds and is the `random_state` of the estimator as well, so that all have the
    same folds. Accuracy for classes, R2 for numbers.

    Attributes
    ----------
    learner : str
        `OURS` or `SCIKIT_LEARN`.
    table : str
        One of `TABLES`.
    is_scaled : bool
        Whether a ``StandardScaler`` comes first.
    n_states : int
    """

    learner: str
    table: str
    is_scaled: bool
    n_states: int

    def run(self) -> dict[str, Any]:
        """Fit and score on every fold."""
        table = TABLES[self.table]()
        outcomes: dict[str, list[Any]] = {"scores": [], "seconds": [], "epochs": [], "errors": []}
        splitter = StratifiedKFold if table.classifies else KFold
        for state in range(self.n_states):
            folds = splitter(FOLDS, shuffle=True, random_state=state)
            for kept, aside in folds.split(table.x, table.y):
                for name, value in self._fold(table, kept, aside, state).items():
                    outcomes[name].append(value)
        version = cnn_core.__version__ if self.learner == OURS else sklearn.__version__
        return {
            "title": f"{self.learner} {version}",
            "samples": len(table.x),
            "features": table.x.shape[1],
            "score": "accuracy" if table.classifies else "R2",
            **outcomes,
        }

    def _fold(self, table: Table, kept: Any, aside: Any, state: int) -> dict[str, Any]:
        package: Any = cnn_core if self.learner == OURS else neural_network
        kind = package.MLPClassifier if table.classifies else package.MLPRegressor
        estimator = kind(random_state=state)
        model = make_pipeline(StandardScaler(), estimator) if self.is_scaled else estimator
        begun = time.perf_counter()
        try:
            with warnings.catch_warnings():
                # Not every problem converges within the epochs that are the default.
                warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
                model.fit(table.x[kept], table.y[kept])
            seconds = time.perf_counter() - begun
            score = float(model.score(table.x[aside], table.y[aside]))
        except (ValueError, FloatingPointError) as error:
            return {"errors": f"{type(error).__name__}: {error}"}
        return {"scores": score, "seconds": seconds, "epochs": int(estimator.n_iter_)}
