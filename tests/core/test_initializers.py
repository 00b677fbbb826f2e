"""First values have the distributions of their formulas, and one seed gives one network."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.initializers import INITIALIZERS, initialize
from cnn_core.network import Dense, Network

FAN_IN, FAN_OUT = 300, 200
DEVIATIONS = {
    "auto": np.sqrt(2 / (FAN_IN + FAN_OUT)),
    "glorot_uniform": np.sqrt(2 / (FAN_IN + FAN_OUT)),
    "glorot_normal": np.sqrt(2 / (FAN_IN + FAN_OUT)),
    "he_uniform": np.sqrt(2 / FAN_IN),
    "he_normal": np.sqrt(2 / FAN_IN),
    "lecun_uniform": np.sqrt(1 / FAN_IN),
    "lecun_normal": np.sqrt(1 / FAN_IN),
    "article": np.sqrt(1 / FAN_IN),
}


def first_layers(network, names, seed=0, dtype=np.float64):
    parameters = np.full(network.n_parameters(), np.nan, dtype)
    initialize(network, parameters, names, np.random.RandomState(seed))
    return network.unflatten(parameters)


@pytest.mark.parametrize("name", INITIALIZERS)
class TestEach:
    network = Network((Dense(FAN_IN, FAN_OUT, "relu", normalization="layer"), Dense(FAN_OUT, 2)))

    def test_weights_have_the_deviation_of_the_formula(self, name):
        weights = first_layers(self.network, name)[0].weights
        assert weights.std() == pytest.approx(DEVIATIONS[name], rel=0.02)
        assert abs(weights.mean()) < 4 * DEVIATIONS[name] / np.sqrt(weights.size)

    def test_a_uniform_one_keeps_its_bound_and_a_normal_one_does_not(self, name):
        weights = first_layers(self.network, name)[0].weights
        bound = np.sqrt(3) * DEVIATIONS[name]
        beyond = (np.abs(weights) > bound).mean()
        if name == "auto" or name.endswith("uniform"):
            assert beyond == 0
        else:
            assert beyond == pytest.approx(0.083, abs=0.01)

    def test_gains_are_1_and_biases_0_but_for_scikit_learns(self, name):
        hidden, last = first_layers(self.network, name)
        assert (hidden.gain == 1).all()
        assert last.gain is None
        if name == "auto":
            assert 0 < np.abs(hidden.bias).max() <= np.sqrt(6 / (FAN_IN + FAN_OUT))
        else:
            assert not hidden.bias.any()

    def test_one_seed_gives_one_network_in_either_dtype(self, name):
        first, again = first_layers(self.network, name), first_layers(self.network, name)
        single = first_layers(self.network, name, dtype=np.float32)
        other = first_layers(self.network, name, seed=1)
        for layer in (0, 1):
            weights = first[layer].weights
            assert np.array_equal(weights, again[layer].weights)
            assert np.array_equal(weights.astype(np.float32), single[layer].weights)
            assert not np.array_equal(weights, other[layer].weights)


@pytest.mark.parametrize("activation", ["logistic", "relu"])
def test_auto_draws_the_numbers_of_scikit_learns_mlp(activation):
    sklearn = pytest.importorskip("sklearn.neural_network")
    theirs = sklearn.MLPRegressor(
        hidden_layer_sizes=(7, 5),
        activation=activation,
        solver="sgd",
        learning_rate_init=1e-300,
        batch_size=20,
        max_iter=1,
        random_state=3,
    )
    x = np.random.RandomState(0).normal(size=(20, 4))
    with pytest.warns(UserWarning, match="iterations"):
        theirs.fit(x, x[:, 0])
    ours = {"logistic": "sigmoid", "relu": "relu"}[activation]
    network = Network((Dense(4, 7, ours), Dense(7, 5, ours), Dense(5, 1, "identity")))
    for layer, weights, bias in zip(
        first_layers(network, "auto", seed=3), theirs.coefs_, theirs.intercepts_, strict=True
    ):
        assert np.array_equal(layer.weights, weights)
        assert np.array_equal(layer.bias, bias)


def test_layers_may_have_different_ones():
    network = Network((Dense(40, 30, "relu"), Dense(30, 20, "selu"), Dense(20, 2)))
    mixed = first_layers(network, ("he_normal", "lecun_normal", "glorot_uniform"))
    same = first_layers(network, "he_normal")
    assert np.array_equal(mixed[0].weights, same[0].weights)
    np.testing.assert_allclose(mixed[1].weights, same[1].weights * np.sqrt(0.5))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("zeros", "expected one of 'auto', .*, found 'zeros'"),
        (("auto", "ones"), "found 'ones'"),
        (("auto",), "expected one name, or 2, one for each layer, found 1"),
    ],
)
def test_other_names_are_refused(names, message):
    with pytest.raises(ValueError, match=f"initializer: .*{message}|initializer: {message}"):
        first_layers(Network((Dense(2, 2), Dense(2, 1))), names)


@pytest.mark.parametrize("random", [0, None, np.random.default_rng])
def test_what_draws_no_numbers_is_refused(random):
    network = Network((Dense(2, 1),))
    with pytest.raises(TypeError, match=r"random: expected a numpy\.random\.RandomState, found"):
        initialize(network, np.zeros(network.n_parameters()), "auto", random)
