"""The one table of tolerances, with the reason for each.

How far a result may be from the same formula in a wider type: float32 from float64, float64 from
`numpy.longdouble`. The difference of two backends is allowed twice as much. A tolerance relative to
the result would break where terms cancel, so a sum is allowed an error in proportion to the sum of
its terms' magnitudes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnn_core.network import Activation, FloatArray

# A sum of K terms, each a rounded product, in any order: error <= (K + 1) * eps * sum |terms| up to
# second order (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1); the bias
# is one term more.
SUM_SLACK = 2

# A sigmoid is an exp, an addition and a division, half a unit in the last place for each of the
# latter. Our exp is within 1 unit; NumPy's in float32 within 2.52, by its own documentation, and
# its tanh within 4. The exponential lines are exp(z) - 1 by a series of their own near 0, times a
# rounded constant; a softplus is the logarithm of 1 plus an exp, by a quotient and a polynomial.
ACTIVATION_ULPS = {
    "identity": {"cython": 0, "numpy": 0},
    "sigmoid": {"cython": 2, "numpy": 4},
    "tanh": {"cython": 4, "numpy": 4},
    "relu": {"cython": 0, "numpy": 0},
    "leaky_relu": {"cython": 2, "numpy": 2},
    "elu": {"cython": 3, "numpy": 3},
    "selu": {"cython": 5, "numpy": 5},
    "gelu": {"cython": 4, "numpy": 6},
    "silu": {"cython": 4, "numpy": 6},
    "softplus": {"cython": 3, "numpy": 4},
    "exp": {"cython": 2, "numpy": 3},
}
# The exponent of gelu's sigmoid comes from five roundings, and an exp multiplies them by its size.
GELU_EXPONENT_ULPS = 3
# Where a sigmoid is below the least normal number it is rounded to a multiple of the least of all,
# which silu and gelu multiply by z; beyond this z it is 0.
LAST_Z = 1000

# The same exp, above and below; a difference z - max, whose rounding an exp multiplies by its size,
# and the rounding of a sum come in addition, in proportion to that difference and to the units.
SOFTMAX_ULPS = 8

# A product of three factors and a difference: one rounding each.
POINTWISE_ULPS = 4

# A constant that is rounded to the dtype, and a product or quotient.
DROPOUT_ULPS = 2

# Sums in float64 of at most a few hundred terms that are not negative, each from a few operations.
LOSS_RELATIVE = 1e-13
# The terms of the cross-entropies hold an exp in the arrays' dtype: within 1 unit, and its
# argument, a difference of two numbers, is rounded once.
LOSS_EXP_EPS = 4

# A sum of a million such terms, one after the other in float64: half an eps for each.
MILLION_RELATIVE = 1.2e-10

# Sums of up to 300 terms of about 1, in float32 one after the other, and what a spread of up to
# 316, one over the root of `EPSILON`, makes of their rounding: at most 50 eps on three ISA levels.
NORMALIZATION_EPS = 200

# Parameters of about 1 after six steps of an update: at most ten roundings each, constants
# included, of values below 5.
UPDATE_EPS = 50

# What Keras prints of its values, four digits, and what its own tests allow.
KERAS_DIGITS = 5e-4

# Whole training runs: rounding differences of each step are carried on and grow with the steps;
# the networks and steps of test_engine.py came to at most 13 eps on three ISA levels, and about
# eight times that is allowed. Two things would blow a difference of one rounding up, and are kept
# out. Adam divides by sqrt(v), which magnifies the rounding of a gradient that stays all but 0 up
# to the whole length of a step, unless epsilon is far above that rounding: 0.01 in place of 1e-8,
# 0.1 for RMSprop, whose v is not corrected and so ten times nearer to 0 in its root at first (both
# defaults are tested against formula and autograd). A ReLU whose pre-activation is all but 0 lets
# the gradient through in one backend and stops it in the other: data and parameters are made so
# that none comes near 0.
TRAJECTORY_EPS = 100

# The same with normalization, where a spread magnifies the rounding of sums by how far they are
# above their own deviation: at most 60 eps on three ISA levels.
NORMALIZED_EPS = 500

# One step of a small network: its longest sum has 30 terms of about 1.
STEP_EPS = 100

# A step that is taken while the gradient is summed skips at most its rounding, and that of its
# product with the rate: one eps of each of the two terms, and one of the result.
FUSED_STEP_ULPS = 2

# A gradient from float64's of the same batch, relative to the largest value of the same weights or
# bias. The sums of test_fast_*.py have up to 2,100 terms, added in parts or in one go, and
# those below them up to 1,201: at most 22 eps on three ISA levels, and the reference is no better.
GRADIENT_EPS = 100

# Central differences in float64 with a step of 1e-5: truncation about 1e-10, rounding about 1e-11.
# Whole networks take 1e-6, with ten times the rounding and a hundredth of the truncation: samples
# that are nearly alike are normalized along a sharp curve.
FINITE_DIFFERENCE = 1e-8

# The article's transcription takes its sums in another order and clips at 500.
ARTICLE_RELATIVE = 1e-9


def activation_allowance(
    activation: Activation,
    expected: npt.ArrayLike,
    z: npt.ArrayLike,
    dtype: npt.DTypeLike,
    *computed_by: str,
) -> FloatArray:
    """Return the largest allowed error of an activation from `expected`, its value at `z`.

    Parameters
    ----------
    activation : str
    expected, z : arrays of one shape
    dtype : float32 or float64
        In which it was computed.
    *computed_by : str
        Names of the backends: of one against the exact value, of two against each other.

    Returns
    -------
    array
        At least 0, in the units of the activation.
    """
    info = np.finfo(np.dtype(dtype))
    expected, z = np.abs(expected), np.asarray(z, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.maximum(np.where(np.isinf(expected), 0, expected), info.tiny)
        if activation == "softmax":
            distance = z.max(axis=1, keepdims=True) - z
            ulps = len(computed_by) * (distance + z.shape[1] + SOFTMAX_ULPS)
        else:
            ulps = sum(ACTIVATION_ULPS[activation][name] for name in computed_by) * np.ones(z.shape)
        if activation == "gelu":
            exponent = np.minimum(1.6 * np.abs(z + 0.045 * z**3), LAST_Z)
            ulps += len(computed_by) * GELU_EXPONENT_ULPS * exponent
        allowed = ulps * float(info.eps) * size
        if activation in ("gelu", "silu"):
            allowed += len(computed_by) * np.minimum(np.abs(z), LAST_Z) * info.smallest_subnormal
    allowance: FloatArray = np.where(np.isnan(allowed), 0, allowed)
    return allowance
