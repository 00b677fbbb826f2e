"""What users pass to an `NN`: taken in any form, or refused with advice."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from cnn_core import NN
from corpus import copies_that_users_pass
from learnable import labelled
from small_nn import small_net


@pytest.fixture
def data(rng):
    return labelled(rng)


class TestWhatUsersPass:
    def test_the_same_numbers_in_any_form_give_the_same_result(self, name, rng):
        x = rng.integers(0, 4, size=(20, 6)).astype(np.float64)
        labels = rng.integers(0, 3, 20)
        expected = small_net(name).fit(x, labels).predict(x)
        for form, values in copies_that_users_pass(x):
            before = copy.deepcopy(values)
            found = small_net(name).fit(values, labels).predict(values)
            assert np.array_equal(found, expected), form
            assert np.array_equal(np.asarray(values), np.asarray(before)), form

    def test_labels_in_any_integer_form(self, name, data):
        x, labels = data
        expected = small_net(name).fit(x, labels).predict(x)
        for form in (
            labels.astype(np.uint8),
            labels.astype(">i4"),
            labels.tolist(),
            np.repeat(labels, 2)[::2],
        ):
            assert np.array_equal(small_net(name).fit(x, form).predict(x), expected)

    @pytest.mark.parametrize(
        ("values", "error", "message"),
        [
            (np.zeros(6), ValueError, r"X\.reshape\(1, -1\)"),
            (np.zeros((4, 2, 3)), ValueError, r"X\.reshape\(len\(X\), -1\)"),
            (np.zeros((6, 9)), ValueError, r"samples are rows: pass X\.T"),
            (np.zeros((4, 5)), ValueError, r"\(samples, 6\), found \(4, 5\)"),
            (np.zeros((4, 2, 2)), ValueError, r"\(samples, 6\), found \(4, 2, 2\)"),
            (3.0, ValueError, r"found \(\)"),
            ([[1, 2, 3, 4, 5, 6], [1, 2]], ValueError, "rows of equal length"),
            (np.full((2, 6), "a"), TypeError, "real numbers, found <U1"),
            (np.full((2, 6), None), TypeError, "real numbers, found object"),
            (np.zeros((2, 6), complex), TypeError, "found complex128"),
            (np.zeros((2, 6), "M8[s]"), TypeError, "found datetime64"),
            (np.ma.masked_array(np.zeros((2, 6)), mask=True), TypeError, "masked array"),
            (None, TypeError, "found object"),
        ],
        ids=lambda value: None,
    )
    def test_samples_of_another_kind_are_refused_with_advice(self, name, values, error, message):
        with pytest.raises(error, match=message):
            small_net(name).predict(values)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_the_first_value_that_is_not_finite_is_named(self, name, dtype, data, bad):
        x = data[0].astype(dtype)
        x[17, 2] = bad
        x[30, 0] = bad
        for use in (lambda n: n.predict(x), lambda n: n.fit(x, data[1])):
            with pytest.raises(ValueError, match=r"not finite\) at row 17, column 2"):
                use(small_net(name))

    def test_a_value_that_is_not_finite_is_found_among_very_many(self, name):
        x = np.zeros((100_000, 6), np.float32)
        x[99_999, 5] = np.inf
        with pytest.raises(ValueError, match=r"found inf \(not finite\) at row 99999, column 5"):
            small_net(name).predict(x)

    def test_values_that_are_finite_are_taken_also_if_their_sum_is_not(self, name):
        largest = np.finfo(np.float32).max
        x = np.array([[largest, -largest, largest, 0, 0, 0]] * 2, np.float32)
        net = small_net(name)
        net.wih = np.zeros((5, 6))
        assert np.isfinite(net.predict(x)).all()

    def test_a_value_that_does_not_fit_into_float32_is_named(self, name):
        x = np.zeros((2, 6))
        x[1, 3] = 1e300
        with pytest.raises(
            ValueError, match=r"1e\+300 \(too large for float32\) at row 1, column 3"
        ):
            small_net(name).predict(x)
        assert small_net(name, dtype=np.float64).predict(x).shape == (2, 3)

    @pytest.mark.parametrize(
        ("targets", "error", "message"),
        [
            (np.zeros(59, int), ValueError, r"one for each sample, found \(59,\)"),
            (np.full(60, 3), ValueError, "labels from 0 to 2, found 3 at index 0"),
            (np.full(60, -1), ValueError, "found -1 at index 0"),
            (np.zeros(60), TypeError, r"T\.astype\(int\)"),
            (np.full(60, "cat"), TypeError, r"np\.unique\(T, return_inverse=True\)"),
            (np.zeros((60, 4)), ValueError, "this network has 3 outputs"),
            (np.zeros((60, 1), int), ValueError, r"pass T\.ravel\(\)"),
            (np.zeros((3, 60)), ValueError, r"pass T\.T"),
            (np.zeros((60, 3, 1)), ValueError, r"found \(60, 3, 1\)"),
            (np.full((60, 3), np.nan), ValueError, "not finite"),
        ],
        ids=lambda value: None,
    )
    def test_targets_of_another_kind_are_refused_with_advice(
        self, name, data, targets, error, message
    ):
        net = small_net(name)
        before = net.predict(data[0])
        with pytest.raises(error, match=message):
            net.fit(data[0], targets)
        assert np.array_equal(net.predict(data[0]), before)

    def test_fitting_nothing_is_refused(self, name):
        with pytest.raises(ValueError, match="at least one sample"):
            small_net(name).fit(np.empty((0, 6)), np.empty(0, int))

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"input_neurons": 0}, ValueError, "input_neurons: expected at least 1, found 0"),
            ({"hidden_neurons": 2.5}, TypeError, "hidden_neurons: expected a whole number"),
            ({"output_neurons": True}, TypeError, "output_neurons"),
            ({"learning_rate": 0}, ValueError, "learning_rate"),
            ({"learning_rate": float("nan")}, ValueError, "learning_rate"),
            ({"learning_rate": "fast"}, TypeError, "learning_rate"),
            ({"epochs": -1}, ValueError, "epochs: expected at least 0"),
            ({"batch_size": 0}, ValueError, "batch_size: expected at least 1"),
            ({"rule": "delta"}, ValueError, "'exact' or 'article', found 'delta'"),
            ({"dtype": "float16"}, ValueError, "float32 or float64, found 'float16'"),
            ({"dtype": "number"}, ValueError, "found 'number'"),
            ({"seed": -1}, ValueError, "seed: expected at least 0"),
            ({"seed": 2**32}, ValueError, "seed: expected at most"),
            ({"batch_size": 10**30}, ValueError, "batch_size: expected at most"),
            ({"seed": 1.5}, TypeError, "seed"),
            ({"shuffle": "yes"}, TypeError, "shuffle: expected True or False"),
            ({"backend": "cuda"}, ValueError, "'auto', 'cython' or 'numpy', found 'cuda'"),
            ({"verbose": "loud"}, TypeError, "verbose"),
            ({"input_scale": 0}, ValueError, "input_scale: expected a number that is not 0"),
            ({"input_scale": float("nan")}, ValueError, "input_scale: expected a finite number"),
            ({"input_scale": 1e300}, ValueError, "input_scale: .* in float32, found 1e[+]300"),
            ({"input_scale": 1e-300}, ValueError, "input_scale: .* in float32, found 1e-300"),
            ({"input_scale": "1/255"}, TypeError, "input_scale: expected a number, found str"),
            ({"input_scale": True}, TypeError, "input_scale"),
        ],
        ids=lambda value: None,
    )
    def test_settings_of_another_kind_are_refused_by_name(self, change, error, message):
        settings = {
            "input_neurons": 2,
            "hidden_neurons": 2,
            "output_neurons": 2,
            "learning_rate": 0.1,
            "epochs": 1,
        }
        with pytest.raises(error, match=message):
            NN(**{**settings, **change})

    def test_numpy_scalars_are_settings_too(self, name):
        net = NN(np.int64(2), np.int8(3), np.uint16(2), np.float32(0.5), np.int32(1), backend=name)
        assert (net.hidden_neurons, net.lr, net.epochs) == (3, 0.5, 1)

    def test_weights_of_another_shape_are_refused(self, name):
        net = small_net(name)
        with pytest.raises(ValueError, match=r"wih: expected the shape \(5, 6\), found \(6, 5\)"):
            net.wih = np.zeros((6, 5))
        with pytest.raises(ValueError, match="bho"):
            net.bho = 0

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300, 1j, "1"])
    def test_weights_that_are_not_finite_numbers_are_refused(self, name, bad):
        net = small_net(name)
        before = net.wih.copy()
        with pytest.raises((ValueError, TypeError), match="wih"):
            net.wih = np.full((5, 6), bad)
        assert np.array_equal(net.wih, before)

    def test_settings_are_checked_when_they_are_changed_too(self, name):
        net = small_net(name)
        for attribute, value in (
            ("lr", -1),
            ("epochs", "many"),
            ("batch_size", 0),
            ("shuffle", "no"),
            ("verbose", "loud"),
        ):
            with pytest.raises((TypeError, ValueError)):
                setattr(net, attribute, value)

    def test_what_a_network_is_cannot_be_changed(self, name):
        net = small_net(name)
        for attribute, value in (
            ("rule", "article"),
            ("dtype", np.float64),
            ("backend", "numpy"),
            ("hidden_neurons", 3),
            ("learning_rate", 0.1),
            ("epoch", 5),
            ("input_scale", 0.5),
        ):
            with pytest.raises(AttributeError):
                setattr(net, attribute, value)
