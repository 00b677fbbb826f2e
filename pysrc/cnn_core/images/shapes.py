"""Check images and convert each to a row of values."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.estimators.samples import about_dimensions, as_real_numbers, require_some
from cnn_core.layers.images import ImageShape
from cnn_core.sparse import has_sparse_columns, is_sparse
from cnn_core.validation import shown, whole

_BYTES = np.dtype(np.uint8)
# Channels that images usually have.
_CHANNELS = (1, 3, 4)


def as_image_rows(
    values: Any, estimator: str, name: str, wanted: Any, known: ImageShape | None
) -> tuple[npt.NDArray[Any], ImageShape]:
    """Return images as rows of their values, copied only if necessary, and their shape.

    Parameters
    ----------
    values : array-like, (n, height, width), (n, height, width, channels) or (n, n_features)
    estimator : str
        Name of the class, for errors.
    name : str
        Name of the argument, for errors.
    wanted : tuple of int, optional
        The user's parameter `image_shape`.
    known : (height, width, channels), optional
        The shape of the images of the fit.

    Raises
    ------
    TypeError
        For values that are not real numbers, and for masked arrays and sparse matrices.
    ValueError
        For other dimensions and shapes, and if there are no images.
    """
    if is_sparse(values) or has_sparse_columns(values):
        raise TypeError(
            f"{name}: expected a dense array of images, found a sparse matrix; pass "
            f"{name}.toarray()"
        )
    array = as_real_numbers(values, name)
    if array.ndim < 2:
        raise ValueError(about_dimensions(array, name))
    if array.ndim > 4:
        raise ValueError(
            f"{name}: expected (images, height, width), (images, height, width, channels) or flat "
            f"rows, found the shape {array.shape}"
        )
    require_some((len(array), math.prod(array.shape[1:])), estimator, name)
    if known is not None and _is_one_image(array.shape, known):
        raise ValueError(
            f"{name}: expected images (n, {', '.join(map(str, known))}), found one of the shape "
            f"{array.shape}; pass {name}[numpy.newaxis]"
        )
    if array.ndim == 2:
        shape = known or shape_of_rows(array.shape[1], estimator, name, wanted)
        return array, shape
    shape = _shape_of_images(array.shape, name, wanted)
    if known is not None and shape != known:
        raise ValueError(
            f"{name}: expected images of the shape {known}, those that {estimator} was fitted "
            f"with, found {shape}"
        )
    return array.reshape(len(array), -1), shape


def _is_one_image(found: tuple[int, ...], known: ImageShape) -> bool:
    """Tell whether the array is a single image of the known shape, not flat rows."""
    size = math.prod(known)
    return found in (known, known[:2]) and math.prod(found) == size and found[1:] != (size,)


def _shape_of_images(found: tuple[int, ...], name: str, wanted: Any) -> ImageShape:
    height, width, channels = (*found[1:], 1)[:3]
    shape = (height, width, channels)
    if wanted is not None:
        expected = _resolved(wanted, math.prod(shape), name)
        if expected != shape:
            raise ValueError(
                f"{name}: expected images of the shape {expected}, which image_shape says, "
                f"found {shape}"
            )
        return shape
    # A height of 1, 3 or 4, and width equal to channels: probably channels first.
    if height in _CHANNELS and width == channels and channels not in _CHANNELS:
        raise ValueError(
            f"{name}: expected (images, height, width, channels), found the shape {found}, in "
            f"which the channels seem to come first; pass numpy.moveaxis({name}, 1, -1), or "
            f"image_shape={shape} if they do not"
        )
    return shape


def shape_of_rows(n_features: int, estimator: str, name: str, wanted: Any) -> ImageShape:
    """Return the shape of images with this many values: `image_shape`, else square and grey.

    Raises
    ------
    TypeError, ValueError
        As `as_image_rows`.
    """
    if wanted is not None:
        return _resolved(wanted, n_features, name)
    side = math.isqrt(n_features)
    if side * side != n_features:
        raise ValueError(
            f"{name}: expected images (n, height, width) or (n, height, width, channels), or rows "
            f"of as many values as a square grey image has, found rows of {n_features}; pass "
            f"{estimator}(image_shape=(height, width, channels))"
        )
    return side, side, 1


def _resolved(wanted: Any, n_features: int, name: str) -> ImageShape:
    """Return the complete `image_shape`; as in NumPy's reshape, one size may be -1.

    Raises
    ------
    TypeError, ValueError
        For anything but two or three sizes, and for sizes that do not fit.
    """
    if not isinstance(wanted, tuple | list) or len(wanted) not in (2, 3):
        raise ValueError(
            "image_shape: expected (height, width) or (height, width, channels), found "
            f"{shown(wanted)}"
        )
    sizes = [whole("image_shape", size, -1) for size in (*wanted, 1)[:3]]
    if 0 in sizes or sizes.count(-1) > 1:
        raise ValueError(
            "image_shape: expected sizes of at least 1, of which one may be -1, which stands for "
            f"what is left, found {shown(wanted)}"
        )
    product = math.prod(size for size in sizes if size > 0)
    if -1 in sizes and n_features % product == 0:
        sizes[sizes.index(-1)] = n_features // product
    if math.prod(sizes) != n_features:
        raise ValueError(
            f"{name}: expected images of image_shape={tuple(wanted)}, found {n_features} values "
            "in each"
        )
    height, width, channels = sizes
    return height, width, channels


def warn_of_other_values(
    rows: npt.NDArray[Any], name: str, *, were_bytes: bool, stacklevel: int
) -> None:
    """Warn if images were bytes in `fit` and are fractions now, or vice versa.

    Parameters
    ----------
    rows : (n, n_features) array
    name : str
        What the user calls them.
    were_bytes : bool
        Whether the images of `fit` were bytes.
    stacklevel : int
        As for `warnings.warn`.
    """
    are_bytes = rows.dtype == _BYTES
    if were_bytes and not are_bytes and rows.max() <= 1:
        text = "numbers up to 1, where the images of the fit were bytes from 0 to 255"
    elif are_bytes and not were_bytes:
        text = "bytes from 0 to 255, where the images of the fit were other numbers"
    else:
        return
    warnings.warn(
        f"{name}: found {text}; pass them as in the fit", UserWarning, stacklevel=stacklevel + 1
    )
