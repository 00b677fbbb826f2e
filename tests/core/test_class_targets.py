"""Targets that are classes: the labels train like their one-hot rows, and take no room for rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import networks
from cnn_core.class_targets import ClassTargets
from cnn_core.model import Model
from cnn_core.optimizers import SGD, Adam
from cnn_core.training import Recipe, Validation
from memory_peak import peak_of

HEADS = [
    ("softmax", "cross_entropy"),
    ("sigmoid", "binary_cross_entropy"),
    ("sigmoid", "squared_error"),
    ("exp", "poisson"),
    ("tanh", "absolute_error"),
]


def network(units, head=HEADS[0], **settings):
    return networks.network(units, "tanh", *head, **settings)


def problem(rng, net, samples, dtype):
    x = rng.normal(size=(samples, net.n_inputs)).astype(dtype)
    parameters = networks.parameters_for(rng, net, dtype)
    labels = rng.integers(0, net.n_outputs, samples).astype(np.intp)
    return x, labels, parameters


class TestRows:
    def test_of_labels_are_one_hot(self, dtype):
        rows = ClassTargets(np.array([1, 0, 2]), 3).rows(dtype)
        np.testing.assert_array_equal(rows, [[0, 1, 0], [1, 0, 0], [0, 0, 1]])
        assert rows.dtype == dtype

    def test_that_are_smoothed_add_up_to_1(self):
        rows = ClassTargets(np.array([1, 3]), 4, 0.2).rows(np.float64)
        np.testing.assert_allclose(rows, [[0.05, 0.85, 0.05, 0.05], [0.05, 0.05, 0.05, 0.85]])

    def test_of_a_part_are_those_of_its_labels(self):
        targets = ClassTargets(np.array([1, 0, 2]), 3, 0.3)
        for part in (slice(1, 3), np.array([2, 0])):
            expected = targets.rows(np.float64)[part]
            np.testing.assert_array_equal(targets[part].rows(np.float64), expected)


class TestEngine:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    @pytest.mark.parametrize("head", HEADS, ids=lambda head: head[1])
    @pytest.mark.parametrize(
        ("units", "samples", "batch_size"),
        [([9, 5, 3], 40, 7), ([9, 5, 75], 40, 19), ([80, 70, 11], 600, 300)],
    )
    def test_labels_train_like_their_rows(
        self, backend, dtype, rng, head, units, samples, batch_size, smoothing
    ):
        net = network(units, head, optimizer=Adam(), l2=0.1)
        x, labels, first = problem(rng, net, samples, dtype)
        targets = ClassTargets(labels, net.n_outputs, smoothing)
        order = rng.permutation(samples).astype(np.intp)
        weights = rng.random(samples).astype(dtype)
        ways = []
        for t in (targets, targets.rows(dtype)):
            parameters, gradient = first.copy(), np.empty_like(first)
            engine = backend.engine(net, parameters)
            result = (
                engine.train_epoch(x, t, order, batch_size, 0.01, weights),
                engine.train_epoch(x, t, None, batch_size, 0.01),
                engine.gradient(x, t, gradient),
            )
            ways.append((result, parameters.tolist(), gradient.tolist()))
        assert ways[0] == ways[1]

    def test_small_batches_of_plain_descent_take_them_too(self, backend, dtype, rng):
        net = network([80, 60, 5], optimizer=SGD())
        x, labels, first = problem(rng, net, 21, dtype)
        targets = ClassTargets(labels, 5)
        ways = []
        for t in (targets, targets.rows(dtype)):
            parameters = first.copy()
            result = backend.engine(net, parameters).train_epoch(x, t, None, 2, 0.01)
            ways.append((result, parameters.tolist()))
        assert ways[0] == ways[1]

    @pytest.mark.parametrize("label", [-1, 3, 2**40])
    def test_a_label_that_is_no_output_is_refused(self, backend, dtype, label):
        net = network([2, 3])
        parameters = np.zeros(net.n_parameters(), dtype)
        engine = backend.engine(net, parameters)
        targets = ClassTargets(np.array([0, label], np.intp), 3)
        with pytest.raises(ValueError, match="expected labels from 0 to 2"):
            engine.train_epoch(np.zeros((2, 2), dtype), targets, None, 1, 0.1)
        with pytest.raises(ValueError, match="expected labels from 0 to 2"):
            engine.gradient(np.zeros((2, 2), dtype), targets, np.zeros_like(parameters))
        assert not parameters.any()

    @pytest.mark.parametrize(
        ("labels", "n_classes", "error"),
        [
            (np.zeros(3, np.intp), 3, ValueError),
            (np.zeros(2, np.intp), 4, ValueError),
            (np.zeros(2, np.int32), 3, ValueError),
            (np.zeros((2, 1), np.intp), 3, ValueError),
            (np.zeros(4, np.intp)[::2], 3, ValueError),
            ([0, 1], 3, TypeError),
            (None, 3, TypeError),
        ],
    )
    def test_labels_that_it_cannot_read_are_refused(self, backend, dtype, labels, n_classes, error):
        net = network([2, 3])
        engine = backend.engine(net, np.zeros(net.n_parameters(), dtype))
        with pytest.raises(error):
            engine.train_epoch(
                np.zeros((2, 2), dtype), ClassTargets(labels, n_classes), None, 1, 0.1
            )

    def test_no_sample_has_a_row_of_its_own(self, backend, rng):
        net = network([3, 4, 500])
        x, labels, parameters = problem(rng, net, 20_000, np.float32)
        engine = backend.engine(net, parameters)
        targets = ClassTargets(labels, 500)
        peak = peak_of(lambda: engine.train_epoch(x, targets, None, 100, 0.1))
        assert peak < 20_000 * 500 * 4 / 4


class TestModel:
    def trained(self, name, t, smoothing=0.0, weights=None):
        rng = np.random.default_rng(1)
        model = Model(network([4, 8, 3], optimizer=Adam()), backend=name, seed=3)
        model.initialize("auto", np.random.RandomState(0))
        x = rng.normal(size=(60, 4)).astype(np.float32)
        validation = Validation(x[:20], t[:20], are_classes=True, score=lambda y: y.mean())
        state = model.train(
            x, t, Recipe(3, 16, 0.02), are_classes=True, validation=validation, weights=weights
        )
        history = {key: values for key, values in state.history.items() if key != "seconds"}
        return history, model.parameters.tolist(), model.evaluate(x, t)[0]

    def labels(self):
        return np.random.default_rng(2).integers(0, 3, 60)

    @pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
    def test_labels_of_any_integers_train_like_their_rows(self, name, kind):
        labels = self.labels().astype(kind)
        rows = ClassTargets(labels.astype(np.intp), 3).rows(np.float32)
        assert self.trained(name, labels) == self.trained(name, rows)

    def test_so_they_do_smoothed(self, name):
        targets = ClassTargets(self.labels().astype(np.intp), 3, 0.2)
        assert self.trained(name, targets) == self.trained(name, targets.rows(np.float32))

    @pytest.mark.parametrize(
        ("t", "found"),
        [
            (np.array([0, 3]), "found 3 at index 1"),
            (np.array([0, -1]), "found -1 at index 1"),
            (np.array([0, 1, 2]), r"expected 2 labels, found the shape \(3,\)"),
            (np.array([0.0, 1.0]), "expected the dtype float32"),
            (ClassTargets(np.array([0, 1]), 4), "found 4 classes"),
            (ClassTargets(np.array([0, 1]), 3, 1.0), "expected a smoothing from 0 to below 1"),
        ],
    )
    def test_labels_that_are_none_are_refused(self, t, found):
        model = Model(network([4, 3]))
        with pytest.raises(ValueError, match=found):
            model.train(np.zeros((2, 4), np.float32), t, Recipe(1, 1, 0.1))

    def test_the_users_labels_stay_as_they_are(self, name):
        labels = self.labels()
        labels.flags.writeable = False
        before = labels.copy()
        self.trained(name, labels)
        np.testing.assert_array_equal(labels, before)

    def test_a_large_set_is_measured_in_blocks(self, name, rng, monkeypatch):
        """The loss of blocks is that of all samples, and so are the outputs."""
        model = Model(network([4, 8, 3]), backend=name, dtype=np.float64)
        model.initialize("auto", np.random.RandomState(0))
        x, labels, _ = problem(rng, model.network, 3000, np.float64)
        weights = rng.random(3000)
        loss, outputs = model.evaluate(x, labels, weights)
        monkeypatch.setattr("cnn_core.outputs._OUTPUTS_AT_ONCE", 1)
        again, answers = model.evaluate(x, labels, weights, keep=lambda y: y.argmax(axis=1))
        assert again == pytest.approx(loss, rel=1e-14)
        np.testing.assert_array_equal(answers, outputs.argmax(axis=1))
        np.testing.assert_array_equal(model.predict(x, keep=lambda y: y.argmax(axis=1)), answers)

    def test_neither_training_nor_measuring_takes_memory_per_class(self, name, rng):
        model = Model(network([3, 4, 500]), backend=name)
        x, labels, _ = problem(rng, model.network, 40_000, np.float32)
        validation = Validation(x, labels, are_classes=True)
        peak = peak_of(
            lambda: model.train(
                x, labels, Recipe(1, 100, 0.1), are_classes=True, validation=validation
            )
        )
        assert peak < 40_000 * 500 * 4 / 2

    def test_a_broken_copy_of_the_targets_is_refused(self):
        targets = replace(ClassTargets(np.array([0, 1]), 3), smoothing=-0.1)
        model = Model(network([4, 3]))
        with pytest.raises(ValueError, match="smoothing"):
            model.evaluate(np.zeros((2, 4), np.float32), targets)
