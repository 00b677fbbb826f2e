"""`NN` is what its docstring says, on both backends."""

from __future__ import annotations

import copy
import json
import pickle
import tracemalloc

import numpy as np
import pytest

import cnn_core
from cnn_core import NN
from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from cnn_core.training import EpochRecord, shuffled_order
from corpus import copies_that_users_pass


def small_net(name, **settings):
    arguments = {"learning_rate": 0.5, "epochs": 3, "batch_size": 8, "seed": 1, "backend": name}
    return NN(6, 5, 3, **{**arguments, **settings})


@pytest.fixture
def data(rng):
    """Samples and labels that a network can learn."""
    x = rng.normal(size=(60, 6))
    return x, (x[:, :3]).argmax(axis=1)


class TestShapes:
    def test_weights_and_biases_have_the_articles_names_and_shapes(self, name):
        net = small_net(name)
        assert net.wih.shape == (5, 6)
        assert net.who.shape == (3, 5)
        assert net.bih.shape == (5,)
        assert net.bho.shape == (3,)
        assert (net.bih == 0).all()
        assert (net.bho == 0).all()
        assert (net.input_neurons, net.hidden_neurons, net.output_neurons) == (6, 5, 3)

    def test_predict_gives_rows_and_forward_columns(self, name, data):
        net = small_net(name)
        assert net.predict(data[0]).shape == (60, 3)
        assert np.array_equal(net.forward(data[0]), net.predict(data[0]).T)

    def test_no_samples_have_no_outputs(self, name):
        assert small_net(name).predict(np.empty((0, 6))).shape == (0, 3)

    def test_predict_is_the_formula_of_its_weights(self, name, data):
        net = small_net(name, dtype=np.float64).fit(*data)
        h = 1 / (1 + np.exp(-(net.wih @ data[0].T + net.bih[:, np.newaxis])))
        y = 1 / (1 + np.exp(-(net.who @ h + net.bho[:, np.newaxis])))
        np.testing.assert_allclose(net.forward(data[0]), y, rtol=1e-13)

    @pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 33, 2), (70, 1, 17)], ids=str)
    def test_any_sizes_learn(self, name, rng, sizes):
        net = NN(*sizes, learning_rate=0.5, epochs=30, seed=0, backend=name)
        x = rng.normal(size=(20, sizes[0]))
        t = rng.random((20, sizes[2]))
        net.fit(x, t)
        assert net.history["loss"][-1] < net.history["loss"][0]


class TestStart:
    def test_weights_are_drawn_in_the_published_order_from_the_global_generator(self, name):
        np.random.seed(7)
        net = NN(6, 5, 3, 0.1, 1, backend=name, dtype=np.float64)
        np.random.seed(7)
        wih = np.random.normal(0.0, 6**-0.5, (5, 6))
        who = np.random.normal(0.0, 5**-0.5, (3, 5))
        assert np.array_equal(net.wih, wih)
        assert np.array_equal(net.who, who)

    def test_a_seed_equals_seeding_the_global_generator(self, name, data):
        np.random.seed(11)
        by_global = NN(6, 5, 3, 0.5, 2, backend=name).fit(*data)
        by_seed = NN(6, 5, 3, 0.5, 2, backend=name, seed=11).fit(*data)
        assert np.array_equal(by_global.predict(data[0]), by_seed.predict(data[0]))

    def test_a_seed_leaves_the_global_generator_alone(self, name, data):
        np.random.seed(3)
        expected = np.random.random_sample()
        np.random.seed(3)
        small_net(name).fit(*data)
        assert np.random.random_sample() == expected

    def test_other_seeds_give_other_weights(self, name):
        assert not np.array_equal(small_net(name, seed=1).wih, small_net(name, seed=2).wih)

    def test_the_exact_rule_is_float32_and_the_articles_float64(self, name):
        assert small_net(name).predict(np.zeros((1, 6))).dtype == np.float32
        assert small_net(name, rule="article").predict(np.zeros((1, 6))).dtype == np.float64
        assert small_net(name, dtype=np.float64).wih.dtype == np.float64
        assert small_net(name, dtype="float32", rule="article").wih.dtype == np.float32


class TestFit:
    def test_gives_itself_and_learns(self, name, data):
        net = small_net(name, epochs=60)
        assert net.fit(*data) is net
        assert (net.predict(data[0]).argmax(axis=1) == data[1]).mean() > 0.9

    def test_one_hot_rows_are_as_long_as_was_asked_for(self):
        assert cnn_core.one_hot([1, 0], 3).tolist() == [[0, 1, 0], [1, 0, 0]]
        assert cnn_core.one_hot([1, 0]).shape == (2, 2)
        assert cnn_core.one_hot(np.zeros(0, int)).shape == (0, 0)

    @pytest.mark.parametrize(
        ("n_classes", "error", "message"),
        [
            (True, TypeError, "n_classes: expected a whole number, found True"),
            (2.0, TypeError, "n_classes: expected a whole number, found 2.0"),
            (-1, ValueError, "n_classes: expected at least 0, found -1"),
            (1, ValueError, "labels"),
        ],
    )
    def test_one_hot_rows_of_no_such_length_are_refused(self, n_classes, error, message):
        with pytest.raises(error, match=message):
            cnn_core.one_hot([1, 0], n_classes)

    def test_labels_and_one_hot_rows_are_the_same_targets(self, name, data):
        x, labels = data
        by_label = small_net(name).fit(x, labels)
        by_row = small_net(name).fit(x, cnn_core.one_hot(labels))
        assert np.array_equal(by_label.predict(x), by_row.predict(x))
        assert by_label.history["accuracy"] == by_row.history["accuracy"]

    def test_a_second_time_continues_the_first(self, name, data):
        at_once = small_net(name, epochs=6).fit(*data)
        in_parts = small_net(name, epochs=2).fit(*data).fit(*data).fit(*data)
        assert np.array_equal(at_once.predict(data[0]), in_parts.predict(data[0]))
        assert at_once.history["loss"] == in_parts.history["loss"]

    def test_shuffles_every_epoch_differently_and_only_if_asked(self, name, data):
        shuffled = small_net(name).fit(*data)
        in_order = small_net(name, shuffle=False).fit(*data)
        assert not np.array_equal(shuffled.predict(data[0]), in_order.predict(data[0]))
        first, second = (shuffled_order(5, epoch, 100) for epoch in (1, 2))
        assert sorted(first) == sorted(second) == list(range(100))
        assert not np.array_equal(first, second)
        assert np.array_equal(first, shuffled_order(5, 1, 100))

    def test_history_holds_one_value_an_epoch(self, name, data):
        x, labels = data
        net = small_net(name, epochs=4).fit(x[:40], labels[:40], validation=(x[40:], labels[40:]))
        assert {key: len(values) for key, values in net.history.items()} == {
            "loss": 4,
            "accuracy": 4,
            "validation_loss": 4,
            "validation_accuracy": 4,
            "learning_rate": 4,
            "seconds": 4,
        }
        y = net.predict(x[40:]).astype(float)
        loss = ((y - np.eye(3)[labels[40:]]) ** 2).sum() / 2 / 20
        assert net.history["validation_loss"][-1] == pytest.approx(loss, rel=1e-6)
        accuracy = (y.argmax(axis=1) == labels[40:]).mean()
        assert net.history["validation_accuracy"][-1] == accuracy

    def test_targets_that_are_not_classes_have_no_accuracy(self, name, rng):
        net = small_net(name).fit(rng.normal(size=(10, 6)), rng.random((10, 3)))
        assert set(net.history) == {"loss", "learning_rate", "seconds"}

    def test_one_output_takes_one_number_a_sample(self, name, rng):
        x, t = rng.normal(size=(20, 4)), rng.integers(0, 2, 20)
        net = NN(4, 3, 1, 0.5, 2, seed=0, backend=name).fit(x, t)
        again = NN(4, 3, 1, 0.5, 2, seed=0, backend=name).fit(x, t.reshape(-1, 1).astype(float))
        assert np.array_equal(net.predict(x), again.predict(x))
        assert "accuracy" not in net.history

    def test_every_epoch_is_reported(self, name, data):
        records = []
        small_net(name).fit(*data, on_epoch=records.append)
        assert all(isinstance(record, EpochRecord) for record in records)
        assert [(r.epoch, r.last_epoch, r.samples) for r in records] == [
            (1, 3, 60),
            (2, 3, 60),
            (3, 3, 60),
        ]

    def test_verbose_prints_a_line_an_epoch_and_is_silent_by_default(self, name, data, capsys):
        small_net(name).fit(*data)
        assert capsys.readouterr().out == ""
        small_net(name, verbose=1).fit(*data)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split("  ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
        assert all("loss" in line and "accuracy" in line for line in lines)

    def test_a_callback_may_use_the_network_and_its_error_gets_out(self, name, data):
        net = small_net(name)

        def stop_after_two(record):
            net.predict(data[0])
            if record.epoch == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            net.fit(*data, on_epoch=stop_after_two)
        two = small_net(name, epochs=2).fit(*data)
        assert np.array_equal(net.predict(data[0]), two.predict(data[0]))
        assert net.history["loss"] == two.history["loss"]

    def test_a_second_fit_during_a_fit_is_refused(self, name, data):
        net = small_net(name)

        def fit_as_well(record):
            net.fit(*data)

        with pytest.raises(RuntimeError, match=r"trained already.*copy\.deepcopy"):
            net.fit(*data, on_epoch=fit_as_well)
        assert len(net.history["loss"]) == 1
        assert len(net.fit(*data).history["loss"]) == 4

    def test_a_copy_may_be_made_and_trained_during_a_fit(self, name, data):
        net, copies = small_net(name), []
        net.fit(*data, on_epoch=lambda record: copies.append(copy.deepcopy(net).fit(*data)))
        assert [len(twin.history["loss"]) for twin in copies] == [4, 5, 6]

    @pytest.mark.parametrize("validation", [5, (1, 2, 3), "ab", ([[1.0] * 6], [7])])
    def test_validation_data_of_another_kind_are_refused_before_training(
        self, name, data, validation
    ):
        net = small_net(name)
        before = net.predict(data[0])
        with pytest.raises((TypeError, ValueError)):
            net.fit(*data, validation=validation)
        assert np.array_equal(net.predict(data[0]), before)

    def test_a_batch_larger_than_the_data_is_one_step(self, name, data):
        whole = small_net(name, batch_size=60, shuffle=False).fit(*data)
        larger = small_net(name, batch_size=10**9, shuffle=False).fit(*data)
        assert np.array_equal(whole.predict(data[0]), larger.predict(data[0]))

    def test_backprop_is_one_full_step(self, name, data):
        stepped = small_net(name, dtype=np.float64)
        loss = stepped.backprop(*data)
        fitted = small_net(name, dtype=np.float64, epochs=1, batch_size=60, shuffle=False)
        fitted.fit(*data)
        assert np.array_equal(stepped.wih, fitted.wih)
        assert loss == fitted.history["loss"][0]
        assert stepped.history == {}

    def test_weights_can_be_written_to(self, name, data):
        net = small_net(name)
        net.wih = np.zeros((5, 6))
        net.who[...] = 0
        net.bho = [-100.0, 0.0, 100.0]
        np.testing.assert_allclose(net.predict(data[0][:1]), [[0.0, 0.5, 1.0]], atol=1e-30)

    def test_two_networks_do_not_share_anything(self, name, data):
        first, second = small_net(name), small_net(name)
        before = second.predict(data[0])
        first.fit(*data)
        assert np.array_equal(second.predict(data[0]), before)

    def test_a_schedule_lowers_the_rate_in_the_course_of_a_fit(self, name, data):
        net = small_net(name).fit(*data, schedule=cnn_core.schedules.Exponential(0.5))
        assert net.history["learning_rate"] == [0.5, 0.25, 0.125]
        constant = small_net(name).fit(*data)
        assert constant.history["learning_rate"] == [0.5] * 3
        assert not np.array_equal(net.predict(data[0]), constant.predict(data[0]))
        with pytest.raises(ValueError, match="schedule: expected one of"):
            net.fit(*data, schedule="slower")

    def test_a_training_that_diverges_leaves_the_weights_from_before(self, name, data):
        net = small_net(name, learning_rate=1e5)
        before = net.predict(data[0])
        huge = np.full((60, 3), 1e36)
        with (
            pytest.warns(UserWarning, match="T: expected targets from 0 to 1"),
            pytest.raises(cnn_core.DivergenceError, match="lower learning rate"),
        ):
            net.fit(data[0], huge)
        assert np.array_equal(net.predict(data[0]), before)
        assert net.history == {}

    def test_a_loss_that_is_not_finite_stops_with_advice(self, name, data):
        net = small_net(name, dtype=np.float32)
        net.who[...] = np.nan
        with pytest.raises(
            FloatingPointError, match=r"epoch 1.*lower learning rate \(it was 0\.5\)"
        ):
            net.fit(*data)


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


class TestBytes:
    """Samples of dtype uint8, which the network scales."""

    @pytest.fixture
    def images(self, rng):
        x = rng.integers(0, 256, (60, 6)).astype(np.uint8)
        return x, x[:, :3].argmax(axis=1)

    def net(self, name, **settings):
        return small_net(name, **{"input_scale": 1 / 255, **settings})

    def test_every_input_is_multiplied_by_the_scale(self, name, images):
        x, _ = images
        scaled = self.net(name, dtype=np.float64).predict(x)
        expected = small_net(name, dtype=np.float64).predict(x / 255)
        np.testing.assert_allclose(scaled, expected, rtol=1e-13)

    def test_bytes_and_the_same_numbers_as_floats_give_the_same_bits(self, name, dtype, images):
        x, labels = images
        as_bytes, as_floats = self.net(name, dtype=dtype), self.net(name, dtype=dtype)
        for values in (x, x.astype(dtype)):
            assert np.array_equal(as_bytes.predict(values), as_floats.predict(x))
        as_bytes.fit(x[:40], labels[:40], validation=(x[40:], labels[40:]))
        y = x.astype(dtype)
        as_floats.fit(y[:40], labels[:40], validation=(y[40:], labels[40:]))
        assert as_bytes.backprop(x, labels) == as_floats.backprop(y, labels)
        assert np.array_equal(as_bytes.predict(x), as_floats.predict(x))
        seconds = {"seconds": []}
        assert {**as_bytes.history, **seconds} == {**as_floats.history, **seconds}

    def test_the_articles_rule_takes_them_too(self, name, images):
        x, labels = images
        as_bytes = self.net(name, rule="article").fit(x, labels)
        as_floats = self.net(name, rule="article").fit(x.astype(float), labels)
        assert np.array_equal(as_bytes.predict(x), as_floats.predict(x))

    def test_any_layout_of_them_is_taken(self, name, images):
        x, labels = images
        expected = self.net(name).fit(x, labels).predict(x)
        read_only = x.copy()
        read_only.flags.writeable = False
        forms = {
            "columns first": np.asfortranarray(x),
            "every other": np.repeat(x, 2, axis=0)[::2],
            "backwards": x[::-1].copy()[::-1],
            "read-only": read_only,
            "unpickled": pickle.loads(pickle.dumps(x)),
            "another integer": x.astype(np.int16),
            "big-endian": x.astype(">u4"),
        }
        for form, values in forms.items():
            found = self.net(name).fit(values, labels).predict(values)
            assert np.array_equal(found, expected), form

    @pytest.mark.parametrize("sample_dtype", [np.uint8, np.float32])
    def test_what_fits_is_trained_on_without_a_copy(self, name, sample_dtype):
        x = np.zeros((40_000, 200), sample_dtype)
        labels = np.zeros(len(x), np.uint8)
        net = NN(200, 4, 3, 0.5, 1, batch_size=500, backend=name)
        tracemalloc.start()
        try:
            net.fit(x, labels, validation=(x, labels))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < x.nbytes

    def test_one_value_of_another_dtype_is_still_checked(self, name):
        with pytest.raises(ValueError, match="not finite"):
            self.net(name).predict(np.full((1, 6), np.nan, np.float16))


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


class TestActivation:
    def test_keeps_the_shape_and_float32(self, name):
        net = small_net(name)
        assert net.activation(0.0) == 0.5
        assert net.activation(np.zeros((2, 3, 4), np.float32)).dtype == np.float32
        assert net.activation([[-1000, 0, 1000]]).tolist() == [[0.0, 0.5, 1.0]]
        assert net.activation(np.empty((0, 3))).shape == (0, 3)

    @pytest.mark.parametrize("z", [["1.0"], [1j], None])
    def test_takes_real_numbers_only(self, name, z):
        with pytest.raises(TypeError, match=r"z: expected (real numbers|an array)"):
            small_net(name).activation(z)

    def test_derivative_is_of_the_pre_activation(self, name):
        z = np.linspace(-5, 5, 11)
        a = 1 / (1 + np.exp(-z))
        np.testing.assert_allclose(small_net(name).sigmoid_derivative(z), a * (1 - a), rtol=1e-12)


class TestFiles:
    def test_a_loaded_network_trains_on_like_the_saved_one(self, name, data, tmp_path):
        net = small_net(name).fit(*data)
        net.save(tmp_path / "net")
        again = cnn_core.load(tmp_path / "net", backend=name)
        assert np.array_equal(again.predict(data[0]), net.predict(data[0]))
        assert again.history == net.history
        assert repr(again) == repr(net)
        assert np.array_equal(again.fit(*data).predict(data[0]), net.fit(*data).predict(data[0]))

    def test_a_schedule_over_all_samples_seen_continues_from_a_file(self, name, data, tmp_path):
        net = small_net(name).fit(*data, schedule="inverse_scaling")
        net.save(tmp_path / "net")
        again = cnn_core.load(tmp_path / "net", backend=name)
        for one in (net, again):
            one.fit(*data, schedule="inverse_scaling")
        assert again.history["learning_rate"] == net.history["learning_rate"]
        assert np.array_equal(again.wih, net.wih)

    @pytest.mark.parametrize("fitted", [False, True])
    def test_the_articles_biases_are_kept(self, name, data, tmp_path, fitted):
        net = small_net(name, rule="article")
        if fitted:
            net.fit(*data)
        net.save(tmp_path / "net")
        again = cnn_core.load(tmp_path / "net", backend=name)
        assert np.array_equal(again.predict(data[0]), net.predict(data[0]))
        assert np.array_equal(again.bih, net.bih)

    def test_the_scale_of_the_inputs_is_kept(self, name, data, tmp_path):
        net = small_net(name, input_scale=1 / 255)
        net.save(tmp_path / "net")
        again = cnn_core.load(tmp_path / "net", backend=name)
        assert again.input_scale == 1 / 255
        assert np.array_equal(again.predict(data[0]), net.predict(data[0]))

    def test_a_file_from_before_there_was_a_scale_has_none(self, name, data, tmp_path):
        net = small_net(name)
        net.save(tmp_path / "net")
        tensors, metadata = read_tensors(tmp_path / "net")
        settings = json.loads(metadata["network"])
        del settings["input_scale"]
        write_tensors(tmp_path / "net", tensors, {"network": json.dumps(settings)})
        again = cnn_core.load(tmp_path / "net", backend=name)
        assert again.input_scale == 1
        assert np.array_equal(again.predict(data[0]), net.predict(data[0]))

    def test_loading_leaves_the_global_generator_alone(self, name, tmp_path):
        small_net(name, seed=None).save(tmp_path / "net")
        np.random.seed(3)
        expected = np.random.random_sample()
        np.random.seed(3)
        assert cnn_core.load(tmp_path / "net").seed is None
        assert np.random.random_sample() == expected

    def test_tensors_have_the_names_and_shapes_of_the_attributes(self, name, tmp_path):
        net = small_net(name)
        net.save(tmp_path / "net")
        tensors, _ = read_tensors(tmp_path / "net")
        assert set(tensors) == {"wih", "who", "bih", "bho"}
        for key, tensor in tensors.items():
            assert np.array_equal(tensor, getattr(net, key))

    def test_a_hundred_thousand_epochs_of_history_are_kept(self, name, tmp_path):
        net = small_net(name)
        net.history = {key: [0.1] * 100_000 for key in ("loss", "accuracy", "seconds")}
        net.save(tmp_path / "net")
        assert cnn_core.load(tmp_path / "net").history == net.history

    def test_a_wrong_backend_is_no_error_of_the_file(self, name, tmp_path):
        small_net(name).save(tmp_path / "net")
        with pytest.raises(ValueError, match="found 'cuda'") as caught:
            cnn_core.load(tmp_path / "net", backend="cuda")
        assert not isinstance(caught.value, ModelFileError)

    def test_sizes_are_compared_before_memory_is_taken(self, name, tmp_path):
        small_net(name).save(tmp_path / "net")
        tensors, metadata = read_tensors(tmp_path / "net")
        settings = json.loads(metadata["network"])
        settings["network"] = [10**9, 10**9, 1]
        write_tensors(tmp_path / "net", tensors, {"network": json.dumps(settings)})
        with pytest.raises(ModelFileError, match="wih: expected the shape"):
            cnn_core.load(tmp_path / "net")

    def test_settings_nested_without_end_are_refused(self, name, tmp_path):
        small_net(name).save(tmp_path / "net")
        tensors, _ = read_tensors(tmp_path / "net")
        write_tensors(tmp_path / "net", tensors, {"network": "[" * 100_000})
        with pytest.raises(ModelFileError):
            cnn_core.load(tmp_path / "net")

    def test_a_file_that_is_no_network_is_refused(self, tmp_path):
        (tmp_path / "text").write_text("not a model")
        with pytest.raises(ModelFileError):
            cnn_core.load(tmp_path / "text")
        with pytest.raises(FileNotFoundError):
            cnn_core.load(tmp_path / "nothing")
        write_tensors(tmp_path / "other", {"w": np.zeros((2, 2))}, {"made": "by someone else"})
        with pytest.raises(ModelFileError, match="settings and weights of an NN"):
            cnn_core.load(tmp_path / "other")

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("class", "Forest"),
            ("network", [6, 5]),
            ("network", [6, 4, 3]),
            ("network", [-6, 5, 3]),
            ("learning_rate", "0.5"),
            ("epochs", None),
            ("rule", "article"),
            ("dtype", "float64"),
            ("dtype", "object"),
            ("shuffle_key", -1),
            ("input_scale", 0),
            ("input_scale", "1"),
        ],
    )
    def test_settings_that_do_not_fit_are_refused(self, name, tmp_path, key, value):
        small_net(name).save(tmp_path / "net")
        tensors, metadata = read_tensors(tmp_path / "net")
        settings = json.loads(metadata["network"])
        settings[key] = value
        write_tensors(tmp_path / "net", tensors, {"network": json.dumps(settings)})
        with pytest.raises(ModelFileError, match="settings and weights of an NN"):
            cnn_core.load(tmp_path / "net")

    @pytest.mark.parametrize("rule", ["exact", "article"])
    @pytest.mark.parametrize("shape", [(), (4,), (0, 10**12), (5, 2, 2), (1,)], ids=str)
    def test_biases_of_another_shape_are_refused(self, name, tmp_path, rule, shape):
        small_net(name, rule=rule).save(tmp_path / "net")
        tensors, metadata = read_tensors(tmp_path / "net")
        tensors["bih"] = np.zeros(shape, tensors["wih"].dtype)
        write_tensors(tmp_path / "net", tensors, metadata)
        with pytest.raises(ModelFileError, match="bih"):
            cnn_core.load(tmp_path / "net", backend=name)

    @pytest.mark.parametrize(
        "way", [copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
    )
    def test_copies_are_equal_and_independent(self, name, data, way):
        net = small_net(name).fit(*data)
        twin = way(net)
        before = net.predict(data[0])
        assert np.array_equal(twin.predict(data[0]), before)
        twin.fit(*data)
        assert np.array_equal(net.predict(data[0]), before)
        assert len(net.history["loss"]) == 3
        assert np.array_equal(net.fit(*data).predict(data[0]), twin.predict(data[0]))
