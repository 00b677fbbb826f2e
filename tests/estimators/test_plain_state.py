"""What is pickled of an estimator is plain: no type of ours but its own."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest

from cnn_core.estimators.plain_state import with_objects
from pickled_names import Names
from small_estimators import NAMES, NUMBERS, X_NUMBERS, X, Y, classifier, regressor, weights_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LABELS = np.stack([Y % 2, Y == 1], axis=1).astype(int)


def fitted() -> list[Any]:
    early = classifier(early_stopping=True, averaging=0.9, class_weight={"ash": 2.0})
    return [
        classifier(normalization="batch").fit(X, NAMES),
        classifier(solver="sgd").fit(X, LABELS),
        early.fit(X, NAMES),
        early.partial_fit(X, NAMES),
        regressor(loss="huber").fit(X_NUMBERS, NUMBERS),
        regressor(loss="pinball", quantile=[0.1, 0.9]).fit(X_NUMBERS, NUMBERS),
    ]


def test_a_pickle_names_the_estimator_and_no_other_type_of_ours() -> None:
    for model in fitted():
        names = Names(io.BytesIO(pickle.dumps(model)))
        again = names.load()
        assert names.found == {type(model).__name__}
        for one in (again, copy.deepcopy(model), copy.copy(model)):
            np.testing.assert_array_equal(weights_of(one), weights_of(model))
            assert one.loss_curve_ == model.loss_curve_
            assert one.get_params() == model.get_params()
            assert one.model_.network == model.model_.network
            assert vars(one).keys() == vars(model).keys()


def test_a_training_goes_on_alike() -> None:
    model = classifier(early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2])
    again = pickle.loads(pickle.dumps(model))
    for _ in range(3):
        model.partial_fit(X, Y)
        again.partial_fit(X, Y)
    np.testing.assert_array_equal(weights_of(model), weights_of(again))
    assert model.validation_scores_ == again.validation_scores_


def test_pickles_of_before_are_read() -> None:
    model = classifier().fit(X, Y)
    attributes = dict(vars(model))
    assert with_objects(attributes) == attributes
    again = classifier()
    again.__setstate__(attributes)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
