"""Arrays that have broken other people's code, for every test that takes arrays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from cnn_core.network import Huber, Pinball
from cnn_core.optimizers import SGD, Adam, Lion, Nadam, RMSprop, Rprop

# (rows, fan_in, fan_out): empty, single, off every tile's edges, one panel, several, a long sum; a
# sample whose weights are brought together first, and one for which they lie too far apart.
DENSE_SHAPES = [
    (0, 3, 4),
    (3, 0, 4),
    (3, 4, 0),
    (1, 1, 1),
    (1, 784, 128),
    (2, 5, 16),
    (7, 3, 17),
    (13, 128, 64),
    (5, 129, 65),
    (11, 257, 130),
    (33, 784, 10),
    (97, 100, 100),
    (3, 20_011, 9),
    (2003, 6, 5),
    (1, 300, 250),
    (1, 140, 1100),
]

# Every loss, and what its settings change.
LOSSES = [
    "squared_error",
    "absolute_error",
    Huber(0.3),
    Huber(1e6),
    Pinball(0.8),
    "poisson",
    "binary_cross_entropy",
    "cross_entropy",
]

# The activation of a last layer with each loss that it goes with.
HEADS = [
    ("identity", "squared_error"),
    ("sigmoid", "squared_error"),
    ("tanh", "squared_error"),
    ("relu", "squared_error"),
    ("softmax", "squared_error"),
    ("gelu", "squared_error"),
    ("identity", "absolute_error"),
    ("tanh", Huber(0.3)),
    ("silu", Pinball(0.8)),
    ("exp", "poisson"),
    ("sigmoid", "binary_cross_entropy"),
    ("softmax", "cross_entropy"),
]

# Every way of an update whose steps move with the gradient; why this epsilon, see TRAJECTORY_EPS.
OPTIMIZERS = [
    SGD(),
    SGD(momentum=0.9),
    SGD(momentum=0.9, nesterov=True),
    Adam(epsilon=0.01),
    Adam(beta_1=0.8, beta_2=0.99, epsilon=0.01, weight_decay=0.1),
    RMSprop(epsilon=0.1),
    RMSprop(rho=0.9, momentum=0.8, epsilon=0.1),
    Nadam(epsilon=0.01),
]
# Those that look at a gradient's sign alone: the rounding of one that is all but 0 can turn a step.
SIGN_OPTIMIZERS = [
    Lion(),
    Lion(beta_1=0.8, beta_2=0.95, weight_decay=0.1),
    Rprop(),
    Rprop(decrease=0.7, increase=1.1, least_step=0.005, largest_step=0.02),
]

# Two-dimensional layouts of the right values that a kernel has to refuse, not to misread.
REFUSED_LAYOUTS = {
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "strided rows": lambda a: np.repeat(a, 2, axis=0)[::2],
    "strided columns": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "negative strides": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "other float": lambda a: a.astype(np.float64 if a.dtype == np.float32 else np.float32),
    "float16": lambda a: a.astype(np.float16),
    "long double": lambda a: a.astype(np.longdouble),
    "integers": lambda a: np.ones(a.shape, np.int64),
    "objects": lambda a: a.astype(object),
    "complex": lambda a: a.astype(np.complex128),
    "one dimension": lambda a: a.ravel(),
    "three dimensions": lambda a: a[np.newaxis],
    "no dimension": lambda a: np.array(a[0, 0]),
}

# The same for one dimension.
REFUSED_VECTORS = {
    "strided": lambda a: np.repeat(a, 2)[::2],
    "negative strides": lambda a: a[::-1].copy()[::-1],
    "two dimensions": lambda a: a[np.newaxis],
    **{
        name: REFUSED_LAYOUTS[name]
        for name in (
            "byte-swapped",
            "other float",
            "float16",
            "long double",
            "integers",
            "objects",
            "complex",
        )
    },
    "no dimension": lambda a: np.array(a[0]),
}

NOT_ARRAYS = {"a list": [[1.0, 2.0]], "None": None, "a number": 1.0, "text": "1 2"}


def special_values(dtype: npt.DTypeLike) -> np.ndarray:
    """Zeros of both signs, subnormals, the ends of the range, infinities, NaN, saturation."""
    info = np.finfo(dtype)
    values = [0.0, info.tiny, float(info.smallest_subnormal), info.max, np.inf, 0.5, 1.0, 17.0]
    values += [88.0, 89.0, 103.9, 104.1, 500.0, 709.0, 710.0, 745.0, 746.0, 1e4, 1e30]
    with np.errstate(over="ignore"):
        both = np.array([*values, *(-v for v in values), np.nan], dtype=dtype)
    return both.reshape(1, -1)


def copies_that_users_pass(x: npt.NDArray[np.float64]) -> Iterator[tuple[str, npt.ArrayLike]]:
    """The same numbers in every form that the edge accepts; `x` holds small whole numbers."""
    yield "float64", x
    yield "float32", x.astype(np.float32)
    yield "float16", x.astype(np.float16)
    yield "long double", x.astype(np.longdouble)
    yield "int64", x.astype(np.int64)
    yield "int8", x.astype(np.int8)
    yield "uint8", np.abs(x).astype(np.uint8) if (x >= 0).all() else x
    yield "byte-swapped", x.astype(x.dtype.newbyteorder())
    yield "Fortran order", np.asfortranarray(x)
    yield "strided", np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3]
    yield "negative strides", x[::-1, ::-1].copy()[::-1, ::-1]
    read_only = x.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    yield "broadcast", np.broadcast_to(x, (2, *x.shape))[1]
    yield "list of lists", x.tolist()
    yield "tuple of arrays", tuple(x)
    yield "matrix-like subclass", x.view(type("Sub", (np.ndarray,), {}))
