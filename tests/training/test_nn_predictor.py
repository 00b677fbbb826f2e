"""The predictor of an `NN`: one function for rows that come one by one."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from learnable import labelled
from small_nn import small_net


@pytest.fixture
def data(rng):
    return labelled(rng)


class TestPredictor:
    @pytest.mark.parametrize("rows", [1, 5])
    def test_gives_what_predict_gives(self, name, dtype, rng, rows):
        net = small_net(name, dtype=dtype)
        predict = net.predictor(rows)
        for values in (rng.normal(size=(rows, 6)), rng.integers(0, 256, (rows, 6))):
            x = values.astype(dtype if values.dtype.kind == "f" else np.uint8)
            assert predict(x).shape == (rows, 3)
            assert predict(x).dtype == dtype
            assert np.array_equal(predict(x), net.predict(x))

    def test_one_row_may_be_without_a_second_dimension(self, name, rng):
        net = small_net(name)
        x = rng.normal(size=(1, 6)).astype(np.float32)
        assert np.array_equal(net.predictor()(x[0]), net.predict(x))

    def test_sees_what_the_network_learns_and_is_told_afterwards(self, name, data):
        net = small_net(name)
        x = data[0][:4].astype(np.float32)
        predict = net.predictor(4)
        before = predict(x).copy()
        net.fit(*data)
        assert not np.array_equal(predict(x), before)
        assert np.array_equal(predict(x), net.predict(x))
        net.who = np.zeros((3, 5))
        assert np.array_equal(predict(x), net.predict(x))

    def test_a_copy_has_predictors_of_its_own(self, name, data):
        net = small_net(name)
        x = data[0][:1].astype(np.float32)
        predict, twin = net.predictor(), copy.deepcopy(net)
        before = predict(x).copy()
        twin.fit(*data)
        assert np.array_equal(predict(x), before)
        assert np.array_equal(twin.predictor()(x), twin.predict(x))

    def test_the_next_call_overwrites_the_outputs(self, name, rng):
        predict = small_net(name).predictor()
        first = predict(rng.normal(size=6).astype(np.float32))
        kept = first.copy()
        second = predict(rng.normal(size=6).astype(np.float32))
        assert second is first
        assert not np.array_equal(first, kept)

    def test_does_not_look_whether_values_are_finite(self, name):
        assert np.isnan(small_net(name).predictor()(np.full(6, np.nan, np.float32))).all()

    @pytest.mark.parametrize(
        "x",
        [
            np.zeros((2, 6), np.float32),
            np.zeros((1, 5), np.float32),
            np.zeros(5, np.float32),
            np.zeros((1, 6)),
            np.zeros((1, 6), np.int8),
            np.zeros((1, 12), np.float32)[:, ::2],
            np.zeros((1, 1, 6), np.float32),
        ],
        ids=lambda x: f"{x.shape}-{x.dtype}",
    )
    def test_converts_nothing(self, name, x):
        with pytest.raises(ValueError, match=r"\w"):
            small_net(name).predictor()(x)

    @pytest.mark.parametrize(
        ("rows", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("1", TypeError)]
    )
    def test_rows_are_a_whole_number(self, name, rows, error):
        with pytest.raises(error, match="rows: expected"):
            small_net(name).predictor(rows)

    @pytest.mark.parametrize("fitted", [False, True])
    def test_the_articles_rule_has_none(self, name, data, fitted):
        net = small_net(name, rule="article")
        if fitted:
            net.fit(*data)
        with pytest.raises(ValueError, match="article's rule"):
            net.predictor()
