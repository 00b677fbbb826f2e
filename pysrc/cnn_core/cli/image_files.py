"""Read images from PNG and JPEG files with Pillow."""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import CommandError
from cnn_core.data import DataError
from cnn_core.data.checks import open_data

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ENDINGS", "OTHER_ENDINGS", "Size", "is_image", "read_images"]

Pixels = npt.NDArray[np.uint8]

ENDINGS = (".png", ".jpg", ".jpeg")
# Formats that are refused, not skipped: the user has to convert them first.
OTHER_ENDINGS = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jp2", ".pgm", ".ppm", ".svg"),
    *(".tif", ".tiff", ".webp"),
)
# Errors of Pillow for a damaged file, or a file that is not an image.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
_GREY = ("1", "L", "LA", "La")
_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")


class Size(NamedTuple):
    """Width and height of an image, in pixels."""

    width: int
    height: int

    @classmethod
    def of(cls, text: str) -> Size:
        """Parse a size such as ``32x32`` or ``64x48``.

        Raises
        ------
        CommandError
            If it is none.
        """
        match = re.fullmatch(r"([1-9]\d{0,4})[x\u00d7]([1-9]\d{0,4})", text.strip().lower())
        if match is None:
            raise CommandError(
                f"--size: expected the width and the height of an image in pixels, such as 32x32, "
                f"found {text!r}"
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def is_image(path: str | os.PathLike[str]) -> bool:
    """Tell by its name whether a file is an image that can be read."""
    return os.fspath(path).lower().endswith(ENDINGS)


def read_images(
    files: Sequence[Path], size: Size | None = None, shape: tuple[int, ...] | None = None
) -> Pixels:
    """Read images of one size.

    Transparent parts become black. If one of the images is in colour, all are. Photographs are
    rotated by their EXIF data.

    Parameters
    ----------
    files : sequence of pathlib.Path
        At least one.
    size : Size, optional
        Size to which all images are resized, by averaging pixels.
    shape : (height, width) or (height, width, 3), optional
        Required shape of each image; colour and grey are converted if necessary.

    Returns
    -------
    numpy.ndarray of uint8, (n, height, width) or (n, height, width, 3)

    Raises
    ------
    DataError
        If one of them is damaged, of another size, or implausibly large.
    FileNotFoundError, OSError
        If one of them cannot be read.
    """
    _require_pillow()
    images: Pixels | None = None
    for number, file in enumerate(files):
        pixels = _in_channels(_decoded(file, size), shape)
        _require_size(file, pixels, shape or (None if images is None else images.shape[1:]), files)
        if images is None:
            images = _empty(files, pixels)
        elif pixels.ndim == 3 and images.ndim == 3:
            images = _coloured(images, number, files)
        images[number] = pixels if pixels.ndim + 1 == images.ndim else pixels[..., np.newaxis]
    assert images is not None
    return images


def _require_pillow() -> None:
    try:
        import PIL.Image  # noqa: F401
    except ModuleNotFoundError as error:
        raise CommandError(
            'images in files need Pillow, which is not installed: pip install "cnn-core[app]"'
        ) from error


def _decoded(file: Path, size: Size | None) -> Pixels:
    """Return the pixels of one file, (height, width) or (height, width, 3)."""
    from PIL import Image, ImageOps

    with open_data(file) as stream:
        contents = io.BytesIO(stream.read())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(contents, formats=("PNG", "JPEG")) as image:
                plain = _plain(ImageOps.exif_transpose(image))
                if size is not None and plain.size != size:
                    plain = plain.resize(size, Image.Resampling.BILINEAR)
                return np.asarray(plain)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            file,
            f"an image of at most {Image.MAX_IMAGE_PIXELS:,} pixels",
            "a larger one, as files have that are to exhaust the memory",
            "make it smaller by another program, or take it out",
        ) from error
    except _DAMAGED as error:
        found = "an empty file" if not contents.getbuffer().nbytes else "a damaged or other file"
        hint = "save it anew, or take it out"
        raise DataError(file, "a PNG or JPEG image", f"{found} ({error})", hint) from error


def _plain(image: Image.Image) -> Image.Image:
    """Return an image with one channel of bytes, or with three."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        # Of 16 bits for each pixel the upper 8 are used.
        values: Any = np.asarray(image)
        return Image.fromarray((values.astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    kind = "L" if image.mode in _GREY else "RGB"
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return image.convert(kind)


def _in_channels(pixels: Pixels, shape: tuple[int, ...] | None) -> Pixels:
    """Convert an image to grey or colour, as the shape requires."""
    if shape is None or pixels.ndim == len(shape):
        return pixels
    if len(shape) == 3:
        return np.repeat(pixels[..., np.newaxis], 3, axis=2)
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).convert("L"))


def _require_size(
    file: Path, pixels: Pixels, wanted: tuple[int, ...] | None, files: Sequence[Path]
) -> None:
    if wanted is None or wanted[:2] == pixels.shape[:2]:
        return
    height, width = pixels.shape[:2]
    size = Size(wanted[1], wanted[0])
    others = "the run was trained on" if file == files[0] else f"{files[0]} has"
    raise DataError(
        file,
        f"an image of {size} pixels, which {others}",
        f"{width}x{height}",
        f"--size {size} resizes them all",
    )


def _empty(files: Sequence[Path], first: Pixels) -> Pixels:
    """Return an uninitialised array for all images, if memory suffices.

    Raises
    ------
    DataError
        If it is not.
    """
    bytes_needed = len(files) * first.size
    available = _memory()
    if available is not None and bytes_needed > available / 2:
        height, width = first.shape[:2]
        raise DataError(
            files[0].parent,
            f"images that fit into half of the memory, {available / 2e9:.1f} GB",
            f"{len(files):,} of {width}x{height}, {bytes_needed / 1e9:.1f} GB",
            "make them smaller, such as by --size 64x64",
        )
    return np.empty((len(files), *first.shape), np.uint8)


def _memory() -> int | None:
    """Return the bytes of memory of this machine, if known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _coloured(images: Pixels, count: int, files: Sequence[Path]) -> Pixels:
    """Convert the first `count` grey images to colour images."""
    coloured = _empty(files, np.empty((*images.shape[1:], 3), np.uint8))
    coloured[:count] = images[:count, ..., np.newaxis]
    return coloured
