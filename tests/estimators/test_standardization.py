"""Scaling features to mean 0 and deviation 1: a column that never changes stays harmless."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.cli.scaling import Scaling
from cnn_core.estimators.scoring import r2
from cnn_core.standardization import offset_and_scale


@pytest.mark.parametrize("value", [14.62, 0.1, -1e300, 1e-300, 5e-324, 0.0, 1e17, 1 / 3])
@pytest.mark.parametrize("samples", [1, 3, 400, 10_001])
def test_a_constant_column_becomes_0_and_has_the_scale_1(value: float, samples: int) -> None:
    offset, scale = offset_and_scale(np.full((samples, 2), value))
    assert offset.tolist() == [value, value]
    assert scale.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_column_that_differs_by_rounding_alone_is_constant(dtype: type) -> None:
    third = dtype(0.3)
    column = np.array([third, np.nextafter(third, dtype(1)), np.nextafter(third, dtype(0))])
    _, scale = offset_and_scale(np.repeat(column, 50).reshape(-1, 1))
    assert scale.tolist() == [1.0]


def test_small_differences_of_large_values_are_no_rounding() -> None:
    seconds = 1.7e9 + np.arange(1000) / 1000
    whole = 2**40 + np.arange(1000)
    for column in (seconds, whole, (1e6 + seconds % 1).astype(np.float32)):
        _, scale = offset_and_scale(column.reshape(-1, 1))
        assert scale[0] == pytest.approx(column.astype(np.longdouble).std(), rel=1e-6)


def test_any_finite_values_are_standardized() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 4)) * [1, 1e200, 1e-200, 1e307] + [5, 0, 0, 0]
    offset, scale = offset_and_scale(rows)
    standardized = (rows - offset) / scale
    np.testing.assert_allclose(standardized.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(standardized.std(axis=0), 1, rtol=1e-12)
    largest = np.finfo(float).max
    offset, scale = offset_and_scale(np.array([[-largest], [largest]]))
    assert (offset[0], scale[0]) == (0, largest)


def test_bytes_and_whole_numbers_are_standardized_as_the_numbers_that_they_are() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (300, 5), np.uint8)
    for dtype in (np.uint8, np.int64, np.uint64, np.float32):
        offset, scale = offset_and_scale(rows.astype(dtype))
        np.testing.assert_allclose(offset, rows.mean(axis=0), rtol=1e-14)
        np.testing.assert_allclose(scale, rows.std(axis=0), rtol=1e-12)


def test_the_command_line_scales_a_constant_column_by_1() -> None:
    rows = np.column_stack([np.full(400, 14.62), np.linspace(-3, 5, 400)])
    scaling = Scaling.fixed_on(rows)
    assert scaling.scale[0] == 1
    changed = scaling.apply(np.array([[14.63, 0.0]]), np.float64)
    assert changed[0, 0] == pytest.approx(0.01)


def test_the_score_of_constant_targets_is_0_unless_they_are_met() -> None:
    y = np.full(400, 14.62)
    assert r2(y, y + 0.5) == 0
    assert r2(y, y) == 1
    assert r2(np.append(y, 99.0), np.append(y, 0.0) + 0.5, np.append(np.ones(400), 0.0)) == 0
