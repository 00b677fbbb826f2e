"""Arrays that share memory with others give the result of copies, or are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cnn_core import NN, find_learning_rate
from cnn_core.estimators import MLPRegressor
from cnn_core.training import Validation
from hostile_entries import RECIPE, fitted, model, nn
from hostile_forms import F32, SAMPLES, TARGETS, WEIGHTS, read_only

# Arrays that overlap


def test_samples_that_are_the_networks_own_weights_train_as_a_copy_of_them_does(name):
    for train in (
        lambda net, x: net.fit(x, TARGETS[:5]),
        lambda net, x: net.backprop(x, TARGETS[:5]),
    ):
        own, other = nn(name), nn(name)
        samples = own.model.layers[0].weights.T  # (5, 4), strided: it is copied in any case
        train(own, samples)
        train(other, samples_of(other).copy())
        assert own.model.parameters.tobytes() == other.model.parameters.tobytes()


def samples_of(net: NN) -> npt.NDArray[Any]:
    return net.wih


@pytest.mark.parametrize("way", ["train", "minimize", "step", "find_learning_rate"])
def test_a_models_own_parameters_as_its_samples_and_targets_are_as_good_as_copies(name, way):
    def run(overlapping: bool) -> bytes:
        made = model(name)
        x = made.parameters[:12].reshape(3, 4)
        t = made.parameters[12:21].reshape(3, 3)
        if not overlapping:
            x, t = x.copy(), t.copy()
        found: Any = None
        if way == "step":
            found = made.step(x, t, 0.1)
        elif way == "find_learning_rate":
            found = find_learning_rate(made, x, t, batch_size=3).losses.tolist()
        else:
            getattr(made, way)(x, t, RECIPE, validation=Validation(x, t))
        return made.parameters.tobytes() + repr(found).encode()

    assert run(True) == run(False)


def test_weights_set_to_a_view_of_themselves_are_read_before_they_are_written(name):
    net = NN(4, 4, 4, learning_rate=0.1, epochs=1, seed=0, backend=name)
    wanted = net.wih.T.copy()
    net.wih = net.wih.T
    assert net.wih.tobytes() == wanted.tobytes()
    swapped = fitted(MLPRegressor, WEIGHTS)(name)
    first, last = (layer.copy() for layer in swapped.coefs_)
    swapped.coefs_ = [swapped.coefs_[0][::-1], swapped.coefs_[1][::-1]]
    assert swapped.coefs_[0].tobytes() == first[::-1].tobytes()
    assert swapped.coefs_[1].tobytes() == last[::-1].tobytes()


def test_outputs_that_share_memory_with_the_samples_are_refused_and_nothing_is_written(name):
    memory = np.arange(42, dtype=F32)
    before = memory.tobytes()
    x = memory[:24].reshape(6, 4)
    made = model(name)
    for start in (0, 1, 23):
        out = memory[start : start + 18].reshape(6, 3)
        with pytest.raises(ValueError, match=r"out: .* shares memory with x"):
            made.predict(x, out)
        with pytest.raises(ValueError, match=r"out: .* shares memory with x"):
            made.evaluate(x, TARGETS, out=out)
    assert memory.tobytes() == before
    beside = memory[24:].reshape(6, 3)
    assert made.predict(x, beside).tobytes() == made.predict(x.copy()).tobytes()


def test_outputs_that_share_memory_with_targets_weights_or_the_network_are_refused(name):
    made = model(name)
    before = made.parameters.tobytes()
    targets = TARGETS.copy()
    memory = np.ones(24, F32)
    with pytest.raises(ValueError, match="shares memory with t"):
        made.evaluate(SAMPLES, targets, out=targets)
    with pytest.raises(ValueError, match="shares memory with weights"):
        made.evaluate(SAMPLES, targets, memory[:6], memory[5:23].reshape(6, 3))
    for own in ("parameters", "moments"):
        out = np.atleast_2d(getattr(made, own))[-1, 3:21].reshape(6, 3)
        with pytest.raises(ValueError, match=f"shares memory with {own}"):
            made.predict(SAMPLES, out)
    assert made.parameters.tobytes() == before
    assert targets.tobytes() == TARGETS.tobytes()
    assert memory.tobytes() == np.ones(24, F32).tobytes()


def test_a_read_only_output_is_refused(name):
    with pytest.raises(ValueError, match="out: expected a writeable array"):
        model(name).predict(SAMPLES, read_only(np.zeros((6, 3), F32)))
