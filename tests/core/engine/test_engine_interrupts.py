"""Signals during an epoch leave whole steps."""

from __future__ import annotations

import contextlib
import signal

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.optimizers import Adam
from networks import data, network, parameters_for

pytestmark = pytest.mark.serial


@pytest.fixture
def soon():
    """Have a function called a twentieth of a second later, in the midst of what runs then."""
    before = signal.getsignal(signal.SIGALRM)

    def call_soon(function):
        signal.signal(signal.SIGALRM, lambda number, frame: function())
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    yield call_soon
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer signals")
class TestInterruption:
    @pytest.fixture
    def training(self, backend, rng):
        """Seconds of training: network, its parameters, samples, targets and a long order."""
        units = [200, 100, 10]
        net = network(units)
        x, t = data(rng, units, 320, np.float32)
        order = np.resize(np.arange(320, dtype=np.intp), 1_000_000)
        return net, parameters_for(rng, net, np.float32), x, t, order

    def test_an_interrupt_leaves_a_whole_number_of_steps_and_a_usable_engine(
        self, backend, training, soon
    ):
        net, parameters, x, t, order = training
        replayed = parameters.copy()
        engine = backend.engine(net, parameters)

        def interrupt():
            raise KeyboardInterrupt

        soon(interrupt)
        with pytest.raises(KeyboardInterrupt):
            engine.train_epoch(x, t, order, 32, 0.1)
        steps = 0
        engine_of_replay = backend.engine(net, replayed)
        while not np.array_equal(replayed, parameters):
            rows = order[32 * steps : 32 * (steps + 1)]
            engine_of_replay.train_epoch(x, t, rows, 32, 0.1)
            steps += 1
            assert steps < 200_000
        assert engine.train_epoch(x, t, None, 32, 0.1)[0] > 0

    @pytest.mark.compiled
    def test_an_interrupt_leaves_parameters_moments_and_steps_of_one_and_the_same_step(
        self, training, soon
    ):
        _, _, x, t, order = training
        net = network([200, 100, 10], "relu", dropout=0.2, optimizer=Adam())
        start = parameters_for(np.random.default_rng(1), net, np.float32)
        parameters, replayed = start.copy(), start.copy()
        engine = backends.get("cython").engine(net, parameters, seed=9)

        def interrupt():
            raise KeyboardInterrupt

        soon(interrupt)
        with pytest.raises(KeyboardInterrupt):
            engine.train_epoch(x, t, order, 32, 0.001)
        assert 0 < engine.steps < len(order) // 32
        engine_of_replay = backends.get("cython").engine(net, replayed, seed=9)
        engine_of_replay.train_epoch(x, t, order[: 32 * engine.steps], 32, 0.001)
        assert np.array_equal(replayed, parameters)
        assert np.array_equal(engine_of_replay.moments, engine.moments)

    def test_an_order_that_is_changed_meanwhile_does_no_harm(self, backend, training, soon):
        net, parameters, x, t, order = training
        order = order[:500_000].copy()

        def change_order():
            order[:] = 2**40

        soon(change_order)
        with contextlib.suppress(IndexError):
            backend.engine(net, parameters).train_epoch(x, t, order, 32, 0.1)
        assert np.isfinite(parameters).all()

    def test_a_second_training_of_one_network_at_the_same_time_is_refused(
        self, backend, training, soon
    ):
        net, parameters, x, t, order = training
        engine = backend.engine(net, parameters)

        def train_as_well():
            engine.train_epoch(x, t, None, 32, 0.1)
            # Not refused: the long training had not begun yet.
            soon(train_as_well)

        soon(train_as_well)
        with pytest.raises(RuntimeError, match="being trained already"):
            engine.train_epoch(x, t, order, 32, 0.1)
        assert engine.train_epoch(x, t, None, 32, 0.1)[0] > 0
