"""The one table of tolerances, with the reason for each.

A result is judged against the same formula in a wider type: float32 against float64, float64
against `numpy.longdouble`. A tolerance relative to the result would break where terms cancel, so a
sum is allowed an error in proportion to the sum of its terms' magnitudes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# A sum of K terms, each a rounded product, in any order: error <= (K + 1) * eps * sum |terms| up to
# second order (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1); the bias
# is one term more.
SUM_SLACK = 2

# A sigmoid is an exp, an addition and a division, half a unit in the last place for each of the
# latter. Our exp is within 1 unit; NumPy's in float32 within 2.52, by its own documentation.
SIGMOID_ULPS = {"cython": 2, "numpy": 4}

# A product of three factors and a difference: one rounding each.
POINTWISE_ULPS = 4

# Whole training runs: rounding differences of each step are carried on and grow with the steps;
# the networks and steps of test_engine.py came to at most 11 eps on three ISA levels, and about ten
# times that is allowed.
TRAJECTORY_EPS = 100

# Central differences in float64 with a step of 1e-5: truncation about 1e-10, rounding about 1e-11.
FINITE_DIFFERENCE = 1e-8

# The article's transcription takes its sums in another order and clips at 500.
ARTICLE_RELATIVE = 1e-9


def wider(dtype: npt.DTypeLike) -> npt.DTypeLike:
    return np.float64 if np.dtype(dtype) == np.float32 else np.longdouble


def assert_product_close(found, left, right, start=0.0) -> None:
    """Assert `found` == start + left @ right within the rounding of sums of that length."""
    wide = wider(found.dtype)
    left, right = np.asarray(left, wide), np.asarray(right, wide)
    expected = left @ right + np.asarray(start, wide)
    magnitude = np.abs(left) @ np.abs(right) + np.abs(np.asarray(start, wide))
    terms = left.shape[1] + 2
    allowed = SUM_SLACK * terms * np.finfo(found.dtype).eps * magnitude
    assert found.shape == expected.shape
    excess = np.abs(found - expected) - allowed
    assert (excess <= 0).all(), f"beyond the tolerance by {excess.max()}"


def assert_ulps_close(found, expected, ulps: int) -> None:
    """Assert equality within `ulps` units in the last place, or of the least normal number."""
    info = np.finfo(found.dtype)
    allowed = ulps * info.eps * np.maximum(np.abs(expected), info.tiny)
    assert found.shape == expected.shape
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    difference = np.abs(found - expected)[~np.isnan(found)]
    assert (difference <= allowed[~np.isnan(found)]).all(), f"off by up to {difference.max()}"
