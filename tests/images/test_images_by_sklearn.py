"""scikit-learn's checks of any estimator, on rows that are images of one row each."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from cnn_core import ImageClassifier

pytestmark = pytest.mark.filterwarnings("ignore")

# Without normalization over the batch, in which samples without a weight have their part, and with
# a learning rate that does not begin low: one check ends after some epochs without improvement.
PLAIN = ImageClassifier(
    [{"kind": "Conv2D", "channels": 6}, {"kind": "Dense", "fan_out": 24, "activation": "relu"}],
    image_shape=(1, -1),
    schedule=None,
    batch_size=200,
    max_iter=60,
)
OTHERWISE = {
    "check_sample_weight_equivalence_on_dense_data": "samples without weight are normalized with",
    "check_class_weight_classifiers": "one_cycle begins low, and 20 epochs later the fit is over",
}


@parametrize_with_checks([PLAIN])
def test_checks_of_any_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [ImageClassifier(image_shape=(1, -1), max_iter=30)],
    expected_failed_checks=lambda estimator: OTHERWISE,
)
def test_checks_of_any_estimator_with_the_usual_layers(estimator: Any, check: Any) -> None:
    check(estimator)
