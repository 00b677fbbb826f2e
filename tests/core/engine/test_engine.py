"""Every engine has the contract's methods, and a state that can be taken and given."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from cnn_core.backends.backend import Backend, EngineSpec
from cnn_core.backends.interface import Engine
from cnn_core.optimizers import Adam
from corpus import OPTIMIZERS, SIGN_OPTIMIZERS
from networks import data, network, parameters_for

pytestmark = pytest.mark.covering


class TestContract:
    @pytest.mark.parametrize("method", ["train_epoch", "gradient", "predict", "predictor"])
    def test_every_engine_has_the_method_with_the_same_parameters(self, backend, dtype, method):
        net = network([2, 2])
        engine = backend.engine(net, np.zeros(net.n_parameters(), dtype))
        expected = inspect.signature(getattr(Engine, method)).parameters.values()
        found = inspect.signature(getattr(type(engine), method)).parameters.values()
        assert [(p.name, p.default) for p in found] == [(p.name, p.default) for p in expected]

    def test_every_backend_makes_engines_from_the_same_arguments(self, backend):
        assert type(backend).engine is Backend.engine
        parameters = inspect.signature(EngineSpec).parameters.values()
        assert [(p.name, p.default, p.kind is p.KEYWORD_ONLY) for p in parameters] == [
            ("network", inspect.Parameter.empty, False),
            ("parameters", inspect.Parameter.empty, False),
            ("moments", None, True),
            ("statistics", None, True),
            ("average", None, True),
            ("seed", 0, True),
            ("threads", None, True),
        ]


class TestState:
    @pytest.mark.parametrize("optimizer", OPTIMIZERS + SIGN_OPTIMIZERS, ids=str)
    @pytest.mark.parametrize(
        "more", [{}, {"normalization": "batch", "averaging": 0.9, "l2": 0.1}], ids=["", "more"]
    )
    def test_an_engine_made_from_copies_of_it_continues_with_the_same_bits(
        self, backend, dtype, rng, optimizer, more
    ):
        units = [9, 21, 18, 4]
        net = network(units, "relu", "softmax", "cross_entropy", 0.3, optimizer=optimizer, **more)
        x, t = data(rng, units, 50, dtype)
        orders = [rng.permutation(50).astype(np.intp) for _ in range(4)]
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters, seed=2**64 - 1)
        for order in orders[:2]:
            engine.train_epoch(x, t, order, 7, 0.05)
        copy, moments = parameters.copy(), engine.moments.copy()
        statistics = engine.statistics.copy()
        average = None if engine.average is None else engine.average.copy()
        another = backend.engine(
            net, copy, moments=moments, statistics=statistics, average=average, seed=2**64 - 1
        )
        another.steps = engine.steps
        for order in orders[2:]:
            result = engine.train_epoch(x, t, order, 7, 0.05)
            assert another.train_epoch(x, t, order, 7, 0.05) == result
        assert np.array_equal(copy, parameters)
        assert np.array_equal(moments, engine.moments)
        assert np.array_equal(statistics, engine.statistics)
        assert average is None or np.array_equal(average, engine.average)
        assert another.steps == engine.steps

    def test_steps_count_batches_and_nothing_else(self, backend, dtype, rng):
        units = [4, 5, 2]
        net = network(units, dropout=0.5)
        x, t = data(rng, units, 10, dtype)
        engine = backend.engine(net, parameters_for(rng, net, dtype))
        assert engine.steps == 0
        engine.train_epoch(x, t, None, 4, 0.1)
        assert engine.steps == 3
        engine.gradient(x, t, np.empty(net.n_parameters(), dtype))
        engine.predict(x, t)
        engine.train_epoch(x, t, np.empty(0, np.intp), 4, 0.1)
        assert engine.steps == 3
        engine.train_epoch(x, t, np.arange(5, dtype=np.intp), 100, 0.1)
        assert engine.steps == 4

    def test_moments_are_bound_like_the_parameters(self, backend, dtype, rng):
        units = [4, 5, 2]
        net = network(units, optimizer=Adam())
        x, t = data(rng, units, 10, dtype)
        moments = np.zeros((2, net.n_parameters()), dtype)
        engine = backend.engine(net, parameters_for(rng, net, dtype), moments=moments)
        engine.train_epoch(x, t, None, 4, 0.1)
        assert moments.any(axis=1).all()
        assert np.shares_memory(engine.moments, moments)

    @pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
    def test_moments_that_are_not_given_are_zeros(self, backend, dtype, optimizer):
        net = network([4, 5, 2], optimizer=optimizer)
        engine = backend.engine(net, np.ones(net.n_parameters(), dtype))
        assert engine.moments.shape == (optimizer.n_moments, net.n_parameters())
        assert engine.moments.dtype == dtype
        assert not engine.moments.any()

    def test_statistics_and_average_are_bound_likewise(self, backend, dtype, rng):
        units = [4, 5, 2]
        net = network(units, normalization="batch", averaging=0.9)
        x, t = data(rng, units, 10, dtype)
        parameters = parameters_for(rng, net, dtype)
        statistics, average = net.first_statistics(dtype), parameters.copy()
        engine = backend.engine(net, parameters, statistics=statistics, average=average)
        assert np.shares_memory(engine.statistics, statistics)
        assert np.shares_memory(engine.average, average)
        engine.train_epoch(x, t, None, 4, 0.1)
        assert (statistics != net.first_statistics(dtype)).all()
        assert (average != parameters).any()

    def test_statistics_and_average_that_are_not_given_are_those_of_the_first_step(
        self, backend, dtype, rng
    ):
        net = network([4, 5, 2], normalization="batch", averaging=0.9)
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters)
        assert np.array_equal(engine.statistics, net.first_statistics(dtype))
        assert np.array_equal(engine.average, parameters)
        assert not np.shares_memory(engine.average, parameters)
        assert engine.statistics.dtype == engine.average.dtype == dtype

    def test_where_there_are_none_they_are_nothing(self, backend, dtype):
        net = network([4, 5, 2], normalization="layer")
        engine = backend.engine(net, np.ones(net.n_parameters(), dtype))
        assert engine.statistics.shape == (0,)
        assert engine.average is None

    @pytest.mark.parametrize("steps", [0, 5, 2**32, 2**63 - 1])
    def test_steps_can_be_set(self, backend, dtype, steps):
        net = network([4, 5, 2])
        engine = backend.engine(net, np.ones(net.n_parameters(), dtype))
        engine.steps = steps
        assert engine.steps == steps
