"""Checks of arguments: as strict as the compiled backend, without conversions."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.losses import LOSSES, Loss, Pinball
from cnn_core.optimizers import OPTIMIZERS, Optimizer
from cnn_core.sparse import Samples, SparseRows, require_sparse_rows
from cnn_core.types import FloatArray


def require(
    argument: str,
    array: FloatArray,
    shape: tuple[int | None, ...],
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
        None stands for any number.
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
    _require_array(argument, array)
    _require_real(argument, array, like)
    _require_layout(argument, array, shape)
    if written:
        _require_writeable(argument, array)


def require_rows(
    argument: str, array: FloatArray, shape: tuple[int, int], like: FloatArray
) -> None:
    """Refuse what `require` refuses of an array that is written, but let its rows lie apart."""
    _require_array(argument, array)
    _require_real(argument, array, like)
    _require_shape(argument, array, shape)
    for row in array:
        _require_layout(argument, row, shape[1:])
    _require_writeable(argument, array)


def require_samples(argument: str, array: Samples, n_inputs: int, like: FloatArray) -> None:
    """Refuse anything but samples of `n_inputs` values each, bytes or of the dtype of `like`.

    Parameters
    ----------
    argument : str
        What an error calls the array.
    array : numpy.ndarray
    n_inputs : int
    like : numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        As `require` does.
    """
    if isinstance(array, SparseRows):
        require_sparse_rows(array, n_inputs, like.dtype, argument)
        return
    _require_array(argument, array)
    if array.dtype != np.uint8:
        _require_real(argument, array, like)
    _require_layout(argument, array, (None, n_inputs))


def require_vector(
    argument: str, array: npt.NDArray[Any], dtype: npt.DTypeLike, *, written: bool = False
) -> None:
    """Refuse anything but a C-contiguous vector of `dtype`, which is no dtype of parameters.

    Parameters
    ----------
    argument : str
        What an error calls the array.
    array : numpy.ndarray
    dtype : data-type
    written : bool
        Whether it has to be writeable.

    Raises
    ------
    TypeError
        If it is not an array.
    ValueError
        For another dtype, byte order, rank or layout, or if it is read-only.
    """
    _require_array(argument, array)
    if array.dtype != dtype or array.ndim != 1 or not array.flags.c_contiguous:
        raise ValueError(
            f"{argument}: expected the dtype {np.dtype(dtype)}, one dimension, C-contiguous, "
            f"found {array.dtype}, {array.ndim} dimensions"
        )
    if written:
        _require_writeable(argument, array)


def require_loss(loss: Loss, n_outputs: int) -> None:
    """Refuse a loss that is not in the registry, or has another number of quantiles."""
    if (loss if isinstance(loss, str) else type(loss)) not in LOSSES:
        known = ", ".join(repr(key) if isinstance(key, str) else key.__name__ for key in LOSSES)
        raise ValueError(f"loss: expected {known}, found {loss!r}")
    if isinstance(loss, Pinball) and len(loss.quantiles(n_outputs)) != n_outputs:
        raise ValueError(f"loss: expected {n_outputs} quantiles, found {loss.quantile!r}")


def require_optimizer(optimizer: Optimizer) -> None:
    """Refuse an optimizer that is not in the registry."""
    if type(optimizer) not in OPTIMIZERS:
        known = ", ".join(kind.__name__ for kind in OPTIMIZERS)
        raise ValueError(f"optimizer: expected one of {known}, found {optimizer!r}")


def require_known(argument: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is not among `known`, with a ``ValueError``."""
    if name not in known:
        raise ValueError(f"{argument}: expected {', '.join(map(repr, known))}, found {name!r}")


def require_whole(argument: str, value: int, least: int, end: int) -> int:
    """Return `value` as an int.

    Raises
    ------
    TypeError
        If it is not a whole number.
    ValueError
        If it is not from `least` to below `end`.
    """
    number = operator.index(value)
    if not least <= number < end:
        raise ValueError(f"{argument}: expected {least} up to below {end}, found {number}")
    return number


def _require_array(argument: str, array: npt.NDArray[Any]) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{argument}: expected a NumPy array, found {type(array).__name__}")


def _require_writeable(argument: str, array: npt.NDArray[Any]) -> None:
    if not array.flags.writeable:
        raise ValueError(f"{argument}: expected a writeable array, found a read-only one")


def _require_real(argument: str, array: npt.NDArray[Any], like: FloatArray) -> None:
    if array is not like and array.dtype == like.dtype:
        return
    if array.dtype not in (np.float32, np.float64) or not array.dtype.isnative:
        raise ValueError(
            f"{argument}: expected the dtype float32 or float64 in native byte order, "
            f"found {array.dtype}"
        )
    if array.dtype != like.dtype:
        raise ValueError(
            f"{argument}: expected the dtype {like.dtype}, that of the others, found {array.dtype}"
        )


def _require_shape(argument: str, array: npt.NDArray[Any], shape: tuple[int | None, ...]) -> None:
    if array.shape == shape:
        return
    if array.ndim != len(shape):
        raise ValueError(f"{argument}: expected {len(shape)} dimensions, found {array.ndim}")
    if any(size not in (None, found) for size, found in zip(shape, array.shape, strict=True)):
        shown = str(shape).replace("None", "n")
        raise ValueError(f"{argument}: expected the shape {shown}, found {array.shape}")


def _require_layout(argument: str, array: npt.NDArray[Any], shape: tuple[int | None, ...]) -> None:
    _require_shape(argument, array, shape)
    if not array.flags.c_contiguous:
        raise ValueError(f"{argument}: expected a C-contiguous array, found {array.strides=}")
