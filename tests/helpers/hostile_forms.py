"""Arrays in every form that a caller may pass: dtypes, layouts, containers, and what is spoilt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

F32 = np.float32


class Sub(np.ndarray):
    """A subclass that changes nothing."""


class HasArray:
    """What is an array only for those who ask for one, as data frames are."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> npt.NDArray[Any]:
        return self.values if dtype is None else self.values.astype(dtype)


def read_only(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array = a.copy()
    array.flags.writeable = False
    return array


def unaligned(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array = np.frombuffer(bytearray(a.nbytes + 1), a.dtype, offset=1).reshape(a.shape)
    array[...] = a
    assert not array.flags.aligned
    return array


def with_last(value: float) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    def make(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
        array = a.astype(np.float64)
        array.flat[-1] = value
        return array

    return make


def nan_of_the_same_dtype(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array = a.astype(F32)
    array.flat[-1] = np.nan
    return array


def sparse(a: npt.NDArray[Any]) -> Any:
    return pytest.importorskip("scipy.sparse").csr_matrix(a.reshape(len(a), -1))


def mapped(a: npt.NDArray[Any], folder: Path) -> npt.NDArray[Any]:
    np.save(folder / "a.npy", a)
    return np.load(folder / "a.npy", mmap_mode="r")


# The values of a clean array, 0 and 1, in other dtypes.
SIGNED = {f"int{bits}": f"int{bits}" for bits in (8, 16, 32, 64)}
UNSIGNED = {f"uint{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)}
WHOLE = {
    **SIGNED,
    **UNSIGNED,
    "bool": "bool",
    "big-endian int32": ">i4",
    "big-endian uint16": ">u2",
}
FLOATS = {
    "float16": "float16",
    "float32": "float32",
    "float64": "float64",
    "long double": "longdouble",
    "big-endian float32": ">f4",
    "big-endian float64": ">f8",
}
NO_NUMBERS = {
    "complex64": "complex64",
    "complex128": "complex128",
    "text": "U3",
    "byte strings": "S3",
    "object": "object",
}

# The clean array itself, as it lies in memory or as what it is dressed up.
LIKE_CLEAN: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    "read-only": read_only,
    "subclass": lambda a: a.view(Sub),
}
LAYOUTS: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    "strided": lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=-1)[
        (slice(None, None, 2), slice(None, None, 3)) if a.ndim > 1 else slice(None, None, 6)
    ],
    "negative strides": lambda a: np.flip(np.flip(a).copy()),
    "unaligned": unaligned,
}
NOT_QUITE_ARRAYS: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    "lists": lambda a: a.tolist(),
    "tuple of rows": tuple,
    "something with __array__": HasArray,
}
SPOILT: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    "no dimension": lambda a: np.array(a.flat[0]),
    "a dimension more": lambda a: a[np.newaxis],
    "three dimensions": lambda a: a.reshape(*a.shape, *[1] * (3 - a.ndim)),
    "twice as wide": lambda a: np.concatenate([a, a], axis=-1),
    "zero-width": lambda a: a[..., :0],
    "complex64": lambda a: a.astype(np.complex64),
    "complex128": lambda a: a.astype(np.complex128),
    "dates": lambda a: a.astype(np.int64).astype("M8[D]"),
    "spans of time": lambda a: a.astype(np.int64).astype("m8[s]"),
    "records": lambda a: np.zeros(a.shape, [("a", F32), ("b", F32)]),
    "nan": with_last(np.nan),
    "infinity": with_last(np.inf),
    "minus infinity": with_last(-np.inf),
    "too large for float32": with_last(1e300),
    "masked": lambda a: np.ma.array(a, mask=np.arange(a.size).reshape(a.shape) == 1),
    "masked nowhere": np.ma.array,
    "ragged lists": lambda a: [[1.0, 0.0], [1.0]],
    "words": lambda a: np.full(a.shape, "red"),
    "objects of all kinds": lambda a: np.array([None, {}, *[1] * (a.size - 2)], object).reshape(
        a.shape
    ),
    "None": lambda a: None,
    "a dict": lambda a: {"a": 1},
    "text alone": lambda a: "hostile",
    "nan of the same dtype": nan_of_the_same_dtype,
}
FORMS: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    **{
        form: lambda a, dtype=dtype: a.astype(dtype)
        for form, dtype in {**WHOLE, **FLOATS, **NO_NUMBERS}.items()
    },
    **LIKE_CLEAN,
    **LAYOUTS,
    **NOT_QUITE_ARRAYS,
    **SPOILT,
    "Fortran order": np.asfortranarray,
    "matrix": lambda a: np.asmatrix(a),
    "sparse": sparse,
    "no rows": lambda a: a[:0],
    "mapped from a file": lambda a: a,
}

KEPT = {*LIKE_CLEAN, "mapped from a file"}
CONVERTED = {
    *WHOLE,
    *FLOATS,
    *KEPT,
    *LAYOUTS,
    *NOT_QUITE_ARRAYS,
    "Fortran order",
    "object",
}
TEXT = {"text", "byte strings"}
# An estimator's samples: also what stands for numbers, as scikit-learn has it.
TABLE = {*CONVERTED, *TEXT, "matrix", "sparse"}
LABELS = {*WHOLE, *KEPT, *LAYOUTS, *NOT_QUITE_ARRAYS, "Fortran order", "object"}

SAMPLES = (np.arange(24).reshape(6, 4) % 5 % 2).astype(F32)
TARGETS = (np.arange(18).reshape(6, 3) % 5 % 2).astype(F32)
CLASSES = np.array([0, 1, 1, 0, 1, 0])
WEIGHTS = np.array([1, 0, 1, 1, 1, 1], F32)


ANY_LENGTH = frozenset({"no rows", "zero-width", "twice as wide"})
