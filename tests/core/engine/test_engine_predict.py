"""Predictions, at once and by predictors that keep their buffers."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from cnn_core import backends
from corpus import NOT_ARRAYS, REFUSED_LAYOUTS
from networks import data, network, parameters_for
from refusals import UNREADABLE, refusal

pytestmark = pytest.mark.covering


class TestPredict:
    @pytest.mark.parametrize("samples", [0, 1, 2, 127, 128, 129, 300, 1023, 1025, 2500])
    def test_gives_what_the_layers_give(self, backend, dtype, rng, samples):
        units = [12, 19, 6, 3]
        net = network(units)
        parameters = parameters_for(rng, net, dtype)
        x = rng.normal(size=(samples, 12)).astype(dtype)
        out = np.full((samples, 3), np.nan, dtype)
        backend.engine(net, parameters).predict(x, out)
        a = x.astype(np.float64)
        for weights, bias, _ in net.unflatten(parameters.astype(np.float64)):
            a = 1 / (1 + np.exp(-(a @ weights + bias)))
        np.testing.assert_allclose(out, a, atol=50 * float(np.finfo(dtype).eps))

    def test_from_eight_threads_at_once_is_right_in_each(self, backend, rng):
        units = [50, 64, 10]
        net = network(units)
        engine = backend.engine(net, parameters_for(rng, net, np.float32))
        inputs = [rng.normal(size=(200, 50)).astype(np.float32) for _ in range(8)]
        alone = [np.empty((200, 10), np.float32) for _ in inputs]
        for x, out in zip(inputs, alone, strict=True):
            engine.predict(x, out)
        wrong = []

        def predict_often(x, expected):
            out = np.empty_like(expected)
            for _ in range(20):
                engine.predict(x, out)
                if not np.array_equal(out, expected):
                    wrong.append(out)

        threads = [
            threading.Thread(target=predict_often, args=pair)
            for pair in zip(inputs, alone, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


class TestPredictor:
    INPUTS = 90

    def engine(self, backend, dtype, **settings):
        net = network([self.INPUTS, 64, 7, 5], "tanh", dropout=0.2, **settings)
        parameters = parameters_for(np.random.default_rng(1), net, dtype)
        return backend.engine(net, parameters, threads=3), parameters

    def predicted(self, engine, x, dtype):
        out = np.empty((len(x), 5), dtype)
        engine.predict(x, out)
        return out

    # Also more than are predicted at a time, and enough for several threads.
    @pytest.mark.parametrize("rows", [1, 2, 7, 48, 255, 256, 257, 600, 1025])
    def test_gives_the_bits_of_predict(self, backend, dtype, rng, rows):
        engine, _ = self.engine(backend, dtype)
        predictor = engine.predictor(rows)
        for _ in range(2):
            x = rng.normal(size=(rows, self.INPUTS)).astype(dtype)
            found = predictor(x)
            assert (found.shape, found.dtype) == ((rows, 5), dtype)
            assert np.array_equal(found, self.predicted(engine, x, dtype))
        assert engine.steps == 0

    @pytest.mark.parametrize("rows", [1, 3])
    def test_returns_its_own_array_which_the_next_call_overwrites(self, backend, dtype, rng, rows):
        engine, _ = self.engine(backend, dtype)
        predictor = engine.predictor(rows)
        x = rng.normal(size=(2, rows, self.INPUTS)).astype(dtype)
        found = predictor(x[0])
        kept = found.copy()
        another = engine.predictor(rows)(x[1])
        assert np.array_equal(found, kept)
        assert predictor(x[1]) is found
        assert np.array_equal(found, another)
        assert not np.array_equal(found, kept)

    @pytest.mark.parametrize("kind", ["real", "bytes"])
    def test_one_row_needs_no_second_dimension(self, backend, dtype, rng, kind):
        engine, _ = self.engine(backend, dtype, input_scale=1 / 255)
        x = rng.integers(0, 256, (4, self.INPUTS), np.uint8)
        x = x if kind == "bytes" else x.astype(dtype)
        predictor = engine.predictor(1)
        for row in range(4):
            found = predictor(x[row])
            assert found.shape == (1, 5)
            assert np.array_equal(found, self.predicted(engine, x[row : row + 1], dtype))

    def test_says_what_samples_it_expects(self, backend, dtype):
        predict = self.engine(backend, dtype)[0].predictor(1)
        spread = np.zeros((1, 2 * self.INPUTS), dtype)[:, ::2]
        for wrong in (np.zeros((1, 2, self.INPUTS), dtype), spread):
            with pytest.raises(ValueError, match=r"x: expected .*, found .*"):
                predict(wrong)
        with pytest.raises(TypeError, match="x: expected a NumPy array, found list"):
            predict([[0.0] * self.INPUTS])

    @pytest.mark.parametrize("rows", [1, 5, 300])
    def test_bytes_and_real_samples_can_take_turns(self, backend, dtype, rng, rows):
        engine, _ = self.engine(backend, dtype, input_scale=1 / 255)
        x = rng.integers(0, 256, (rows, self.INPUTS), np.uint8)
        predictor = engine.predictor(rows)
        expected = self.predicted(engine, x, dtype)
        unscaled, _ = self.engine(backend, dtype)
        scaled = x.astype(dtype) * dtype.type(1 / 255)
        assert np.array_equal(self.predicted(unscaled, scaled, dtype), expected)
        for samples in (x, x.astype(dtype), x):
            assert np.array_equal(predictor(samples), expected)
            predictor(np.zeros_like(samples))

    def test_sees_what_the_network_has_become(self, backend, dtype, rng):
        engine, parameters = self.engine(backend, dtype)
        x, t = data(rng, [self.INPUTS, 5], 6, dtype)
        predictor = engine.predictor(6)
        seen = {predictor(x).tobytes()}
        parameters *= 2
        assert np.array_equal(predictor(x), self.predicted(engine, x, dtype))
        seen.add(predictor(x).tobytes())
        engine.train_epoch(x, t, None, 2, 0.5)
        assert np.array_equal(predictor(x), self.predicted(engine, x, dtype))
        seen.add(predictor(x).tobytes())
        assert len(seen) == 3

    def test_keeps_its_engine_alive(self, backend, dtype, rng):
        engine, _ = self.engine(backend, dtype)
        x, _ = data(rng, [self.INPUTS, 5], 6, dtype)
        expected = self.predicted(engine, x, dtype)
        predictor = engine.predictor(6)
        del engine
        assert np.array_equal(predictor(x), expected)

    def test_samples_are_left_as_they_are_and_may_be_read_only(self, backend, dtype, rng):
        engine, _ = self.engine(backend, dtype, input_scale=0.5)
        x, _ = data(rng, [self.INPUTS, 5], 6, dtype)
        before = x.copy()
        x.flags.writeable = False
        engine.predictor(6)(x)
        engine.predictor(1)(x[0])
        assert np.array_equal(x, before)

    def test_each_thread_with_its_own_is_right(self, backend, rng):
        engine, _ = self.engine(backend, np.float32)
        inputs = rng.normal(size=(6, 300, self.INPUTS)).astype(np.float32)
        alone = [self.predicted(engine, x, np.float32) for x in inputs]
        right = []

        def predict_often(x, expected):
            predictor = engine.predictor(len(x))
            right.extend(np.array_equal(predictor(x), expected) for _ in range(20))

        threads = [
            threading.Thread(target=predict_often, args=pair)
            for pair in zip(inputs, alone, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert right == [True] * 120

    @pytest.mark.parametrize(
        ("rows", "shape"),
        [
            (3, (2, 90)),
            (3, (4, 90)),
            (3, (0, 90)),
            (3, (3, 89)),
            (3, (90, 3)),
            (3, (90,)),
            (3, (270,)),
            (1, (89,)),
            (1, (0,)),
            (1, (180,)),
            (300, (301, 90)),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("kind", ["real", "bytes"])
    def test_refuses_shapes_that_do_not_fit_and_still_predicts(
        self, backend, dtype, rng, kind, rows, shape
    ):
        engine, _ = self.engine(backend, dtype)
        predictor = engine.predictor(rows)
        x, _ = data(rng, [self.INPUTS, 5], rows, dtype)
        expected = predictor(x).copy()
        with pytest.raises(ValueError, match=r"expected .*, found"):
            predictor(np.zeros(shape, dtype if kind == "real" else np.uint8))
        assert np.array_equal(predictor(x), expected)

    def test_refuses_a_layout_that_it_cannot_read(self, backend, dtype):
        engine, _ = self.engine(backend, dtype)
        predictor = engine.predictor(3)
        for layout, change in REFUSED_LAYOUTS.items():
            x = change(np.ones((3, self.INPUTS), dtype))
            with refusal(ValueError, rf"expected|{UNREADABLE}", layout):
                predictor(x)

    def test_refuses_one_row_that_is_not_in_one_piece(self, backend, dtype):
        engine, _ = self.engine(backend, dtype)
        for kind in (dtype, np.uint8):
            with pytest.raises(ValueError, match="contiguous"):
                engine.predictor(1)(np.ones(2 * self.INPUTS, kind)[::2])

    @pytest.mark.parametrize("thing", [*NOT_ARRAYS.values(), [1.0] * 90], ids=str)
    @pytest.mark.parametrize("rows", [1, 2])
    def test_refuses_what_is_not_an_array(self, backend, dtype, rows, thing):
        engine, _ = self.engine(backend, dtype)
        with pytest.raises(TypeError, match="x: expected a NumPy array, found"):
            engine.predictor(rows)(thing)

    @pytest.mark.parametrize("rows", [0, -1, -(2**40)])
    def test_of_less_than_one_row_is_refused(self, backend, dtype, rows):
        engine, _ = self.engine(backend, dtype)
        with pytest.raises(ValueError, match=f"rows: expected .*1.*, found {rows}"):
            engine.predictor(rows)

    @pytest.mark.parametrize("rows", [1.5, "1", None])
    def test_of_rows_that_are_no_whole_number_is_refused(self, backend, dtype, rows):
        engine, _ = self.engine(backend, dtype)
        with pytest.raises(TypeError):
            engine.predictor(rows)

    def test_of_the_articles_rule_is_refused(self, backend, dtype):
        net = network([4, 5, 2], rule="article")
        engine = backend.engine(net, np.zeros(net.n_parameters(6), dtype))
        with pytest.raises(ValueError, match="the samples that it was fitted to alone"):
            engine.predictor(6)

    @pytest.mark.compiled
    def test_that_no_engine_has_made_is_refused(self, dtype):
        engine, _ = self.engine(backends.get("cython"), dtype)
        made_by_hand = type(engine.predictor(1))()
        with pytest.raises(TypeError, match=r"made by Engine\.predictor"):
            made_by_hand(np.zeros((1, self.INPUTS), dtype))
