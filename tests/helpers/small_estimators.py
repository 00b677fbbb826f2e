"""Small estimators and what they learn from."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnn_core import MLPClassifier, MLPRegressor

CLASSES = ["ash", "beech", "cedar"]


def blobs(n: int = 150, n_classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Samples around one point for each class, and the numbers of the classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    centres = 2 * np.random.default_rng(7).normal(size=(n_classes, 4))
    return centres[y] + rng.normal(size=(n, 4)), y


def curve(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, 3))
    return X, np.sin(3 * X[:, 0]) + X[:, 1] ** 2 + 0.1 * rng.normal(size=n)


X, Y = blobs()

NAMES = np.array(CLASSES)[Y]

X_NUMBERS, NUMBERS = curve()


def classifier(**parameters: Any) -> MLPClassifier:
    usual = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}
    return MLPClassifier(**{**usual, "learning_rate_init": 0.02, **parameters})


def regressor(**parameters: Any) -> MLPRegressor:
    usual = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}
    return MLPRegressor(**{**usual, "learning_rate_init": 0.02, **parameters})


def weights_of(estimator: Any) -> np.ndarray:
    return np.concatenate([array.ravel() for array in estimator.coefs_ + estimator.intercepts_])
