"""Assertions by the table of tolerances, which the package holds: `cnn_core.tolerances`.

A result is judged against the same formula in a wider type: float32 against float64, float64
against `numpy.longdouble`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnn_core.tolerances import (
    ACTIVATION_ULPS,
    ARTICLE_RELATIVE,
    DROPOUT_ULPS,
    FINITE_DIFFERENCE,
    FUSED_STEP_ULPS,
    GRADIENT_EPS,
    KERAS_DIGITS,
    LOSS_EXP_EPS,
    LOSS_RELATIVE,
    MILLION_RELATIVE,
    NORMALIZATION_EPS,
    NORMALIZED_EPS,
    POINTWISE_ULPS,
    SOFTMAX_ULPS,
    STEP_EPS,
    SUM_SLACK,
    TRAJECTORY_EPS,
    UPDATE_EPS,
    activation_allowance,
)

__all__ = [
    "ACTIVATION_ULPS",
    "ARTICLE_RELATIVE",
    "DROPOUT_ULPS",
    "FINITE_DIFFERENCE",
    "FUSED_STEP_ULPS",
    "GRADIENT_EPS",
    "KERAS_DIGITS",
    "LOSS_EXP_EPS",
    "LOSS_RELATIVE",
    "MILLION_RELATIVE",
    "NORMALIZATION_EPS",
    "NORMALIZED_EPS",
    "POINTWISE_ULPS",
    "SOFTMAX_ULPS",
    "STEP_EPS",
    "SUM_SLACK",
    "TRAJECTORY_EPS",
    "UPDATE_EPS",
    "assert_activation_close",
    "assert_product_close",
    "assert_terms_close",
    "assert_ulps_close",
    "assert_within",
    "widened",
    "wider",
]


def wider(dtype: npt.DTypeLike) -> npt.DTypeLike:
    return np.float64 if np.dtype(dtype) == np.float32 else np.longdouble


def widened(array):
    return np.asarray(array, wider(array.dtype))


def assert_within(found, expected, allowed) -> None:
    """Assert that `found` is as far from `expected` as is allowed, and NaN or infinite with it."""
    assert found.shape == expected.shape
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    far = (found != expected) & ~np.isnan(expected)
    excess = np.abs(found[far] - expected[far]) - allowed[far]
    assert (excess <= 0).all(), f"beyond the tolerance by {excess.max()}"


def assert_product_close(found, left, right, start=0.0) -> None:
    """Assert `found` == start + left @ right within the rounding of sums of that length."""
    wide = wider(found.dtype)
    left, right = np.asarray(left, wide), np.asarray(right, wide)
    expected = left @ right + np.asarray(start, wide)
    magnitude = np.abs(left) @ np.abs(right) + np.abs(np.asarray(start, wide))
    terms = left.shape[1] + 2
    assert_within(found, expected, SUM_SLACK * terms * np.finfo(found.dtype).eps * magnitude)


def assert_ulps_close(found, expected, ulps: int) -> None:
    """Assert equality within `ulps` units in the last place, or of the least normal number."""
    info = np.finfo(found.dtype)
    # Infinities have to be equal, whatever is allowed.
    size = np.where(np.isinf(expected), 0, np.abs(expected))
    assert_within(found, expected, ulps * info.eps * np.maximum(size, info.tiny))


def assert_terms_close(found, expected, magnitude, summed: int) -> None:
    """Assert equality within a few roundings of terms of that magnitude, `summed` of them added."""
    eps = np.finfo(found.dtype).eps
    assert_within(found, expected, (POINTWISE_ULPS + summed - 1) * eps * magnitude)


def assert_activation_close(activation, backend, found, expected, z) -> None:
    """Assert that `found` is `expected`, the exact value at `z`, as near as ACTIVATION_ULPS allows.

    What is beyond the largest number of the dtype has to be infinite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        z, expected = (
            np.float64(z),
            np.where(expected > np.finfo(found.dtype).max, np.inf, expected),
        )
    assert_within(
        found, expected, activation_allowance(activation, expected, z, found.dtype, backend)
    )
