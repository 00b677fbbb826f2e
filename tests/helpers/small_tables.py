"""Small tables, and learners that take milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnn_core import TabularClassifier, TabularRegressor

SMALL = {
    "quality": "fast",
    "n_members": 3,
    "max_steps": 120,
    "hidden_layer_sizes": (16,),
    "random_state": 0,
}


def houses(n: int = 240, seed: int = 0) -> tuple[dict[str, Any], np.ndarray]:
    """A table with columns of every kind, and the price of each row."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(20, 200, n)
    kind = rng.choice(["flat", "house", "loft"], n, p=[0.5, 0.3, 0.2])
    built = np.datetime64("1950-01-01") + rng.integers(0, 25_000, n).astype("timedelta64[D]")
    price = size * (1 + 0.5 * (kind == "house")) + 30 * (kind == "loft") + rng.normal(size=n) * 5
    table = {
        "size": np.where(rng.random(n) < 0.1, np.nan, size),
        "kind": kind.tolist(),
        "built": built,
        "garden": rng.random(n) < 0.4,
        "same": ["x"] * n,
    }
    return table, price


TABLE, PRICES = houses()
DEAR = np.where(np.median(PRICES) < PRICES, "dear", "cheap")


def classifier(**parameters: Any) -> TabularClassifier:
    return TabularClassifier(**{**SMALL, **parameters})


def regressor(**parameters: Any) -> TabularRegressor:
    return TabularRegressor(**{**SMALL, **parameters})


def rows_of(table: dict[str, Any], rows: Any) -> dict[str, Any]:
    return {name: np.asarray(column, object)[rows] for name, column in table.items()}
