"""Check and interpret the parameters of `TabularClassifier` and `TabularRegressor`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnn_core import backends
from cnn_core.estimators.parameters import hidden_sizes, random_state
from cnn_core.estimators.sklearn_callbacks import require_own
from cnn_core.tables.folds import Fold
from cnn_core.tables.recipe import (
    FEWEST_FOLDS,
    LEAST_ROWS_FOR_FOLDS,
    MOST_FOLDS,
    QUALITIES,
    preset_of,
)
from cnn_core.tables.views import MOST_BINS, View
from cnn_core.training.callbacks import Callback
from cnn_core.validation import flag, positive, require_known, shown, whole


@dataclass(frozen=True, eq=False)
class Plan:
    """The networks to train.

    Attributes
    ----------
    views : tuple of View
    n_members : int
        Networks of each view.
    cv : object
        Argument of `cnn_core.tables.folds.folds_for`; None if no row is held out.
    """

    views: tuple[View, ...]
    n_members: int
    cv: Any

    def on(self, folds: list[Fold]) -> Plan:
        """Return the plan for these folds, without batch normalization for a single row."""
        if min(len(fold.train) for fold in folds) > 1:
            return self
        return replace(self, views=tuple(v for v in self.views if v.normalization != "batch"))


def plan_of(estimator: Any, n_rows: int, n_numbers: int, *, classes: bool) -> Plan:
    """Return the networks that an estimator trains on this many rows and numeric features.

    Raises
    ------
    TypeError, ValueError
        For a parameter of the wrong type or outside its range.
    """
    require_known("quality", estimator.quality, QUALITIES)
    preset = preset_of(estimator.quality, n_rows, n_numbers, classes=classes)
    views = preset.views
    if estimator.max_steps is not None:
        steps = whole("max_steps", estimator.max_steps, 1)
        views = tuple(replace(view, steps=steps) for view in views)
    changes: dict[str, Any] = {}
    if estimator.hidden_layer_sizes is not None:
        changes["hidden"] = tuple(hidden_sizes(estimator.hidden_layer_sizes))
    if estimator.n_bins is not None:
        changes["bins"] = whole("n_bins", estimator.n_bins, 0, MOST_BINS)
    # The linear view stays one.
    views = tuple(replace(view, **changes) if view.hidden else view for view in views)
    n_members = preset.members
    if estimator.n_members is not None:
        n_members = whole("n_members", estimator.n_members, 1)
    return Plan(views, n_members, _cv_of(estimator.cv, n_members, n_rows))


def _cv_of(cv: Any, n_members: int, n_rows: int) -> Any:
    if cv is None:
        if n_rows < LEAST_ROWS_FOR_FOLDS:
            return None
        return min(max(n_members, FEWEST_FOLDS), MOST_FOLDS)
    if isinstance(cv, bool | float | np.bool_):
        raise TypeError(f"cv: expected a whole number, 'time' or folds, found {shown(cv)}")
    return whole("cv", cv, 2) if isinstance(cv, int | np.integer) else cv


def check_parameters(estimator: Any) -> list[Callback]:
    """Check the parameters that do not depend on the data; return the callbacks.

    Raises
    ------
    TypeError, ValueError
        For a parameter of the wrong type or outside its range.
    """
    plan_of(estimator, LEAST_ROWS_FOR_FOLDS, 1, classes=True)
    if estimator.time_budget is not None:
        positive("time_budget", estimator.time_budget)
    if not isinstance(estimator.verbose, bool | np.bool_):
        whole("verbose", estimator.verbose, 0)
    if hasattr(estimator, "calibrate"):
        flag("calibrate", estimator.calibrate)
    random_state(estimator.random_state)
    backends.threads_in_use(backends.get(estimator.backend), estimator.n_threads)
    return require_own(estimator.callbacks)
