"""Parameters, moments and gradients begin on a cache line."""

import copy
import pickle

import numpy as np
import pytest

from cnn_core import Adam, Dense, Model, backends
from cnn_core.memory import CACHE_LINE, aligned
from cnn_core.network import Network


def begins_on_a_cache_line(array):
    return all(row.ctypes.data % CACHE_LINE == 0 for row in np.atleast_2d(array) if row.size)


def at_odds(size, dtype):
    """An array of 1, 2, ... that begins in the middle of a cache line."""
    room = aligned(np.zeros(size + 1, dtype))[1:]
    room[:] = np.arange(1, size + 1)
    return room


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
class TestAligned:
    @pytest.mark.parametrize("shape", [(37,), (2, 37), (1,), (0,), (2, 0)])
    def test_an_aligned_copy_has_the_same_values(self, dtype, shape):
        array = at_odds(int(np.prod(shape)), dtype).reshape(shape)
        copied = aligned(array)
        assert begins_on_a_cache_line(copied)
        assert copied.dtype == dtype
        assert all(row.flags.c_contiguous for row in np.atleast_2d(copied))
        assert copied.flags.writeable
        np.testing.assert_array_equal(copied, array)

    def test_what_was_passed_stays_as_it_is(self, dtype):
        array = at_odds(5, dtype)
        aligned(array)[:] = 0
        np.testing.assert_array_equal(array, [1, 2, 3, 4, 5])

    def test_an_array_that_begins_there_is_the_same_array(self, dtype):
        array = aligned(at_odds(5, dtype))
        assert aligned(array) is array


class TestModels:
    def arrays(self, model):
        return [model.parameters, model.moments, model.average]

    @pytest.mark.parametrize(
        "made", [pickle.dumps, copy.deepcopy, None], ids=["pickle", "copy", "new"]
    )
    def test_what_a_step_goes_through_begins_on_a_cache_line(self, made):
        network = Network([Dense(9, 5), Dense(5, 3)], optimizer=Adam(), averaging=0.9)
        model = Model(network)
        if made is pickle.dumps:
            model = pickle.loads(made(model))
        elif made is not None:
            model = made(model)
        assert all(begins_on_a_cache_line(a) for a in self.arrays(model))

    @pytest.mark.parametrize("name", backends.available())
    def test_no_bit_of_a_training_depends_on_where_the_arrays_begin(self, name):
        network = Network([Dense(20, 17, "relu"), Dense(17, 3)], optimizer=Adam())
        rng = np.random.default_rng(1)
        x, t = rng.normal(size=(40, 20)), rng.normal(size=(40, 3))
        first = rng.normal(size=network.n_parameters())
        results = []
        for place in (aligned, lambda a: at_odds(a.size, a.dtype).reshape(a.shape)):
            parameters = place(np.array(first))
            parameters[:] = first
            moments = place(np.zeros((2, first.size)))
            moments[:] = 0
            engine = backends.get(name).engine(network, parameters, moments=moments)
            engine.train_epoch(x, t, None, 7, 0.01)
            results.append((parameters, *moments))
        np.testing.assert_array_equal(*results)
