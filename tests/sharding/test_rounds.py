"""The loop over shards in one process, which defines what a training on shards learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnn_core import MLPClassifier, MLPRegressor
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam
from cnn_core.sharding.averaging import stepped, tree
from cnn_core.sharding.rounds import Plan, Result, Round, seed_of
from cnn_core.sharding.steps import default_round_steps
from sharded_fits import KINDS, SETTINGS, ClassifierInShards, RegressorInShards, bits_of
from sharded_fits import small_classes as data


@pytest.mark.parametrize("kind", KINDS)
def test_one_shard_has_the_bits_of_the_plain_estimator(kind: str) -> None:
    X, y, weights = data()
    settings = {**SETTINGS, **KINDS[kind]}
    plain = MLPClassifier(**settings).fit(X, y, weights)
    assert bits_of(ClassifierInShards(**settings).of(1).fit(X, y, weights)) == bits_of(plain)


def test_one_shard_of_numbers_has_the_bits_of_the_plain_regressor() -> None:
    X, _, weights = data()
    settings = {**SETTINGS, "early_stopping": True}
    plain = MLPRegressor(**settings).fit(X, X[:, 0] - X[:, 1], weights)
    in_shards = RegressorInShards(**settings).of(1).fit(X, X[:, 0] - X[:, 1], weights)
    assert bits_of(in_shards) == bits_of(plain)


@pytest.mark.parametrize("kind", KINDS)
def test_several_shards_learn_as_well(kind: str) -> None:
    X, y, weights = data(1200)
    settings = {
        **SETTINGS,
        **KINDS[kind],
        "max_iter": 20,
        "learning_rate_init": 0.02,
        "batch_size": 60,
    }
    plain = MLPClassifier(**settings).fit(X, y, weights).score(X, y)
    in_shards = ClassifierInShards(**settings).of(4).fit(X, y, weights)
    assert in_shards.score(X, y) > plain - 0.03


def test_the_steps_are_those_of_one_machine() -> None:
    X, y, _ = data()
    plain = MLPClassifier(**SETTINGS).fit(X, y)
    in_shards = ClassifierInShards(**SETTINGS).of(3).fit(X, y)
    assert in_shards.model_.steps == plain.model_.steps
    assert in_shards.t_ == plain.t_
    rates = [one.model_.history["learning_rate"] for one in (plain, in_shards)]
    assert rates[0] == rates[1]


def test_a_shard_without_a_class_is_no_problem() -> None:
    X, y, _ = data()
    order = np.argsort(y, kind="stable")
    in_shards = ClassifierInShards(**SETTINGS).of(3).fit(X[order], y[order])
    assert in_shards.classes_.tolist() == ["ant", "bee", "cat"]


def test_neighbours_are_joined_in_their_order() -> None:
    assert tree(list("abcdefg"), lambda a, b: f"({a}{b})") == "(((ab)(cd))((ef)g))"


def test_each_shard_has_an_order_of_its_own() -> None:
    assert seed_of(7, 0) == 7
    assert len({seed_of(seed, number) for seed in (7, 8) for number in range(16)}) == 32


@pytest.mark.parametrize(
    ("solver", "message"),
    [("rprop", "needs the gradient of all samples"), ("lbfgs", "takes steps on batches")],
)
def test_a_solver_that_needs_all_samples_at_once_is_refused(solver: str, message: str) -> None:
    X, y, _ = data(60)
    estimator = ClassifierInShards(**{**SETTINGS, "solver": solver, "schedule": None}).of(2)
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, y)


def test_rounds_are_long_where_steps_are_short_and_short_where_they_are_long() -> None:
    def steps(units: int, samples: int, shards: int = 2) -> int:
        network = Network(
            (Dense(28, units, "relu"), Dense(units, 1, "sigmoid")), "binary_cross_entropy", Adam()
        )
        return default_round_steps(Plan(network, np.dtype(np.float32), 0, 512, samples, shards))

    assert steps(8, 10**6, shards=1) == 1954
    # As many rounds as accuracy needs, where steps are so short that fewer would be cheaper.
    assert steps(8, 10**8) == 12208
    assert steps(128, 10**8) > steps(512, 10**8)
    assert steps(8, 20_000, shards=8) == 4


def results(*parameters: float) -> list[Result]:
    return [Result({"parameters": np.full(1, one, np.float32)}, 0, [], 0.0) for one in parameters]


def step_of(mean: Result, before: Result, steps: int, optimizer: Any = Adam) -> Result:
    network = Network((Dense(1, 1, "sigmoid"),), "binary_cross_entropy", optimizer())
    plan = Plan(network, np.dtype(np.float32), 0, 512, 1000, 2)
    return stepped(mean, before, plan, Round(0, np.zeros(steps)))


def test_after_long_rounds_the_weights_go_on_by_nesterovs_momentum() -> None:
    before, mean = results(1.0, 2.0)
    first = step_of(mean, before, 100)
    assert first.arrays["parameters"] == pytest.approx(1 + 0.7 * 1.8)
    (mean,) = results(float(first.arrays["parameters"][0]) + 1)
    second = step_of(mean, first, 100)
    assert second.arrays["parameters"] == pytest.approx(1 + 0.7 * 1.8 + 0.7 * (0.8 * 1.8 + 1))


def test_after_short_rounds_they_stay_near_the_mean_and_with_sgd_on_it() -> None:
    before, mean = results(1.0, 2.0)
    ahead = [float(step_of(mean, before, steps).arrays["parameters"][0]) for steps in (1, 6, 12)]
    assert ahead == sorted(ahead)
    assert 2 < ahead[0] < 2.05
    assert step_of(mean, before, 12, SGD) is mean
