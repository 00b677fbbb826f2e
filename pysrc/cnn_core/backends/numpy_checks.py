"""What the reference takes: just what the compiled backend takes, and nothing is converted."""

from __future__ import annotations

import numpy as np

from cnn_core.network import FloatArray, IndexArray


def require(
    argument: str,
    array: FloatArray,
    shape: tuple[int, ...] | None,
    like: FloatArray,
    *,
    written: bool = False,
) -> None:
    """Refuse what a typed memoryview of the compiled kernels would refuse, and wrong shapes.

    Parameters
    ----------
    argument : str
        What an error calls the array.
    array : numpy.ndarray
    shape : tuple of int or None
        None stands for any matrix.
    like : numpy.ndarray
        The array whose dtype it has to have.
    written : bool
        Whether it has to be writeable.

    Raises
    ------
    TypeError
        If it is not an array.
    ValueError
        For another dtype, byte order, rank, shape or layout, or if it is read-only.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{argument}: expected a NumPy array, found {type(array).__name__}")
    if array.dtype not in (np.float32, np.float64) or not array.dtype.isnative:
        raise ValueError(
            f"{argument}: expected the dtype float32 or float64 in native byte order, "
            f"found {array.dtype}"
        )
    if array.dtype != like.dtype:
        raise ValueError(
            f"{argument}: expected the dtype {like.dtype} like the first, found {array.dtype}"
        )
    if array.ndim != (2 if shape is None else len(shape)):
        expected = 2 if shape is None else len(shape)
        raise ValueError(f"{argument}: expected {expected} dimensions, found {array.ndim}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{argument}: expected the shape {shape}, found {array.shape}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{argument}: expected a C-contiguous array, found {array.strides=}")
    if written and not array.flags.writeable:
        raise ValueError(f"{argument}: expected a writeable array, found a read-only one")


def require_indices(argument: str, array: IndexArray) -> None:
    """Refuse anything but a vector of native whole numbers of the size of a pointer.

    Parameters
    ----------
    argument : str
        What an error calls the array.
    array : numpy.ndarray

    Raises
    ------
    TypeError
        If it is not an array.
    ValueError
        For another dtype or rank.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{argument}: expected a NumPy array, found {type(array).__name__}")
    if array.dtype != np.intp or array.ndim != 1 or not array.flags.c_contiguous:
        raise ValueError(
            f"{argument}: expected the dtype intp, one dimension, C-contiguous, "
            f"found {array.dtype}, {array.ndim} dimensions"
        )
