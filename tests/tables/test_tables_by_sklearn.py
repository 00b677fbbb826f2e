"""scikit-learn's own checks of any estimator, run on the learners of tables."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import cnn_core
from installation import PURE

pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = {"quality": "fast", "n_members": 2, "max_steps": 60, "hidden_layer_sizes": 16}
# The folds are drawn, and a row that is repeated need not be in the fold of the other one.
EXPECTED = {
    "TabularClassifier": {},
    "TabularRegressor": {
        "check_sample_weight_equivalence_on_dense_data": "repeated rows make other folds"
    },
}
if PURE:
    # The compiled backend gives a row the same bits alone and in a batch; BLAS does not.
    EXPECTED["TabularRegressor"]["check_methods_subset_invariance"] = "another rounding of float32"


@parametrize_with_checks(
    [cnn_core.TabularClassifier(**SMALL), cnn_core.TabularRegressor(**SMALL)],
    expected_failed_checks=lambda estimator: EXPECTED[type(estimator).__name__],
)
def test_checks_of_any_estimator(estimator: Any, check: Any) -> None:
    check(estimator)
