"""Nothing is read or written beside an array: not a byte before it, not a byte behind it.

Each array is placed against a guard page, an access to which ends this process.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam
from corpus import DENSE_SHAPES
from guard_pages import HAS_GUARD_PAGES, guarded
from kernel_calls import OPERATIONS, normal, outputs_of, unset, well_formed_call
from networks import parameters_for

pytestmark = [
    pytest.mark.covering,
    pytest.mark.skipif(not HAS_GUARD_PAGES, reason="needs mprotect"),
]

SIDES = ["before", "behind"]
# Inputs of a network: less than a vector, around several, and many, each with a rest.
WIDTHS = [3, 15, 17, 65, 131, 784]


@pytest.mark.parametrize("side", SIDES)
def test_touching_a_guard_page_ends_the_process(side):
    """Otherwise the tests below would prove nothing."""
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        address = guarded(np.ones(8, np.float32), side).ctypes.data
        ctypes.string_at(address - 1 if side == "before" else address + 32, 1)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("side", SIDES)
class TestKernels:
    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_every_operation_stays_within_its_arrays(self, kernels, dtype, rng, operation, side):
        arguments = well_formed_call(operation, dtype, rng)
        beside = {
            name: guarded(value, side) if isinstance(value, np.ndarray) else value
            for name, value in arguments.items()
        }
        for call in (arguments, beside):
            getattr(kernels, operation)(**call)
        for name in outputs_of(operation):
            np.testing.assert_allclose(beside[name], arguments[name], rtol=1e-6)

    @pytest.mark.parametrize("shape", DENSE_SHAPES, ids=str)
    def test_the_product_stays_within_its_arrays_at_every_size(
        self, kernels, dtype, rng, shape, side
    ):
        n, fan_in, fan_out = shape
        x, weights = normal(rng, (n, fan_in), dtype), normal(rng, (fan_in, fan_out), dtype)
        delta, bias = normal(rng, (n, fan_out), dtype), normal(rng, fan_out, dtype)
        x, weights, delta, bias = (guarded(array, side) for array in (x, weights, delta, bias))
        out, grad_x, grad_weights, grad_bias = (
            guarded(unset(size, dtype), side)
            for size in (delta.shape, x.shape, weights.shape, fan_out)
        )
        kernels.dense_forward(x, weights, bias, out)
        kernels.dense_backward(x, weights, delta, grad_weights, grad_bias, grad_x)
        assert not np.isnan(grad_x).any()


@pytest.mark.compiled
@pytest.mark.parametrize("side", SIDES)
class TestEngine:
    @pytest.mark.parametrize("batch_size", [1, 3, 64])
    @pytest.mark.parametrize("width", WIDTHS)
    @pytest.mark.parametrize("samples_dtype", ["reals", "bytes"])
    @pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=["sgd", "adam"])
    def test_training_and_predicting_stay_within_the_callers_arrays(
        self, dtype, rng, width, batch_size, samples_dtype, optimizer, side
    ):
        net = Network(
            [Dense(width, 70, "tanh"), Dense(70, 5, "softmax")],
            loss="cross_entropy",
            optimizer=optimizer,
            input_scale=0.01,
        )
        # Zeros for the most part, which are looked for.
        x = rng.integers(1, 200, (70, width)) * (rng.random((70, width)) < 0.2)
        x = guarded(x.astype(dtype if samples_dtype == "reals" else np.uint8), side)
        t = guarded(np.eye(5, dtype=dtype)[rng.integers(0, 5, 70)], side)
        parameters = guarded(parameters_for(rng, net, dtype), side)
        engine = backends.get("cython").engine(net, parameters, threads=2)
        order = rng.permutation(70).astype(np.intp)
        loss, _ = engine.train_epoch(x, t, guarded(order, side), batch_size, 0.01)
        out, elsewhere = guarded(unset((70, 5), dtype), side), np.zeros((70, 5), dtype)
        engine.predict(x, out)
        engine.predict(np.array(x), elsewhere)
        assert np.isfinite(loss)
        assert (out > 0).all()
        np.testing.assert_array_equal(out, elsewhere)
