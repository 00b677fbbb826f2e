"""The learners of boosted trees, at their defaults or stopped early.

The stopped ones may grow 2,000 trees, train on four fifths of the rows and stop by the rest, which
are the same rows for each of them. All else is as each library has it by default.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tables.frames import Part
from tables.setting import Setting, categories

__all__ = ["CatBoost", "HistGradientBoosting", "LightGBM", "XGBoost"]

PATIENCE = 50
MOST_TREES = 2000
HELD_OUT = 0.2


class _Trees:
    """What the learners of trees share: the frame as they like it, the held-out rows."""

    def __init__(self, estimator: Any, n_classes: int, stops: bool) -> None:
        self._estimator, self._n_classes, self._stops = estimator, n_classes, stops

    def fit(self, train: Part) -> None:
        X = self._inputs(train.X)
        if not self._stops:
            self._estimator.fit(X, train.y, **self._extras(X))
            return
        fitted, held = held_out(train, self._n_classes)
        self._fit_and_stop(X.iloc[fitted], train.y[fitted], X.iloc[held], train.y[held])

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        X = self._inputs(X)
        predicted = (
            self._estimator.predict_proba(X) if self._n_classes else self._estimator.predict(X)
        )
        return np.asarray(predicted)

    def _inputs(self, X: pd.DataFrame) -> pd.DataFrame:
        return X

    def _extras(self, X: pd.DataFrame) -> dict[str, Any]:
        return {}

    def _fit_and_stop(self, X: Any, y: Any, held_X: Any, held_y: Any) -> None:
        raise NotImplementedError


def held_out(train: Part, n_classes: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows to train on and those to stop by, of each class the same share."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(train.y))
    # A class of one row cannot be on both sides.
    counts = np.bincount(train.y.astype(np.intp)) if n_classes else np.zeros(1)
    stratify = train.y if n_classes and counts[counts > 0].min() > 1 else None
    fitted, held = train_test_split(rows, test_size=HELD_OUT, random_state=0, stratify=stratify)
    return fitted, held


class LightGBM(_Trees):
    """LightGBM, which knows pandas' categories."""

    def __init__(self, setting: Setting, stops: bool = False) -> None:
        from lightgbm import LGBMClassifier, LGBMRegressor

        kind = LGBMClassifier if setting.n_classes else LGBMRegressor
        trees = {"n_estimators": MOST_TREES} if stops else {}
        estimator = kind(n_jobs=setting.n_threads, random_state=setting.seed, verbose=-1, **trees)
        super().__init__(estimator, setting.n_classes, stops)

    def _inputs(self, X: pd.DataFrame) -> pd.DataFrame:
        return _plain_names(X)

    def _fit_and_stop(self, X: Any, y: Any, held_X: Any, held_y: Any) -> None:
        from lightgbm import early_stopping

        stopping = early_stopping(PATIENCE, verbose=False)
        self._estimator.fit(X, y, eval_set=[(held_X, held_y)], callbacks=[stopping])


class XGBoost(_Trees):
    """XGBoost, told that there are categories."""

    def __init__(self, setting: Setting, stops: bool = False) -> None:
        from xgboost import XGBClassifier, XGBRegressor

        kind = XGBClassifier if setting.n_classes else XGBRegressor
        trees = {"n_estimators": MOST_TREES, "early_stopping_rounds": PATIENCE} if stops else {}
        estimator = kind(
            n_jobs=setting.n_threads, random_state=setting.seed, enable_categorical=True, **trees
        )
        super().__init__(estimator, setting.n_classes, stops)

    def _inputs(self, X: pd.DataFrame) -> pd.DataFrame:
        return _plain_names(X)

    def _fit_and_stop(self, X: Any, y: Any, held_X: Any, held_y: Any) -> None:
        self._estimator.fit(X, y, eval_set=[(held_X, held_y)], verbose=False)


class HistGradientBoosting(_Trees):
    """scikit-learn's HistGradientBoosting, with categories by their dtype."""

    def __init__(self, setting: Setting, stops: bool = False) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier as Classifier
        from sklearn.ensemble import HistGradientBoostingRegressor as Regressor

        kind = Classifier if setting.n_classes else Regressor
        options: dict[str, Any] = {}
        if stops:
            options = {"max_iter": MOST_TREES, "early_stopping": True, "n_iter_no_change": PATIENCE}
        estimator = kind(random_state=setting.seed, categorical_features="from_dtype", **options)
        super().__init__(estimator, setting.n_classes, stops)

    def _inputs(self, X: pd.DataFrame) -> pd.DataFrame:
        # It takes 255 levels at most; the rarer ones count as missing.
        X = X.copy()
        for name in categories(X):
            if len(X[name].cat.categories) > 254:
                kept = X[name].value_counts().index[:254]
                X[name] = X[name].cat.set_categories(kept)
        return X

    def _fit_and_stop(self, X: Any, y: Any, held_X: Any, held_y: Any) -> None:
        self._estimator.fit(X, y, X_val=held_X, y_val=held_y)


class CatBoost(_Trees):
    """CatBoost, told which columns are categories."""

    def __init__(self, setting: Setting, stops: bool = False) -> None:
        from catboost import CatBoostClassifier, CatBoostRegressor

        kind = CatBoostClassifier if setting.n_classes else CatBoostRegressor
        # Its thousand trees are its default; to stop early it may grow as many as the others.
        trees = {"iterations": MOST_TREES, "early_stopping_rounds": PATIENCE} if stops else {}
        estimator = kind(
            thread_count=setting.n_threads,
            random_seed=setting.seed,
            verbose=False,
            allow_writing_files=False,
            **trees,
        )
        super().__init__(estimator, setting.n_classes, stops)

    def _inputs(self, X: pd.DataFrame) -> pd.DataFrame:
        # A missing level is a level like any other to it, but has to be text.
        X = X.copy()
        for name in categories(X):
            X[name] = X[name].astype(object).where(X[name].notna(), "missing").astype(str)
        return X

    def _extras(self, X: pd.DataFrame) -> dict[str, Any]:
        return {"cat_features": categories(X)}

    def _fit_and_stop(self, X: Any, y: Any, held_X: Any, held_y: Any) -> None:
        self._estimator.fit(X, y, eval_set=(held_X, held_y), **self._extras(X))


def _plain_names(X: pd.DataFrame) -> pd.DataFrame:
    """Return it with names that neither of the two refuses for a character."""
    return X.set_axis([f"x{number}" for number in range(X.shape[1])], axis=1)
