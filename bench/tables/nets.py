"""The learners that are networks: RealMLP-TD and a small TabM of pytabkit, and ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tables.frames import Part
from tables.setting import Setting, categories

__all__ = ["Ours", "RealMLP", "TabM"]


class Ours:
    """`TabularClassifier` and `TabularRegressor` at a quality, all else as it is by default."""

    def __init__(self, setting: Setting, quality: str) -> None:
        from cnn_core import TabularClassifier, TabularRegressor

        kind: Any = TabularClassifier if setting.n_classes else TabularRegressor
        self._estimator = kind(
            quality=quality, n_threads=setting.n_threads, random_state=setting.seed
        )
        self._n_classes = setting.n_classes

    def fit(self, train: Part) -> None:
        """See `tables.setting.Model`."""
        self._estimator.fit(train.X, train.y)

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        """See `tables.setting.Model`."""
        predict = self._estimator.predict_proba if self._n_classes else self._estimator.predict
        return np.asarray(predict(X))


class _OfPytabkit:
    """What both have in common; categories have to be named, and missing ones to be a level."""

    def __init__(self, estimator: Any, n_classes: int) -> None:
        self._estimator, self._n_classes = estimator, n_classes
        self._middles: pd.Series | None = None

    def fit(self, train: Part) -> None:
        self._middles = train.X.median(numeric_only=True)
        X = self._filled(train.X)
        self._estimator.fit(X, train.y, cat_col_names=categories(X))

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        X = self._filled(X)
        predict = self._estimator.predict_proba if self._n_classes else self._estimator.predict
        return np.asarray(predict(X))

    def _filled(self, X: pd.DataFrame) -> pd.DataFrame:
        # Neither takes a missing number.
        X = X.fillna(self._middles)
        for name in categories(X):
            text = X[name].astype(object)
            X[name] = text.where(text.notna(), "missing").astype("category")
        return X


class RealMLP(_OfPytabkit):
    """RealMLP-TD (Holzmüller and others, "Better by default", 2024)."""

    def __init__(self, setting: Setting) -> None:
        from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

        kind = RealMLP_TD_Classifier if setting.n_classes else RealMLP_TD_Regressor
        super().__init__(kind(**_options(setting)), setting.n_classes)


class TabM(_OfPytabkit):
    """TabM (Gorishniy and others, 2024) with 16 members of three layers of 128 units."""

    def __init__(self, setting: Setting) -> None:
        from pytabkit import TabM_D_Classifier, TabM_D_Regressor

        kind = TabM_D_Classifier if setting.n_classes else TabM_D_Regressor
        small = {"tabm_k": 16, "n_blocks": 3, "d_block": 128}
        super().__init__(kind(**_options(setting), **small), setting.n_classes)


def _options(setting: Setting) -> dict[str, Any]:
    return {"device": "cpu", "n_threads": setting.n_threads, "random_state": setting.seed}
