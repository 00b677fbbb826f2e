"""What is pickled of a learner of tables is plain: no type of ours but its own."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

from cnn_core import TabularClassifier, TabularRegressor
from pickled_names import Names

SMALL = {"n_members": 2, "max_steps": 10, "random_state": 0}
COUNT = 40
NUMBERS = np.arange(COUNT) % 7.0
TABLE = {
    "a": NUMBERS,
    "k": np.array(["x", None, "y", "x"] * 10, object),
    "due": np.datetime64("2024-01-01") + np.arange(COUNT),
}


@pytest.mark.parametrize("quality", ["fast", "best"])
@pytest.mark.parametrize(
    "y",
    [
        NUMBERS,
        NUMBERS > 2,
        (NUMBERS > 2).astype(np.int8),
        np.where(NUMBERS > 2, "big", "small"),
        np.where(NUMBERS > 2, "big", "small").astype(object),
    ],
    ids=["numbers", "booleans", "int8", "str", "object"],
)
def test_a_pickle_names_the_learner_alone_and_predicts_the_same(backend, quality, y) -> None:
    kind = TabularRegressor if y is NUMBERS else TabularClassifier
    model = kind(quality, backend=backend.name, **SMALL).fit(TABLE, y)
    names = Names(io.BytesIO(pickle.dumps(model)))
    again = names.load()
    assert names.found == {kind.__name__}
    for one in (again, copy.deepcopy(model), copy.copy(model)):
        predicted = one.predict(TABLE)
        np.testing.assert_array_equal(predicted, model.predict(TABLE), strict=True)
        assert vars(one).keys() == vars(model).keys()
        assert one.describe_columns() == model.describe_columns()
        assert one.summary() == model.summary()
        if kind is TabularRegressor:
            assert (one.predict_interval(TABLE, 0.6) == model.predict_interval(TABLE, 0.6)).all()
        else:
            assert (one.predict_proba(TABLE) == model.predict_proba(TABLE)).all()
            assert (one.predict_set(TABLE) == model.predict_set(TABLE)).all()


def test_a_learner_without_a_fit_is_pickled_as_it_is() -> None:
    model = TabularClassifier("fast", **SMALL)
    assert pickle.loads(pickle.dumps(model)).get_params() == model.get_params()


def test_a_pickle_of_before_is_read() -> None:
    model = TabularRegressor("fast", **SMALL).fit(TABLE, NUMBERS)
    before = TabularRegressor.__new__(TabularRegressor)
    before.__setstate__(dict(vars(model)))
    np.testing.assert_array_equal(before.predict(TABLE), model.predict(TABLE))
