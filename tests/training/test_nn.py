"""`NN` is what its docstring says, on both backends."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import cnn_core
from cnn_core import NN
from cnn_core.training import EpochRecord, shuffled_order
from learnable import labelled
from small_nn import small_net


@pytest.fixture
def data(rng):
    return labelled(rng)


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
