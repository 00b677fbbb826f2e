"""Random numbers and dropout are the same on every backend, and known answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnn_core import backends
from kernel_calls import LENGTHS, normal, unset
from tolerances import DROPOUT_ULPS, assert_ulps_close, widened

pytestmark = pytest.mark.covering


class TestRandomBits:
    # The known answers of Random123, from its tests/kat_vectors.
    @pytest.mark.parametrize(
        ("key", "counter", "answer"),
        [
            (
                0,
                (0, 0, 0, 0),
                [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8],
            ),
            (
                0xFFFFFFFF_FFFFFFFF,
                (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
                [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
            ),
            (
                0x299F31D0_A4093822,
                (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
                [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
            ),
        ],
        ids=["zeros", "ones", "pi"],
    )
    def test_known_answers(self, kernels, key, counter, answer):
        out = np.zeros(4, np.uint32)
        kernels.random_bits(key, counter, out)
        assert out.tolist() == answer

    @pytest.mark.parametrize("size", [*LENGTHS, 5, 6, 7, 8])
    def test_the_first_word_counts_on_from_block_to_block(self, kernels, size):
        key, counter = 0x0123456789ABCDEF, (5, 6, 7, 8)
        out = np.zeros(size, np.uint32)
        kernels.random_bits(key, counter, out)
        blocks = []
        for block in range(-(-size // 4)):
            blocks.append(np.zeros(4, np.uint32))
            kernels.random_bits(key, (5 + block, 6, 7, 8), blocks[-1])
        expected = np.concatenate(blocks)[:size] if blocks else out
        assert np.array_equal(out, expected)

    def test_the_first_word_counts_on_without_a_carry(self, kernels):
        out, after = np.zeros(8, np.uint32), np.zeros(4, np.uint32)
        kernels.random_bits(9, (2**32 - 1, 6, 7, 8), out)
        kernels.random_bits(9, (0, 6, 7, 8), after)
        assert np.array_equal(out[4:], after)

    def test_every_word_of_counter_and_key_matters(self, kernels):
        drawn = set()
        keys = (0, 1, 1 << 31, 1 << 32, 1 << 63)
        counters = [(0, 0, 0, 0), *np.eye(4, dtype=int).tolist()]
        for key, counter in itertools.product(keys, counters):
            out = np.zeros(4, np.uint32)
            kernels.random_bits(key, tuple(counter), out)
            drawn.add(tuple(out.tolist()))
        assert len(drawn) == len(keys) * len(counters)

    def test_every_bit_is_set_half_the_time(self, kernels):
        out = np.zeros(40_000, np.uint32)
        kernels.random_bits(3, (0, 0, 0, 0), out)
        shares = [(out >> np.uint32(bit) & np.uint32(1)).mean() for bit in range(32)]
        # Five standard deviations.
        assert max(abs(share - 0.5) for share in shares) < 5 * 0.5 / 200

    @pytest.mark.parametrize("key", [-1, 2**64])
    def test_refuses_a_key_beyond_64_bits(self, kernels, key):
        with pytest.raises(ValueError, match="key"):
            kernels.random_bits(key, (0, 0, 0, 0), np.zeros(4, np.uint32))

    @pytest.mark.parametrize("counter", [(0, 0, 0, -1), (2**32, 0, 0, 0), (0, 0, 0), (0,) * 5])
    def test_refuses_a_counter_that_is_not_four_words(self, kernels, counter):
        with pytest.raises(ValueError, match="counter"):
            kernels.random_bits(0, counter, np.zeros(4, np.uint32))


class TestDropout:
    def kept(self, kernels, rate, key, step, layer, shape):
        """Which units the contract keeps, from `random_bits` row by row."""
        rows, units = shape
        kept = np.empty(shape, bool)
        bits = np.zeros(units, np.uint32)
        for row in range(rows):
            kernels.random_bits(key, (0, row, layer, step), bits)
            kept[row] = bits.astype(np.int64) >= round(rate * 2**32)
        return kept

    # The longest ones take several goes at their numbers.
    @pytest.mark.parametrize(
        "shape", [(1, 1), (3, 7), (5, 64), (2, 131), (70, 10), (3, 257), (2, 700)], ids=str
    )
    @pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
    def test_keeps_what_the_contract_keeps_and_scales_it(self, kernels, dtype, rng, shape, rate):
        a, out = normal(rng, shape, dtype), unset(shape, dtype)
        kernels.dropout(rate, 2**40 + 5, 3, 2, a, out)
        kept = self.kept(kernels, rate, 2**40 + 5, 3, 2, shape)
        assert (out[~kept] == 0).all()
        assert_ulps_close(out[kept], widened(a[kept]) / (1 - rate), DROPOUT_ULPS)

    def test_a_number_that_equals_the_threshold_is_kept(self, kernels, dtype):
        bits, ones = np.zeros(40, np.uint32), np.ones((1, 40), dtype)
        kernels.random_bits(1, (0, 0, 3, 2), bits)
        for unit in (0, 17, 39):
            out = unset(ones.shape, dtype)
            kernels.dropout(int(bits[unit]) / 2**32, 1, 2, 3, ones, out)
            assert out[0, unit] != 0
            kernels.dropout((int(bits[unit]) + 1) / 2**32, 1, 2, 3, ones, out)
            assert out[0, unit] == 0

    def test_the_share_that_is_kept_is_one_minus_the_rate(self, kernels, dtype):
        ones = np.ones((200, 500), dtype)
        for rate in (0.05, 0.3, 0.5, 0.9):
            out = unset(ones.shape, dtype)
            kernels.dropout(rate, 1, 0, 0, ones, out)
            deviation = (rate * (1 - rate) / ones.size) ** 0.5
            assert (out != 0).mean() == pytest.approx(1 - rate, abs=5 * deviation)

    def test_every_key_step_layer_and_row_has_its_own_mask(self, kernels, dtype):
        ones = np.ones((2, 64), dtype)
        masks = set()
        settings = [(0, 0, 0), (1, 0, 0), (1 << 32, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)]
        for key, step, layer in settings:
            out = unset(ones.shape, dtype)
            kernels.dropout(0.5, key, step, layer, ones, out)
            masks.update(tuple(row.tolist()) for row in out)
        assert len(masks) == 2 * len(settings)

    def test_the_mask_of_a_row_is_the_same_in_a_batch_of_another_size(self, kernels, dtype, rng):
        a = normal(rng, (9, 33), dtype)
        whole, part = unset(a.shape, dtype), unset((4, 33), dtype)
        kernels.dropout(0.4, 7, 8, 9, a, whole)
        kernels.dropout(0.4, 7, 8, 9, a[:4].copy(), part)
        assert np.array_equal(whole[:4], part)

    @pytest.mark.parametrize("size", LENGTHS)
    def test_works_in_place_at_every_length(self, kernels, dtype, rng, size):
        a = normal(rng, (3, size), dtype)
        apart = unset(a.shape, dtype)
        kernels.dropout(0.5, 1, 2, 3, a, apart)
        kernels.dropout(0.5, 1, 2, 3, a, a)
        assert not np.isnan(apart).any()
        assert np.array_equal(apart, a)

    @pytest.mark.parametrize("rate", [0.0, 2.0**-40])
    def test_a_rate_of_nothing_keeps_every_bit(self, kernels, dtype, rng, rate):
        a = normal(rng, (4, 21), dtype)
        out = unset(a.shape, dtype)
        kernels.dropout(rate, 1, 2, 3, a, out)
        assert_ulps_close(out, widened(a) / (1 - rate), DROPOUT_ULPS if rate else 0)

    def test_the_highest_rate_keeps_nothing(self, kernels, dtype):
        out = unset((4, 21), dtype)
        kernels.dropout(1 - 2.0**-53, 1, 2, 3, np.ones((4, 21), dtype), out)
        assert (out == 0).all()

    def test_dropped_values_are_zero_even_if_not_finite(self, kernels, dtype):
        kept = self.kept(kernels, 0.5, 1, 2, 3, (4, 21))
        for value in (np.nan, np.inf, -np.inf):
            out = unset(kept.shape, dtype)
            kernels.dropout(0.5, 1, 2, 3, np.full(kept.shape, value, dtype), out)
            assert (out[~kept] == 0).all()
            assert not np.isfinite(out[kept]).any()

    def test_step_and_layer_count_modulo_two_to_the_32(self, kernels, dtype):
        ones = np.ones((2, 40), dtype)
        first, second = unset(ones.shape, dtype), unset(ones.shape, dtype)
        kernels.dropout(0.5, 1, 2, 3, ones, first)
        kernels.dropout(0.5, 1, 2 + 2**32, 3 + 2**32, ones, second)
        assert np.array_equal(first, second)

    @pytest.mark.parametrize("shape", [(0, 3), (3, 0)], ids=str)
    def test_empty_arrays_are_accepted(self, kernels, dtype, shape):
        nothing = np.empty(shape, dtype)
        kernels.dropout(0.5, 1, 2, 3, nothing, nothing)
        assert nothing.shape == shape

    @pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
    def test_refuses_a_rate_that_is_no_share(self, kernels, dtype, rate):
        a = np.ones((2, 2), dtype)
        with pytest.raises(ValueError, match="rate"):
            kernels.dropout(rate, 1, 2, 3, a, a)

    @pytest.mark.parametrize("key", [-1, 2**64])
    def test_refuses_a_key_beyond_64_bits(self, kernels, dtype, key):
        a = np.ones((2, 2), dtype)
        with pytest.raises(ValueError, match="key"):
            kernels.dropout(0.5, key, 2, 3, a, a)

    @pytest.mark.compiled
    def test_both_backends_keep_the_same(self, dtype):
        ones = np.ones((65, 131), dtype)
        masks = []
        for name in ("cython", "numpy"):
            out = unset(ones.shape, dtype)
            backends.get(name).kernels(dtype).dropout(0.3, 2**63 + 1, 2**32 - 1, 999, ones, out)
            masks.append(out != 0)
        assert np.array_equal(*masks)
