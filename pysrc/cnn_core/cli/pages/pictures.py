"""Embedded pictures: PNG files as ``data:`` URLs, many small images in one."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ImageGrid", "as_bytes", "diverging", "image_grid", "png"]

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]

# Blue below zero, white at zero, vermilion above: distinguishable for colour-blind readers.
_BELOW, _ZERO, _ABOVE = (0, 90, 160), (250, 250, 250), (200, 80, 0)


@dataclass(frozen=True)
class ImageGrid:
    """Small images side by side in one PNG.

    Attributes
    ----------
    address : str
        The ``data:`` address of the picture.
    width, height : int
        Pixels of the picture.
    shown : int
        Number of images.
    """

    address: str
    width: int
    height: int
    shown: int


def png(pixels: Pixels) -> bytes:
    """Return a PNG file.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, (height, width) or (height, width, 3)
        Grey or red, green and blue.

    Notes
    -----
    The format: https://www.w3.org/TR/png-3/.
    """
    height, width = pixels.shape[:2]
    colour_type = 0 if pixels.ndim == 2 else 2
    # Each line begins with the number of its filter: 0, none.
    lines = np.zeros((height, 1 + pixels[0].size), np.uint8)
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def image_grid(images: Pixels, columns: int, *, gap: int = 1, ground: int = 255) -> ImageGrid:
    """Put images side by side, row by row.

    Parameters
    ----------
    images : numpy.ndarray of uint8, (n, height, width) or (n, height, width, 3)
    columns : int
        Largest number of images in a row.
    gap : int
        Pixels between two images.
    ground : int
        Grey value between the images.
    """
    count, height, width = images.shape[:3]
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *images.shape[3:])
    pixels = np.full(shape, ground, np.uint8)
    for number, image in enumerate(images):
        top, left = (number // columns) * (height + gap), (number % columns) * (width + gap)
        pixels[top : top + height, left : left + width] = image
    code = base64.b64encode(png(pixels)).decode("ascii")
    return ImageGrid(f"data:image/png;base64,{code}", shape[1], shape[0], count)


def as_bytes(images: Array, most: float, *, inverted: bool = False) -> Pixels:
    """Return images as bytes, 0 for 0 and 255 for `most`; grey ones the other way if inverted."""
    shares = np.clip(images / (most or 1.0), 0, 1)
    pixels: Pixels = np.rint(255 * (1 - shares if inverted else shares)).astype(np.uint8)
    return pixels


def diverging(values: Array, most: Array | float) -> Pixels:
    """Return values as colours: white for 0, blue for ``-most``, vermilion for `most`.

    Parameters
    ----------
    values : numpy.ndarray, (...)
    most : float or numpy.ndarray
        Broadcast against `values`.

    Returns
    -------
    numpy.ndarray of uint8, (..., 3)
    """
    shares = np.clip(values / np.maximum(most, 1e-30), -1, 1)[..., None]
    zero = np.array(_ZERO, float)
    end = np.where(shares < 0, np.array(_BELOW, float), np.array(_ABOVE, float))
    colours: Pixels = np.rint(zero + np.abs(shares) * (end - zero)).astype(np.uint8)
    return colours
