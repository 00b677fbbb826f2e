"""What people try first with SHAP: the shares of the features add up to the prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnn_core import TabularClassifier, TabularRegressor
from small_estimators import NAMES, X, classifier, regressor

# To import it takes seconds.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def shap() -> Any:
    return pytest.importorskip("shap")


@pytest.fixture(scope="module")
def rows() -> Any:
    """A table with a column of each kind, of which two decide."""
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(0)
    table = pandas.DataFrame(
        {
            "size": random.normal(size=200),
            "town": pandas.Categorical(random.choice(["Bern", "Oslo", "Rome"], 200)),
            "text": random.choice(["a", "b"], 200),
            "count": random.integers(0, 5, 200),
            "flag": random.random(200) > 0.5,
        }
    )
    table.loc[3, "size"] = np.nan
    return table


def assert_sums(explained: Any, expected: np.ndarray) -> None:
    found = explained.base_values + explained.values.sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["arrays", "frames"])
def test_networks(shap: Any, kind: str) -> None:
    pandas = pytest.importorskip("pandas")
    x = X if kind == "arrays" else pandas.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    model = classifier().fit(x, NAMES)
    probabilities = model.predict_proba(x[:4])
    for explainer in (shap.Explainer, shap.PermutationExplainer, shap.KernelExplainer):
        assert_sums(explainer(model.predict_proba, x[:30])(x[:4]), probabilities)
    numbers = regressor().fit(x, X[:, 0])
    assert_sums(shap.Explainer(numbers.predict, x[:30])(x[:4]), numbers.predict(x[:4]))


@pytest.mark.parametrize("learner", [TabularClassifier, TabularRegressor])
def test_tables_of_any_columns(shap: Any, rows: Any, learner: Any) -> None:
    target = np.where(rows["town"] == "Rome", 2.0, 0.0) + rows["size"].fillna(0)
    if learner is TabularClassifier:
        target = np.where(target > 0.7, "yes", "no")
    model = learner(quality="fast", max_steps=60, random_state=0).fit(rows, target)
    predict = model.predict_proba if learner is TabularClassifier else model.predict
    explained = shap.KernelExplainer(predict, rows[:30])(rows[:6])
    assert_sums(explained, predict(rows[:6]))
    shares = np.abs(explained.values).reshape(6, rows.shape[1], -1).mean(axis=(0, 2))
    assert set(np.argsort(shares)[-2:]) == {0, 1}
