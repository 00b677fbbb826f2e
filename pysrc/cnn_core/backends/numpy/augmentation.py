"""Random changes of images, as the formulas are written; see `cnn_core.layers.Augmentation`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnn_core.backends.numpy.random import philox
from cnn_core.layers import Augmentation
from cnn_core.types import FloatArray

_Words = npt.NDArray[np.uint64]


def augmented(layer: Augmentation, key: int, step: int, x: FloatArray) -> FloatArray:
    """Return the images of a batch, (n, fan_in), as a step of training sees them.

    Image ``i`` draws eight words from the generator of `Kernels.random_bits`, by the counters
    ``(0, i, 0, step)`` and ``(1, i, 0, step)``. In their order they settle whether it is mirrored,
    how far it is shifted down and to the right, how many rows and columns are cut off, and where
    the cropped part begins; the last two settle the first row and column of the erased square. A
    word ``w`` stands for the whole number ``w * count >> 32`` of those from 0 to below ``count``.

    With the row ``y`` and column ``x`` of the new image, mirrored and shifted back, and with
    ``cut`` rows cut off, the row of the old image is ``first + (y + 0.5) * (height - cut) / height
    - 0.5``, within the cropped part, and the column likewise.
    """
    height, width, channels = layer.input_shape
    words = philox(key, np.arange(2, dtype=np.uint64), _column(len(x)), 0, step)
    mirror, down, right, cut, top, left, hole_top, hole_left = words.reshape(len(x), 8).T
    images = x.reshape(len(x), height, width, channels)
    cuts = _drawn(cut, np.uint64(layer.crop + 1))
    shift = 2 * layer.shift + 1
    rows = np.arange(height) - (_drawn(down, shift) - layer.shift)[:, np.newaxis]
    columns = np.broadcast_to(np.arange(width), (len(x), width))
    if layer.mirror:
        columns = np.where(_drawn(mirror, 2)[:, np.newaxis] == 1, columns[:, ::-1], columns)
    columns = columns - (_drawn(right, shift) - layer.shift)[:, np.newaxis]
    out = _sampled(
        images,
        _sources(rows, height, cuts, _drawn(top, cuts + 1)),
        _sources(columns, width, cuts, _drawn(left, cuts + 1)),
    )
    inside = ((rows >= 0) & (rows < height))[:, :, np.newaxis]
    inside = inside & ((columns >= 0) & (columns < width))[:, np.newaxis]
    if layer.erase:
        hole = _in_hole(hole_top, height, layer.erase)[:, :, np.newaxis]
        inside = inside & ~(hole & _in_hole(hole_left, width, layer.erase)[:, np.newaxis])
    return np.where(inside[..., np.newaxis], out, x.dtype.type(0)).reshape(x.shape)


def _column(rows: int) -> _Words:
    return np.arange(rows, dtype=np.uint64)[:, np.newaxis]


def _drawn(words: _Words, count: int | npt.NDArray[np.int64] | np.uint64) -> npt.NDArray[np.int64]:
    """Return a whole number from 0 to below `count` for each word."""
    drawn: _Words = words * np.asarray(count, np.uint64) >> np.uint64(32)
    return drawn.astype(np.int64)


def _sources(
    places: npt.NDArray[np.int64],
    size: int,
    cut: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Return the row or column of the old image for each one of the new image, (n, size)."""
    scale, first = ((size - cut) / size)[:, np.newaxis], first[:, np.newaxis]
    sources = first + ((places + 0.5) * scale - 0.5)
    last = first + size - cut[:, np.newaxis] - 1
    return np.clip(sources, first, last)


def _sampled(
    images: FloatArray, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]
) -> FloatArray:
    """Return the images at these rows (n, height) and columns (n, width), between their pixels."""
    real = images.dtype
    sample = np.arange(len(images))[:, np.newaxis, np.newaxis]
    upper, left = (np.floor(values).astype(np.intp) for values in (rows, columns))
    down = (rows - upper).astype(real)[:, :, np.newaxis, np.newaxis]
    right = (columns - left).astype(real)[:, np.newaxis, :, np.newaxis]
    upper, left = upper[:, :, np.newaxis], left[:, np.newaxis, :]
    lower = np.minimum(upper + 1, images.shape[1] - 1)
    beside = np.minimum(left + 1, images.shape[2] - 1)

    def mixed(row: npt.NDArray[np.intp]) -> FloatArray:
        a, b = images[sample, row, left], images[sample, row, beside]
        between: FloatArray = a + right * (b - a)
        return between

    above, below = mixed(upper), mixed(lower)
    out: FloatArray = above + down * (below - above)
    return out


def _in_hole(words: _Words, size: int, erase: int) -> npt.NDArray[np.bool_]:
    """Tell which rows or columns the erased square takes, (n, size); it may begin outside."""
    start = _drawn(words, size + erase - 1)[:, np.newaxis] - (erase - 1)
    places = np.arange(size)
    inside: npt.NDArray[np.bool_] = (places >= start) & (places < start + erase)
    return inside
