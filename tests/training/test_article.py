"""`rule="article"` is the published program, defects included, to float64 rounding."""

from __future__ import annotations

import numpy as np
import pytest

import cnn_core
from cnn_core import NN
from cnn_core.network import Dense, Network
from tolerances import ARTICLE_RELATIVE


class PublishedProgram:
    """The published step, transcribed formula by formula; samples are columns."""

    def __init__(self, n_input, n_hidden, n_output, lr):
        self.wih = np.random.normal(0.0, n_input**-0.5, (n_hidden, n_input))
        self.who = np.random.normal(0.0, n_hidden**-0.5, (n_output, n_hidden))
        self.bih = 0
        self.bho = 0
        self.lr = lr

    @staticmethod
    def activation(z):
        return 1 / (1 + np.exp(-np.clip(z, -500, 500)))

    def g(self, a):
        return self.activation(a) * (1 - self.activation(a))

    def forward(self, x):
        self.h = self.activation(self.wih @ x + self.bih)
        return self.activation(self.who @ self.h + self.bho)

    def backprop(self, x, t):
        y = self.forward(x)
        e_out = -(t - y)
        e_hid = self.who.T @ e_out
        self.who -= self.lr * (e_out * self.g(y)) @ self.h.T
        self.wih -= self.lr * (e_hid * self.g(self.h)) @ x.T
        self.bho = self.bho - self.lr * (e_out * self.g(y))
        self.bih = self.bih - self.lr * (e_hid * self.g(self.h))


@pytest.fixture
def data(rng):
    x = rng.random((40, 30))
    return x, rng.integers(0, 4, 40)


def both(name, data, steps, lr=0.05):
    """The published program and ours after `steps` steps from the same start."""
    x, labels = data
    np.random.seed(0)
    published = PublishedProgram(30, 12, 4, lr)
    np.random.seed(0)
    net = NN(30, 12, 4, lr, steps, rule="article", backend=name)
    assert np.array_equal(net.wih, published.wih)
    assert np.array_equal(net.who, published.who)
    for _ in range(steps):
        published.backprop(x.T, cnn_core.one_hot(labels, 4).T)
    return published, net.fit(x, labels)


def assert_same(found, expected):
    scale = np.abs(expected).max()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= ARTICLE_RELATIVE * scale


def test_weights_and_biases_after_fifty_steps_are_the_published_ones(backend, data):
    published, net = both(backend.name, data, 50)
    for name in ("wih", "who", "bih", "bho"):
        assert_same(getattr(net, name), getattr(published, name))
    assert_same(net.forward(data[0]), published.forward(data[0].T))


@pytest.mark.slow
def test_so_they_are_on_the_real_images(backend):
    images = cnn_core.load_fashion_mnist()
    x = images.x_train[:500].reshape(500, -1) / 255
    labels = images.y_train[:500]
    np.random.seed(0)
    published = PublishedProgram(784, 128, 10, 0.01)
    net = NN(784, 128, 10, 0.01, 50, rule="article", seed=0, backend=backend.name).fit(x, labels)
    for _ in range(50):
        published.backprop(x.T, cnn_core.one_hot(labels, 10).T)
    for name in ("wih", "who", "bih", "bho"):
        assert_same(getattr(net, name), getattr(published, name))


def test_backprop_is_the_published_step(backend, data):
    published, _ = both(backend.name, data, 3)
    np.random.seed(0)
    net = NN(30, 12, 4, 0.05, 1, rule="article", backend=backend.name)
    for _ in range(3):
        net.backprop(*data)
    assert_same(net.who, published.who)


def test_biases_are_the_number_zero_at_first_and_then_one_a_training_sample(backend, data):
    net = NN(30, 12, 4, 0.05, 1, rule="article", seed=0, backend=backend.name)
    assert net.bih == net.bho == 0
    assert np.shape(net.bih) == ()
    assert net.predict(data[0][:7]).shape == (7, 4)
    net.fit(*data)
    assert net.bih.shape == (12, 40)
    assert net.bho.shape == (4, 40)


def test_before_that_a_bias_can_be_set_to_0_and_to_nothing_else(backend, data):
    net = NN(30, 12, 4, 0.05, 1, rule="article", seed=0, backend=backend.name)
    net.bih = 0
    with pytest.raises(ValueError, match="bho: the article's rule starts from 0, found 1"):
        net.bho = 1
    assert net.bih == net.bho == 0


def test_predicting_another_number_of_samples_says_why_not_and_what_to_use(backend, data):
    net = NN(30, 12, 4, 0.05, 1, rule="article", seed=0, backend=backend.name).fit(*data)
    message = r"40 samples, as many as were fitted, found 39.*bias of its own.*rule='exact'"
    with pytest.raises(ValueError, match=message):
        net.predict(data[0][:39])
    with pytest.raises(ValueError, match="40 samples"):
        net.fit(data[0][:39], data[1][:39])


def test_validation_on_another_number_of_samples_is_refused_before_training(backend, data):
    net = NN(30, 12, 4, 0.05, 1, rule="article", seed=0, backend=backend.name)
    before = net.wih.copy()
    with pytest.raises(ValueError, match="validation: expected 40 samples"):
        net.fit(*data, validation=(data[0][:7], data[1][:7]))
    assert np.array_equal(net.wih, before)
    assert net.bih == 0


def test_its_step_is_not_the_gradient_of_the_loss(backend, rng):
    """The reason why the exact rule is the default."""
    layers = (Dense(30, 12), Dense(12, 4))
    x, t = rng.random((40, 30)), rng.random((40, 4))
    exact, article = Network(layers), Network(layers, rule="article")
    weights = rng.normal(size=exact.n_parameters())
    ours = article.unflatten(np.zeros(article.n_parameters(40)))
    parameters = np.concatenate(
        [
            np.concatenate([own.ravel(), np.zeros(bias.size)])
            for (own, _, _), (_, bias, _) in zip(exact.unflatten(weights), ours, strict=True)
        ]
    )
    for _, bias, _ in exact.unflatten(weights):
        bias[:] = 0
    gradient, direction = np.empty_like(weights), np.empty_like(parameters)
    exact_loss = backend.engine(exact, weights).gradient(x, t, gradient)
    article_loss = backend.engine(article, parameters).gradient(x, t, direction)
    assert article_loss == pytest.approx(exact_loss, rel=1e-12)
    for (slope, _, _), (step, _, _) in zip(
        exact.unflatten(gradient), article.unflatten(direction), strict=True
    ):
        cosine = (slope * step).sum() / np.linalg.norm(slope) / np.linalg.norm(step)
        assert cosine < 0.99
